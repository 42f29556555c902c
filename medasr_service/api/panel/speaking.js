/**
 * Spoken commands in a dictation: words that are none go into the report, those that are act on it. What a command does
 * is shown and can be undone; its own words stay in the raw text and the original.
 */
import { replace } from "./changes.js";
import { COMMANDS, CommandListener, PAUSE_S, plain } from "./commands.js";
import { nextField, previousField, sectionPlace, sections } from "./fields.js";
import { library } from "./library.js";
import { $, announce, onClick, setText } from "./page.js";
import { replaced } from "./replacements.js";
import { onSettings } from "./settings.js";
import { changed, onChange, state } from "./state.js";
import { TEXTS } from "./texts.js";
import { final, makeSegment, rawLength, report, runs } from "./transcript.js";

/** @typedef {import("./commands.js").Command} Command @typedef {import("./commands.js").Name} Name */
/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Segment} Segment @typedef {import("./transcript.js").Word} Word */
/** @typedef {import("./transcript.js").Place} Place @typedef {import("./commands.js").Heard & {item: string}} Heard */

const T = TEXTS.commands;
const SETTLED_S = 1.2; // behind its last word a command acts, where the microphone is quiet for QUIET_S of it
const QUIET_S = 0.8;

/** @type {{entry: Entry, undo: () => boolean}|null} */
let last = null;

/** @param {string} message @param {{entry: Entry, undo: () => boolean}|null} undoable */
function say(message, undoable = null) {
  last = undoable ?? last;
  setText($("command-text"), message);
  $("command-note").hidden = !message;
  $("command-undo").hidden = !last;
  if (message) announce(message);
}

function undoLast() {
  if (!last) return say(T.nothingToUndo);
  const isUndone = last.undo();
  last = null;
  say(isUndone ? T.undone : T.changedSince);
  changed();
}

/** Where these words stand in the report; null where none of them does any more. @param {Entry} entry @param {Word[]} words @returns {Place|null} */
function stretchOf(entry, words) {
  const wanted = new Set(words.flatMap((word) => word.parts ?? [word]));
  let at = 0;
  let start = -1;
  let end = -1;
  for (const { kind, text, piece } of entry.segments.flatMap((segment) => runs(segment, "report"))) {
    if (kind === "removed") continue;
    if (kind === "same" && piece?.words.some((word) => wanted.has(word))) {
      if (start < 0) start = at;
      end = at + text.length;
    }
    at += text.length;
  }
  if (start < 0) return null;
  const before = report(entry).slice(0, start);
  const spaces = Math.min(/^\s*/.exec(words[0].written ?? "")?.[0].length ?? 0, before.length - before.trimEnd().length);
  return { start: start - spaces, end };
}

/** As the model wrote it. @param {Segment} segment @returns {Segment} */
const asHeard = (segment) => ({ ...segment, edited: null, command: false });

/** The last sentence of a text. @param {string} text @returns {Place|null} */
function lastSentence(text) {
  const all = [...new Intl.Segmenter(TEXTS.language, { granularity: "sentence" }).segment(text)];
  const one = all.findLast(({ segment }) => segment.trim());
  if (!one) return null;
  const start = one.index + one.segment.length - one.segment.trimStart().length;
  return { start, end: start + one.segment.trim().length };
}

export class Speaking {
  /**
   * @param {object} dictation
   * @param {Entry} dictation.entry
   * @param {(item: string, text: string, notated: string, words: Word[]) => void} dictation.put
   * @param {(item: string, text: string, notated: string, words: Word[]) => void} dictation.putUnwritten words that the report does not show
   * @param {(made: Segment[]) => void} dictation.insert
   * @param {(place: Place) => void} dictation.goTo
   * @param {() => unknown} end of the dictation
   */
  constructor(dictation, end) {
    this.dictation = dictation;
    this.end = end;
    /** @type {Word[][]} what was said between two pauses */
    this.utterances = [];
    this.textEnd = -Infinity;
    /** @type {{end: number, revert: () => void}|null} */
    this.acted = null;
    this.quiet_s = 0;
    this.loudest = 0;
    this.listener = new CommandListener({
      onText: (heard) => this.write(/** @type {Heard[]} */ (heard)),
      onCommand: (command, heard) => this.act(command, /** @type {Heard[]} */ (heard)),
      names: () => this.names(),
      threshold: () => state.threshold,
    });
    last = null;
    say("");
  }

  /** What is held back, as it may be a command. */
  get heldText() {
    return this.listener.text;
  }

  /** What `{section}` and `{passage}` may be now. @returns {Record<string, string[]>} */
  names() {
    const passages = [...library.phrases, ...library.templates].map(({ name }) => name);
    return { section: sections(report(this.dictation.entry)).map(({ name }) => name), passage: passages };
  }

