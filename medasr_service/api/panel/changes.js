/**
 * Changes of a report, each of which can be undone: by key, by voice, by a dictation that goes on in it.
 * The model's text stays where it is; what the user writes is kept beside it, in the segment that it falls into.
 */
import { differences } from "./differences.js";
import { changed } from "./state.js";
import { final, lost, makeSegment, rawLength, report, runs, spoken, tokens } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Segment} Segment @typedef {import("./transcript.js").Word} Word */

const EDGE_S = 0.1;
const MAX_VERSIONS = 500; // each holds the list of its segments, and shares them with the others

/** Notes what the entry is, before it changes. @param {Entry} entry */
export function remember(entry) {
  entry.past.push({ segments: entry.segments, place: entry.place });
  if (entry.past.length > MAX_VERSIONS) entry.past.shift();
  entry.future = [];
  entry.saved = false;
}

/**
 * Other segments in place of those that the entry has.
 * @param {Entry} entry @param {Segment[]} segments @param {{joined?: boolean}} [how] `joined`: one step with the last change
 */
export function change(entry, segments, { joined = false } = {}) {
  if (!joined) remember(entry);
  entry.segments = segments;
  entry.saved = false;
  changed();
}

/** @param {Entry} entry @param {"past"|"future"} from @param {"past"|"future"} to @returns {boolean} */
function step(entry, from, to) {
  const version = entry[from].pop();
  if (!version) return false;
  entry[to].push({ segments: entry.segments, place: entry.place });
  Object.assign(entry, { ...version, saved: false });
  changed();
  return true;
}

/** Takes the last change back; false where there is none. @param {Entry} entry */
export const undo = (entry) => step(entry, "past", "future");

/** @param {Entry} entry */
export const redo = (entry) => step(entry, "future", "past");

/**
 * The report's text as the user would have it: each word goes to the segment where it stands.
 * @param {Entry} entry @param {string} text @param {{joined?: boolean}} [how]
 */
export function rewrite(entry, text, how = {}) {
  const before = report(entry);
  if (text === before) return;
  const most = Math.min(text.length, before.length);
  let start = 0;
  while (start < most && text[start] === before[start]) start++;
  let tail = 0;
  while (tail < most - start && text.at(-1 - tail) === before.at(-1 - tail)) tail++;
  replace(entry, { start, end: before.length - tail }, text.slice(start, text.length - tail), how);
}

/**
 * A stretch of the report replaced by the user's own text; the place of the user goes behind it.
 * @param {Entry} entry @param {import("./transcript.js").Place} stretch @param {string} text @param {{joined?: boolean}} [how]
 */
export function replace(entry, { start, end }, text, how = {}) {
  const segments = entry.segments.length ? [...entry.segments] : [makeSegment({ id: "typed" })];
  const first = indexAt(segments, start);
  let at = first.at;
  let from = 0; // of the stretch, in what the touched segments are together
  let last = at;
  let length = final(segments[at]).length;
  while (last < segments.length - 1 && first.before + length < end) length += final(segments[++last]).length;
  from = start - first.before;
  const touched = segments.slice(at, last + 1);
  const old = touched.map(final).join("");
  const texts = shares(touched, old.slice(0, from) + text + old.slice(end - first.before));
  for (const share of texts) segments[at] = written(segments[at++], share);
  if (!how.joined) remember(entry);
  if (!entry.segments.length && entry.live === 0) entry.live = 1; // what was not there before stands before the dictation
  entry.place = { start: start + text.length, end: start + text.length };
  change(entry, segments, { joined: true });
}

/** @param {Segment} segment @param {string} text @returns {Segment} */
function written(segment, text) {
  if (text === final(segment)) return segment;
  return { ...segment, edited: text === segment.text ? null : text };
}

/**
 * With a mark at each place of a recording that could not be read, where the service has it in its own texts.
 * @param {Segment[]} segments @param {{start: number, seconds: number, text: string}[]} losses
 */
export function withLosses(segments, losses) {
  let found = segments;
  for (const { start, seconds, text } of losses.toReversed()) {
    const behind = start + Math.min(EDGE_S, seconds / 2); // as in text/losses.py
    let letters = 0; // before the first word that begins behind the place
    for (const word of found.flatMap(({ words }) => words)) {
      if (word.start >= behind && word.written) break;
      letters += writtenOf(word).length;
    }
    const parts = split(found, letters);
    const mark = lost(parts.index ? " " : "", text, start, start + Math.max(seconds, 0.01), 0);
    const next = parts.segments[parts.index];
    const room = !parts.index && next && /^\S/.test(final(next)) ? [makeSegment({ id: "joint", text: " " })] : [];
    found = parts.segments.toSpliced(parts.index, 0, mark, ...room);
  }
  return found;
}

