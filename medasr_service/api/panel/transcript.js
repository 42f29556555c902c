/**
 * A transcript in the page: what the model wrote, what the user made of it, and both as files.
 * Pure functions. The model's text is never altered: the user's is kept beside it, segment by segment. A segment
 * is never changed either, but replaced: whoever has seen one need not look at it again.
 *
 * @typedef {object} Word a word as the service sends it
 * @property {string} word as the text shows it, "lungs."
 * @property {string} [raw] in the model's own notation, "lungs {period}"
 * @property {string} [written] its share of the formatted text, " lungs."
 * @property {Word[]} [parts] the model's own words, where there are several
 * @property {number} start seconds
 * @property {number} end seconds
 * @property {number} probability
 * @property {"doubt"|"placeholder"|"unread"} [unclear] where something is to be filled in
 * @property {boolean} [accepted] the user has heard it, and it is right
 *
 * @typedef {object} Segment a run of words; the texts of all, joined, are the text
 * @property {string} id
 * @property {string} text
 * @property {string} raw in the model's notation, with the white space before it
 * @property {Word[]} words
 * @property {string|null} edited the user's text, in place of the model's
 * @property {0|1} sound where its times count: in the recording, or in what was dictated into a file's report
 * @property {import("./replacements.js").Found[]} [replaced] what the user's replacements made of it
 * @property {boolean} [command] spoken to the page, and no part of the report
 * @property {"lost"} [kind] nobody's words: it marks what could not be read, or not be transcribed
 *
 * @typedef {object} Place a stretch of the report's text, or a point between two letters
 * @property {number} start letters
 * @property {number} end
 *
 * @typedef {object} Version what an entry was before a change
 * @property {Segment[]} segments
 * @property {Place|null} place
 *
 * @typedef {object} Entry one report, with its recording
 * @property {number} id
 * @property {"dictation"|"file"} kind
 * @property {string} name
 * @property {Date} created
 * @property {"waiting"|"uploading"|"queued"|"working"|"recording"|"finishing"|"done"|"incomplete"|"failed"} state
 * @property {number|null} progress 0 to 1, null where it is not known
 * @property {string} message why it failed
 * @property {number} duration seconds
 * @property {Segment[]} segments
 * @property {number|null} live while one dictates: the segment before which the text grows
 * @property {string} unfinished what is heard and not yet sure: shown, and no part of any text
 * @property {Version[]} past
 * @property {Version[]} future what was undone
 * @property {Place|null} place where the user is in the text: the next dictation goes on there
 * @property {Segment[]|null} setAside with edits that were taken back
 * @property {Blob|null} audio
 * @property {Blob|null} dictated what was dictated into the report of a file
 * @property {Int16Array[]|null} taking while one dictates: the sound so far, of this dictation
 * @property {number} notBefore ms since 1970: the service was busy, and is asked again then
 * @property {boolean} wantsKey it failed for want of a key that the service takes
 * @property {boolean} saved whether the user has taken the text out of the page
 * @property {Record<string, unknown>} about model, notice
 * @property {string} job the id of the service's job that transcribes it, "" where there is none
 * @property {{key: string, asked: string}|null} submission sent again as it was, it is the same job
 * @property {string} decoding how it is to be transcribed: "" as the service is set
 * @property {string[]} warnings what the service says of the recording
 *
 * @typedef {object} Piece a stretch of text that belongs together, with the audio it comes from
 * @property {string} text with the white space before it
 * @property {number|null} start seconds; null where the service gave no times
 * @property {number|null} end
 * @property {number} probability of the least certain word in it
 * @property {"doubt"|"placeholder"|"unread"} [unclear] where something is to be filled in
 * @property {Word[]} words
 * @property {0|1} sound
 *
 * @typedef {object} Run a piece of the shown text
 * @property {"space"|"same"|"added"|"removed"} kind
 * @property {string} text
 * @property {Piece|null} piece null where the user wrote it
 */
import { differences } from "./differences.js";
import { TEXTS } from "./texts.js";

/** @param {Partial<Segment>} given @returns {Segment} */
export const makeSegment = (given) => ({ id: "", text: "", raw: "", words: [], edited: null, sound: 0, ...given });

export const MAX_WORDS = 60; // of a segment that grows: with each word, all of it is shown anew

/**
 * A long text in segments.
 * @param {string} text @param {string} notated @param {Word[]} words
 * @returns {{text: string, raw: string, words: Word[]}[]}
 */