  /** @param {string} item @param {string} text @param {string} notated @param {Word[]} words */
  take(item, text, notated, words) {
    const isSpelled = words.length && words.map(({ written }) => written ?? "").join("") === text;
    if (!isSpelled || !library.preferences.commands) {
      this.listener.release();
      return this.write([{ item, text, raw: notated, word: words.at(-1) ?? { word: text, start: NaN, end: NaN, probability: 0 }, words }]);
    }
    let at = 0;
    for (const [i, word] of words.entries()) {
      const end = i === words.length - 1 ? notated.length : at + rawLength(notated.slice(at), [word]);
      const heard = { item, text: word.written ?? "", raw: notated.slice(at, end), word };
      at = end;
      if (this.acted && !plain(heard.text).length) this.dictation.putUnwritten(item, heard.text, heard.raw, [word]); // the mark of a command
      else {
        this.doubt(word);
        this.listener.take([heard]);
      }
    }
  }

  /** A word that follows at once says that what stood before it was no command. @param {Word} word */
  doubt(word) {
    if (!this.acted) return;
    const isGlued = word.start - this.acted.end < PAUSE_S;
    if (isGlued) this.acted.revert();
    this.acted = null;
  }

  /** @param {(Heard & {words?: Word[]})[]} heard */
  write(heard) {
    const { dictation } = this;
    for (const { item, text, raw, word, words = [word] } of heard) {
      dictation.put(item, text, raw, words);
      if (word.start - this.textEnd >= PAUSE_S || !this.utterances.length) this.utterances.push([]);
      this.utterances.at(-1)?.push(...words);
      this.textEnd = word.end;
      const at = (dictation.entry.live ?? 0) - 1;
      const segment = dictation.entry.segments[at];
      const made = segment && replaced(segment);
      if (made && made !== segment) dictation.entry.segments = dictation.entry.segments.with(at, made);
    }
  }

  /** @param {number} now_s on the clock of the words @param {number} peak @param {number} length_s of the block */
  tick(now_s, peak, length_s) {
    this.loudest = Math.max(this.loudest * 0.999, peak);
    this.quiet_s = peak < Math.max(0.01, this.loudest / 8) ? this.quiet_s + length_s : 0;
    const isOver = this.quiet_s >= QUIET_S && now_s - this.listener.end >= SETTLED_S;
    if (!isOver || !this.listener.held.length) return;
    this.listener.decide();
    this.dictation.entry.unfinished = "";
    changed();
  }

  /** The turn is over. */
  finish() {
    this.listener.decide();
  }

  /** @param {Command} command @param {Heard[]} heard */
  act({ name, argument }, heard) {
    const { dictation } = this;
    const { entry } = dictation;
    for (const { item, text, raw, word } of heard) dictation.putUnwritten(item, text, raw, [word]);
    const own = new Set(entry.segments.slice((entry.live ?? 0) - heard.length, entry.live ?? 0));
    const said = heard.map(({ text }) => text).join("").trim();
    const undo = this.perform(name, argument, said);
    const revert = () => {
      undo?.();
      entry.segments = entry.segments.map((segment) => (own.has(segment) ? asHeard(segment) : segment));
      say(T.notAlone(said));
    };
    this.acted = { end: heard.at(-1)?.word.end ?? 0, revert };
    this.textEnd = -Infinity;
  }

  /** By key, button or menu what could be said. @param {Name} name @param {string} [argument] */
  press(name, argument = "") {
    this.listener.decide();
    this.dictation.entry.unfinished = "";
    this.perform(name, argument, "");
    this.textEnd = -Infinity;
    changed();
  }

  /** @param {Name} name @param {string} argument @param {string} said @returns {(() => boolean)|null} takes the change of the text back */
  perform(name, argument, said) {
    const { entry } = this.dictation;
    const before = { segments: entry.segments, text: report(entry), place: this.before.length };
    const message = this[name](argument);
    const after = entry.segments;
    const text = report(entry);
    const undo = text === before.text ? () => this.back(before.place, text) : () => taken(entry, before.segments, after);
    const isUndoable = name !== "undo" && name !== "stop" && after !== before.segments;
    say(T.done(said, message), isUndoable ? { entry, undo } : null);
    return isUndoable && text !== before.text ? undo : null;
  }

  /** To where the dictation was, unless something has been said since. @param {number} place @param {string} text */
  back(place, text) {
    const { dictation } = this;
    if (state.dictation !== "on" || report(dictation.entry) !== text) return false;
    dictation.goTo({ start: place, end: place });
    return true;
  }

  /** The text before the place where the dictation is. */
  get before() {
    const { segments, live } = this.dictation.entry;
    return segments.slice(0, live ?? segments.length).map(final).join("");
  }