/** The segment in which a letter of the report stands, and the letters before it. @param {Segment[]} segments @param {number} offset */
function indexAt(segments, offset) {
  let before = 0;
  let at = 0;
  while (at < segments.length - 1 && before + final(segments[at]).length < offset) before += final(segments[at++]).length;
  return { at, before };
}

/** A new text, shared out among the segments whose text it replaces. @param {Segment[]} segments @param {string} text @returns {string[]} */
function shares(segments, text) {
  if (segments.length === 1) return [text];
  const before = segments.flatMap((segment, at) => tokens(final(segment)).map((token) => ({ token, at })));
  const after = tokens(text);
  const found = segments.map(() => "");
  let at = 0;
  for (const { kind, at: index } of differences(before.map(({ token }) => token), after)) {
    if (kind === "added") found[at] += after[index];
    else {
      at = before[index].at;
      if (kind === "same") found[at] += before[index].token;
    }
  }
  return found;
}

/**
 * The segments with a border at a letter of the report, moved where it would part a word.
 * @param {Segment[]} segments @param {number} offset
 * @returns {{segments: Segment[], index: number, offset: number}} `index`: of the first segment behind the border
 */
export function split(segments, offset) {
  if (!segments.length) return { segments, index: 0, offset: 0 };
  const { at, before } = indexAt(segments, offset);
  const [left, right] = parted(segments[at], offset - before);
  const parts = [...(left ? [left] : []), ...(right ? [right] : [])];
  return {
    segments: [...segments.slice(0, at), ...parts, ...segments.slice(at + 1)],
    index: at + (left ? 1 : 0),
    offset: before + (left ? final(left).length : 0),
  };
}

/** @param {Segment} whole @param {number} offset @returns {[Segment|null, Segment|null]} */
function parted(whole, offset) {
  if (offset <= 0) return [null, whole];
  if (offset >= final(whole).length) return [whole, null];
  const segment = { ...whole, words: spoken(whole.words).map(named) };
  let { words, border } = bordered(segment, offset);
  let moved = "";
  if (segment.edited === null && segment.words.length) {
    const end = segment.words.slice(0, words).map(writtenOf).join("").length;
    moved = segment.text.slice(end, offset);
    if (!moved.includes("\n") || moved.trim()) moved = ""; // a space goes with the word behind it, a new line does not
    border = end + moved.length;
  }
  if (border <= 0) return [null, segment];
  if (border >= final(segment).length) return [segment, null];
  const before = segment.words.slice(0, words).map((word, i) => (i === words - 1 ? longer(word, moved) : word));
  const behind = segment.words.slice(words).map((word, i) => (i ? word : shorter(word, moved.length)));
  const text = segment.words.length ? before.map(writtenOf).join("").length : border;
  const rawText = segment.words.length ? rawLength(segment.raw, before) : Math.min(border, segment.raw.length);
  const now = segment.edited;
  const half = (/** @type {string} */ mark, /** @type {Segment["words"]} */ kept, /** @type {[number, number|undefined]} */ [from, to], /** @type {string} */ notated, /** @type {string|null} */ edited) => {
    const given = segment.text.slice(from, to);
    return { ...segment, id: segment.id + mark, words: kept, text: given, raw: notated, edited: edited === given ? null : edited };
  };
  return [
    half("<", before, [0, text], segment.raw.slice(0, rawText), now === null ? null : now.slice(0, border)),
    half(">", behind, [text, undefined], segment.raw.slice(rawText), now === null ? null : now.slice(border)),
  ];
}

/** How many words stand before a letter, none of them parted by the border. @param {Segment} segment @param {number} offset */
function bordered(segment, offset) {
  let words = 0;
  let border = 0;
  for (const { kind, text, piece } of runs(segment, "report")) {
    const isWhole = kind === "same" && border < offset;
    if (kind === "removed" ? border >= offset : border >= offset && !isWhole) break;
    if (piece) words = Math.max(words, 1 + segment.words.findLastIndex((word) => piece.words.includes(word)));
    if (kind === "same") border += text.length;
    else if (kind !== "removed") border += Math.min(text.length, offset - border);
  }
  return { words, border };
}

/** @param {Word} word @returns {string} */
const writtenOf = (word) => word.written ?? word.parts?.map(writtenOf).join("") ?? "";

/** A part as a word of its own. @param {Word} word @returns {Word} */
const named = (word) => ({ ...word, word: word.word ?? writtenOf(word).trim() });

/** With white space behind its share. @param {Word} word @param {string} space @returns {Word} */
const longer = (word, space) => ({ ...word, written: writtenOf(word) + space });

/** Without the first letters of its share. @param {Word} word @param {number} count @returns {Word} */
const shorter = (word, count) => ({ ...word, written: writtenOf(word).slice(count) });