export function chunks(text, notated, words) {
  if (words.map(({ written }) => written).join("") !== text) return [{ text, raw: notated, words }];
  const found = [];
  let at = 0;
  for (let i = 0; i < words.length; i += MAX_WORDS) {
    const part = words.slice(i, i + MAX_WORDS);
    const end = i + MAX_WORDS < words.length ? at + rawLength(notated.slice(at), part) : notated.length;
    found.push({ text: part.map(({ written }) => written).join(""), raw: notated.slice(at, end), words: part });
    at = end;
  }
  return found;
}

/** A mark for what is not there: nobody's words. @param {string} space @param {string} word @param {number} start seconds @param {number} end @param {0|1} sound */
export function lost(space, word, start, end, sound) {
  const unread = /** @type {const} */ ("unread");
  const written = space + word;
  return makeSegment({ id: "lost", kind: "lost", text: written, words: [{ word, written, raw: "", start, end, probability: 1, unclear: unread }], sound });
}

/** How much of a raw text some words are, which are its first. @param {string} text @param {Word[]} words */
export function rawLength(text, words) {
  return spoken(words).reduce((at, word) => {
    const found = text.indexOf(notation(word), at);
    return found < 0 ? at : found + notation(word).length;
  }, 0);
}

/** The model's own words: of "lungs." the word and the mark, each with its doubt. @param {Word[]} words @returns {Word[]} */
export function spoken(words) {
  return words.flatMap((word) => word.parts ?? [word]);
}

/** A word in the model's own notation. @param {Word} word */
export function notation(word) {
  return word.raw ?? word.word;
}

/** What stands in the report for a segment. @param {Segment} segment */
export const final = (segment) => segment.edited ?? segment.text;

/** @param {Entry} entry */
export const isEdited = (entry) => entry.segments.some(({ edited }) => edited !== null);

/** @param {Entry} entry */
export const hasText = (entry) => entry.segments.some((segment) => segment.text || segment.edited);

/** What the model wrote, formatted, and where something is missing. @param {Entry} entry */
export function original(entry) {
  return entry.segments.map(({ text }) => text).join("");
}

/** What the model wrote, letter by letter. @param {Entry} entry */
export function raw(entry) {
  return entry.segments.map((segment) => segment.raw).join("").trim();
}

/** What stands in the report now. @param {Entry} entry */
export function report(entry) {
  return entry.segments.map(final).join("");
}

/** A value for each segment, made once. @template T @param {(segment: Segment) => T} make @returns {(segment: Segment) => T} */
function once(make) {
  /** @type {WeakMap<Segment, T>} */
  const made = new WeakMap();
  return (segment) => {
    const known = made.get(segment) ?? make(segment);
    made.set(segment, known);
    return known;
  };
}

/**
 * The pieces of one segment. Words that were written as one ("[EXAM" "TYPE]") are one piece. Where the words
 * do not spell the text, the text wins, without times.
 * @param {Segment} segment
 * @param {"report"|"raw"} view
 * @returns {Piece[]}
 */
function cut(segment, view) {
  const text = view === "raw" ? segment.raw : segment.text;
  if (!text) return [];
  let at = 0; // in the raw text, which may have more than one space between two words
  const rawShare = (/** @type {Word} */ word) => {
    const end = text.indexOf(notation(word), at) + notation(word).length;
    return text.slice(at, (at = Math.max(at, end)));
  };
  const share = (/** @type {Word} */ word) => (view === "raw" ? rawShare(word) : (word.written ?? ""));
  /** @type {Piece[]} */
  const found = [];
  for (const word of spoken(segment.words)) {
    const last = found.at(-1);
    const written = share(word);
    if (written || !last) {
      const { start, end, probability, unclear } = word;
      found.push({ text: written, start, end, probability, unclear, words: [word], sound: segment.sound });
    } else {
      last.end = word.end;
      last.probability = Math.min(last.probability, word.probability);
      last.unclear ??= word.unclear;
      last.words.push(word);
    }
  }
  if (found.map((piece) => piece.text).join("") === text) return found;
  return [{ text, start: null, end: null, probability: 1, words: [], sound: segment.sound }];
}

const reportPieces = once((segment) => cut(segment, "report"));

/** @param {Piece} piece @returns {Run[]} */
function plainRuns(piece) {
  const text = piece.text.trimStart();
  const space = piece.text.slice(0, piece.text.length - text.length);
  /** @type {Run[]} */
  const both = [{ kind: "space", text: space, piece: null }, { kind: "same", text, piece }];
  return both.filter((run) => run.text);
}