  /** @returns {string} what it did */
  scratch() {
    const { entry } = this.dictation;
    const chosen = entry.place && entry.place.start < entry.place.end ? entry.place : null;
    let stretch = chosen;
    for (let i = this.utterances.length - 1; i >= 0 && !stretch; i--) stretch = stretchOf(entry, this.utterances[i]);
    if (!stretch) return T.nothingToScratch;
    const { start, end } = stretch;
    const text = report(entry);
    const spaces = start ? 0 : /^ */.exec(text.slice(end))?.[0].length ?? 0; // of what stands first now
    replace(entry, { start, end: end + spaces }, "");
    return T.scratched(text.slice(start, end).trim());
  }

  selectSentence() {
    const place = lastSentence(this.before);
    if (!place) return T.noSentence;
    this.dictation.goTo(place);
    return T.selected;
  }

  /** @param {string} name */
  goTo(name) {
    const place = sectionPlace(report(this.dictation.entry), name);
    if (!place) return T.noSection(name);
    this.dictation.goTo(place);
    return T.wentTo(name);
  }

  nextField() {
    const { entry } = this.dictation;
    const from = entry.place && entry.place.start < entry.place.end ? entry.place.end : this.before.length;
    return this.toField(nextField(report(entry), from));
  }

  previousField() {
    const { entry } = this.dictation;
    const from = entry.place && entry.place.start < entry.place.end ? entry.place.start : this.before.length;
    return this.toField(previousField(report(entry), from));
  }

  /** @param {Place|null} place */
  toField(place) {
    if (!place) return T.noField;
    this.dictation.goTo(place);
    return T.atField;
  }

  /** @param {string} name */
  insert(name) {
    const passage = [...library.phrases, ...library.templates].find((each) => each.name === name);
    if (!passage) return T.noPassage(name);
    this.insertText(passage.text);
    return T.inserted(name);
  }

  /** Where the dictation is, in place of what is selected; on to its first field, where it has one. @param {string} text */
  insertText(text) {
    const { dictation } = this;
    const { entry } = dictation;
    if (entry.place && entry.place.start < entry.place.end) replace(entry, entry.place, "");
    const { before } = this;
    const isBlock = text.includes("\n");
    const space = !before || before.endsWith("\n") || (!isBlock && /\s$/.test(before)) ? "" : isBlock ? "\n\n" : " ";
    dictation.insert([makeSegment({ id: "typed", edited: space + text })]);
    const field = nextField(text, 0);
    const start = before.length + space.length;
    if (field) dictation.goTo({ start: start + field.start, end: start + field.end });
  }

  stop() {
    queueMicrotask(this.end); // when what is heard now has been taken
    return T.stopped;
  }

  undo() {
    if (!last) return T.nothingToUndo;
    const isUndone = last.undo();
    last = null;
    return isUndone ? T.undone : T.changedSince;
  }
}

/**
 * Takes a change back and nothing else: what was said since stays. Not where the changed text was changed again.
 * @param {Entry} entry @param {Segment[]} before @param {Segment[]} after
 */
function taken(entry, before, after) {
  if (before.length === after.length) {
    const was = new Map(after.map((segment, i) => [segment, before[i]]));
    if (after.some((segment, i) => segment !== before[i] && !entry.segments.includes(segment))) return false;
    entry.segments = entry.segments.map((segment) => was.get(segment) ?? segment);
    entry.saved = false;
    return true;
  }
  const gone = after.filter((segment) => !before.includes(segment));
  const missing = before.filter((segment) => !after.includes(segment));
  if (gone.some((segment) => !entry.segments.includes(segment))) return false;
  const at = gone.length ? entry.segments.indexOf(gone[0]) : -1;
  const rest = entry.segments.filter((segment) => !gone.includes(segment));
  const live = entry.live === null ? null : entry.live - gone.filter((segment) => entry.segments.indexOf(segment) < (entry.live ?? 0)).length;
  entry.segments = rest.toSpliced(at, 0, ...missing);
  if (live !== null) entry.live = live + (at <= live ? missing.length : 0);
  entry.saved = false;
  return true;
}

onSettings(() => {
  $("commands-on").checked = library.preferences.commands;
  const rows = COMMANDS.map(({ said, name }) => {
    const row = document.createElement("tr");
    for (const [tag, text] of [["th", `“${said.replace(/\{(\w+)\}/, (_, kind) => T.argument[/** @type {"section"} */ (kind)])}”`], ["td", T.does[name]]]) {
      const cell = document.createElement(tag);
      if (tag === "th") /** @type {HTMLTableCellElement} */ (cell).scope = "row";
      cell.textContent = text;
      row.append(cell);
    }
    return row;
  });
  $("command-list").replaceChildren(...rows);
});
onChange(() => {
  if (last && last.entry !== state.selected) {
    last = null;
    say("");
  }
});
onClick("command-undo", undoLast);
