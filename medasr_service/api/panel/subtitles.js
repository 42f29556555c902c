/** Subtitles: the service cuts them, from the text as it stands now, by its one set of rules. */
import { address, authorization } from "./service.js";
import { report, shownRuns, spoken } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry */

/**
 * The text in words with times: the model's own where nobody changed them. What the user wrote has none: it goes with what stands before it.
 * @param {Entry} entry
 * @returns {{written: string, start: number, end: number, unclear?: string}[]}
 */
function timeline(entry) {
  const segments = inTime(entry);
  const heard = spoken(segments.flatMap(({ words }) => words));
  const isSpelled = heard.map(({ written }) => written ?? "").join("") === report({ ...entry, segments });
  return isSpelled ? heard.map(({ written = "", start, end, unclear = "" }) => ({ written, start, end, unclear })) : shownTimeline({ ...entry, segments });
}

/** What is heard in the recording, in the order of its times: a report may have been dictated in another. @param {Entry} entry */
function inTime(entry) {
  const heard = entry.segments.filter(({ sound }) => !sound);
  let latest = 0;
  const starts = new Map(heard.map((segment) => [segment, (latest = segment.words[0]?.start ?? latest)]));
  return heard.toSorted((a, b) => (starts.get(a) ?? 0) - (starts.get(b) ?? 0));
}

/** @param {Entry} entry */
function shownTimeline(entry) {
  /** @type {{written: string, start: number, end: number, unclear?: string}[]} */
  const words = [];
  let before = "";
  for (const { kind, text, piece } of shownRuns(entry)) {
    if (kind === "removed") continue;
    if (piece?.start != null && piece.end !== null) {
      words.push({ written: before + text, start: piece.start, end: piece.end, unclear: piece.unclear ?? "" });
      before = "";
    } else if (kind === "space" || !words.length) before += text;
    else {
      words[words.length - 1].written += before + text;
      before = "";
    }
  }
  if (before.trim()) words.push({ written: before, start: 0, end: entry.duration });
  return words;
}

/** @param {Entry} entry @param {"srt"|"vtt"} format @returns {Promise<string>} @throws {Error} in words for the user */
export async function subtitles(entry, format) {
  const headers = { "Content-Type": "application/json", ...authorization() };
  const body = JSON.stringify({ response_format: format, duration: entry.duration, words: timeline(entry) });
  const answer = await fetch(address("v1/audio/subtitles"), { method: "POST", headers, body });
  if (answer.ok) return answer.text();
  const refused = await answer.json().catch(() => null);
  throw new Error(refused?.error?.message ?? `${answer.status}`);
}