/** With the user's edits marked, against what the model wrote. @param {Segment} segment @returns {Run[]} */
function editedRuns(segment) {
  const before = reportPieces(segment).flatMap((piece) => tokens(piece.text).map((text) => ({ text, piece })));
  const after = tokens(final(segment));
  /** @type {Run[]} */
  const found = [];
  const put = (/** @type {Run["kind"]} */ kind, /** @type {string} */ text, /** @type {Piece|null} */ piece) => {
    const space = !text.trim();
    if (space && kind === "removed") return;
    const last = found.at(-1);
    const shown = space ? "space" : kind;
    if (last && last.kind === shown && last.piece === piece) last.text += text;
    else found.push({ kind: shown, text, piece: space ? null : piece });
  };
  for (const step of differences(before.map((token) => token.text), after)) {
    if (step.kind === "added") put("added", after[step.at], null);
    else put(step.kind, before[step.at].text, before[step.at].piece);
  }
  return found;
}

const reportRuns = once((segment) => (segment.command && !segment.edited ? [] : segment.edited === null ? reportPieces(segment).flatMap(plainRuns) : editedRuns(segment)));
const originalRuns = once((segment) => reportPieces(segment).flatMap(plainRuns));
const rawRuns = once((segment) => cut(segment, "raw").flatMap(plainRuns));

/** The shown text of one segment. @param {Segment} segment @param {"report"|"original"|"raw"} view @returns {Run[]} */
export function runs(segment, view) {
  return { report: reportRuns, original: originalRuns, raw: rawRuns }[view](segment);
}

const isAccepted = (/** @type {Piece} */ piece) => piece.words.length > 0 && piece.words.every((word) => word.accepted);

/** "missing": to be filled in; "doubt": to be checked. @param {Piece} piece @param {number} threshold @returns {"missing"|"doubt"|""} */
export function trouble(piece, threshold) {
  if (isAccepted(piece)) return "";
  if (piece.unclear) return "missing";
  return piece.probability < threshold ? "doubt" : "";
}

/** The text as it stands in the report, in runs. @param {Entry} entry */
export const shownRuns = (entry) => entry.segments.flatMap((segment) => runs(segment, "report"));

/** @typedef {{words: number, doubts: number, missing: number}} Counts */

/** @type {WeakMap<Segment, Map<number, Counts>>} */
const counted = new WeakMap();

/** As the service counts: a word is what stands between two white spaces, and has a letter or a digit. @param {Segment} segment @param {number} threshold @returns {Counts} */
function count(segment, threshold) {
  const known = counted.get(segment) ?? new Map();
  counted.set(segment, known);
  if (!known.has(threshold)) {
    const left = new Set(runs(segment, "report").flatMap(({ kind, piece }) => (kind === "same" && piece ? [piece] : [])));
    const troubles = [...left].map((piece) => trouble(piece, threshold));
    known.set(threshold, {
      words: final(segment).match(/\S*[\p{L}\p{N}]\S*/gu)?.length ?? 0,
      doubts: troubles.filter((each) => each === "doubt").length,
      missing: troubles.filter((each) => each === "missing").length,
    });
  }
  return known.get(threshold);
}

/** @param {Entry} entry @param {number} threshold @returns {Counts} */
export function counts(entry, threshold) {
  const sum = { words: 0, doubts: 0, missing: 0 };
  for (const segment of entry.segments) {
    const { words, doubts, missing } = count(segment, threshold);
    sum.words += words;
    sum.doubts += doubts;
    sum.missing += missing;
  }
  return sum;
}

/** "48 words, 3 to check, 1 to fill in". @param {Entry} entry @param {number} threshold */
export function summary(entry, threshold) {
  const { words, doubts, missing } = counts(entry, threshold);
  const told = [TEXTS.counts.words(words), doubts && TEXTS.counts.doubts(doubts), missing && TEXTS.counts.missing(missing)];
  return told.filter(Boolean).join(", ");
}

/** Words, single marks, and the white space between them. @param {string} text @returns {string[]} */
export function tokens(text) {
  return text.match(/\s+|[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];
}

/** The model's words and the user's, apart. @param {Entry} entry */
export function json(entry) {
  const { name, created, duration, about, warnings } = entry;
  const body = {
    name,
    created: created.toISOString(),
    complete: entry.state === "done",
    duration,
    ...about,
    ...(warnings.length ? { warnings } : {}),
    text: original({ ...entry, segments: entry.segments.filter(({ kind }) => !kind) }),
    raw_text: raw(entry),
    edited_text: isEdited(entry) ? report(entry) : null,
    segments: entry.segments.map((segment) => ({ text: segment.text, raw_text: segment.raw, written: final(segment), words: segment.words })),
  };
  return JSON.stringify(body, null, 2) + "\n";
}
