/** A recording heard again, all of it or the part that is selected: decoded otherwise, where the service can. */
import { transcribeAgain } from "./files.js";
import { $, onClick, setText, showProblem } from "./page.js";
import { RATE, wav } from "./recorder.js";
import { isActive, onChange, state } from "./state.js";
import { TEXTS } from "./texts.js";
import { runs } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry */

const T = TEXTS.again;
const MARGIN_S = 0.3; // before and behind the words

/** From when to when the selected words were said; null where nothing is selected that was heard in the recording. @param {Entry} entry */
function selectedSound(entry) {
  const { place } = entry;
  if (!place || place.start >= place.end) return null;
  let at = 0;
  let start = Infinity;
  let end = -Infinity;
  for (const { kind, text, piece } of entry.segments.flatMap((segment) => runs(segment, "report"))) {
    if (kind === "removed") continue;
    const isInside = at < place.end && at + text.length > place.start;
    at += text.length;
    if (!isInside || !piece || piece.sound || piece.start === null || piece.end === null) continue;
    start = Math.min(start, piece.start);
    end = Math.max(end, piece.end);
  }
  return start < end ? { start: Math.max(0, start - MARGIN_S), end: end + MARGIN_S } : null;
}

/** A part of a recording, as the browser hears it. @param {Blob} audio @param {number} start @param {number} end seconds @throws {Error} */
async function part(audio, start, end) {
  const heard = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await audio.arrayBuffer());
  const from = Math.round(start * RATE);
  const length = Math.min(heard.length, Math.round(end * RATE)) - from;
  const samples = new Int16Array(length);
  for (let channel = 0; channel < heard.numberOfChannels; channel++) {
    const wave = heard.getChannelData(channel).subarray(from, from + length);
    for (let i = 0; i < length; i++) samples[i] += Math.max(-1, Math.min(1, wave[i])) * (32_767 / heard.numberOfChannels);
  }
  return wav([samples]);
}

const decoding = () => $("again-decoding").value;

/** @param {Entry} entry */
async function partAgain(entry) {
  const sound = selectedSound(entry);
  if (!sound || !entry.audio) return;
  try {
    const audio = await part(entry.audio, sound.start, sound.end);
    transcribeAgain({ ...entry, audio }, { decoding: decoding(), name: T.partOf(entry.name, sound.start, sound.end) });
  } catch {
    showProblem(T.cannotPart);
  }
}

/** @type {string[]} */
let shown = [];

onChange(() => {
  const entry = state.selected;
  $("again-tools").hidden = !entry?.audio || isActive(entry) || !entry.segments.length;
  $("again-part").hidden = !entry || !selectedSound(entry);
  if (shown === state.decodings) return;
  shown = state.decodings;
  const known = /** @type {Record<string, string>} */ ({ greedy: T.greedy, lm: T.lm });
  $("again-decoding").replaceChildren(new Option(T.asSet, ""), ...shown.filter((each) => known[each]).map((each) => new Option(known[each], each)));
  $("again-decodings").hidden = shown.length < 2;
});
setText($("again-summary"), T.summary);
onClick("again-all", () => state.selected && transcribeAgain(state.selected, { decoding: decoding(), name: T.allOf(state.selected.name) }));
onClick("again-part", () => state.selected && partAgain(state.selected));
