/**
 * A transcript in the page: what the model wrote, what the user made of it, and both as files.
 * Pure functions. The model's text is never altered: edits are kept beside it.
 *
 * @typedef {object} Word a word as the service sends it
 * @property {string} word as the text shows it, "lungs."
 * @property {string} [raw] in the model's own notation, "lungs {period}"
 * @property {string} [written] its share of the formatted text, " lungs."
 * @property {Word[]} [parts] the model's own words, where there are several
 * @property {number} start seconds
 * @property {number} end seconds
 * @property {number} probability
 * @property {"doubt"|"placeholder"} [unclear] where the model left something to be filled in
 *
 * @typedef {object} Segment a run of words; of a dictation, a turn
 * @property {string} id
 * @property {string} text
 * @property {string} raw
 * @property {Word[]} words
 * @property {number|null} start seconds; of its first word, be it a mark
 * @property {string} [error] why it has no text
 *
 * @typedef {object} Entry one recording with its transcript
 * @property {number} id
 * @property {"dictation"|"file"} kind
 * @property {string} name
 * @property {Date} created
 * @property {"waiting"|"uploading"|"working"|"recording"|"finishing"|"done"|"incomplete"|"failed"} state
 * @property {number|null} progress 0 to 1, null where it is not known
 * @property {string} message why it failed
 * @property {number} duration seconds
 * @property {Segment[]} segments
 * @property {string|null} edited the user's text, in place of the model's
 * @property {string|null} setAside edits that were taken back
 * @property {Blob|null} audio
 * @property {boolean} saved whether the user has taken the text out of the page
 * @property {Record<string, unknown>} about model, notice
 * @property {string[]} warnings what the service says of the recording
 *
 * @typedef {object} Piece a stretch of text that belongs together, with the audio it comes from
 * @property {string} text with the white space before it
 * @property {number|null} start seconds; null where the service gave no times
 * @property {number|null} end
 * @property {number} probability of the least certain word in it
 * @property {"doubt"|"placeholder"} [unclear] where the model left something to be filled in
 * @property {number} segment
 *
 * @typedef {object} Run a piece of the shown text
 * @property {"space"|"same"|"added"|"removed"} kind
 * @property {string} text
 * @property {Piece|null} piece null where the user wrote it
 */
import { differences } from "./differences.js";

/** The model's own words: of "lungs." the word and the mark, each with its doubt. @param {Word[]} words @returns {Word[]} */
export function spoken(words) {
  return words.flatMap((word) => word.parts ?? [word]);
}

/** A word in the model's own notation. @param {Word} word */
export function notation(word) {
  return word.raw ?? word.word;
}

/** What the model wrote, formatted. @param {Entry} entry */
export function original(entry) {
  return entry.segments.map((segment) => segment.text).join("");
}

/** What the model wrote, letter by letter. @param {Entry} entry */
export function raw(entry) {
  return entry.segments.map((segment) => segment.raw.trim()).filter(Boolean).join(" ");
}

/** What stands in the report now. @param {Entry} entry */
export function report(entry) {
  return entry.edited ?? original(entry);
}

/**
 * The pieces of one segment. Words that were written as one ("[EXAM" "TYPE]") are one piece. Where the words
 * do not spell the text, the text wins, without times.
 * @param {Entry} entry
 * @param {number} index
 * @param {"report"|"raw"} view
 * @returns {Piece[]}
 */
export function pieces(entry, index, view) {
  const segment = entry.segments[index];
  const text = view === "raw" ? segment.raw.trim() : segment.text;
  let at = 0; // in the raw text, which may have more than one space between two words
  const rawShare = (/** @type {Word} */ word) => {
    const end = text.indexOf(notation(word), at) + notation(word).length;
    return text.slice(at, (at = Math.max(at, end)));
  };
  const share = (/** @type {Word} */ word) => (view === "raw" ? rawShare(word) : (word.written ?? ""));
  const before = view === "raw" ? (index && text ? " " : "") : "";
  /** @type {Piece[]} */
  let found = [];
  spoken(segment.words).forEach((word) => {
    const last = found.at(-1);
    const written = share(word);
    if (written || !last) {
      const { start, end, probability, unclear } = word;
      found.push({ text: written, start, end, probability, unclear, segment: index });
    } else {
      last.end = word.end;
      last.probability = Math.min(last.probability, word.probability);
      last.unclear ??= word.unclear;
    }
  });
  if (found.map((piece) => piece.text).join("") !== text) {
    found = [{ text, start: null, end: null, probability: 1, segment: index }];
  }
  if (found.length) found[0].text = before + found[0].text;
  return found;
}

/** @param {Piece} piece @returns {Run[]} */
function plainRuns(piece) {
  const text = piece.text.trimStart();
  const space = piece.text.slice(0, piece.text.length - text.length);
  /** @type {Run[]} */
  const runs = [{ kind: "space", text: space, piece: null }, { kind: "same", text, piece }];
  return runs.filter((run) => run.text);
}

/**
 * The shown text of one segment.
 * @param {Entry} entry @param {number} index @param {"report"|"raw"} view
 */
export function segmentRuns(entry, index, view) {
  return pieces(entry, index, view).flatMap(plainRuns);
}

/** The report with the user's edits marked, against what the model wrote. @param {Entry} entry @returns {Run[]} */
export function editedRuns(entry) {
  const all = entry.segments.flatMap((_, i) => pieces(entry, i, "report"));
  const before = all.flatMap((piece) => tokens(piece.text).map((text) => ({ text, piece })));
  const after = tokens(report(entry));
  /** @type {Run[]} */
  const runs = [];
  const put = (/** @type {Run["kind"]} */ kind, /** @type {string} */ text, /** @type {Piece|null} */ piece) => {
    const space = !text.trim();
    if (space && kind === "removed") return;
    const last = runs.at(-1);
    const shown = space ? "space" : kind;
    if (last && last.kind === shown && last.piece === piece) last.text += text;
    else runs.push({ kind: shown, text, piece: space ? null : piece });
  };
  for (const step of differences(before.map((token) => token.text), after)) {
    if (step.kind === "added") put("added", after[step.at], null);
    else put(step.kind, before[step.at].text, before[step.at].piece);
  }
  return runs;
}

/** The text as it stands in the report, in runs. @param {Entry} entry @returns {Run[]} */
export function shownRuns(entry) {
  return entry.edited === null ? entry.segments.flatMap((_, i) => segmentRuns(entry, i, "report")) : editedRuns(entry);
}

/** "48 words, 3 to check, 1 to fill in". @param {Entry} entry @param {number} threshold */
export function summary(entry, threshold) {
  const words = report(entry).match(/[\p{L}\p{N}]+(?:\S*[\p{L}\p{N}])?/gu)?.length ?? 0;
  const left = shownRuns(entry).flatMap(({ kind, piece }) => (kind === "same" && piece ? [piece] : []));
  const missing = new Set(left.filter((piece) => piece.unclear)).size;
  const doubts = new Set(left.filter((piece) => !piece.unclear && piece.probability < threshold)).size;
  const counted = [`${words} ${words === 1 ? "word" : "words"}`, doubts && `${doubts} to check`, missing && `${missing} to fill in`];
  return counted.filter(Boolean).join(", ");
}

/** Words, single marks, and the white space between them. @param {string} text @returns {string[]} */
function tokens(text) {
  return text.match(/\s+|[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];
}

/** The model's words and the user's, apart. @param {Entry} entry */
export function json(entry) {
  const { name, created, duration, about, warnings, edited } = entry;
  const body = {
    name,
    created: created.toISOString(),
    complete: entry.state === "done",
    duration,
    ...about,
    ...(warnings.length ? { warnings } : {}),
    text: original(entry),
    raw_text: raw(entry),
    edited_text: edited,
    segments: entry.segments.map(({ text, raw: raw_text, words, error }) => ({ text, raw_text, words, error })),
  };
  return JSON.stringify(body, null, 2) + "\n";
}
