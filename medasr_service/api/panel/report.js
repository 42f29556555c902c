/**
 * The text of one transcript in the page: words to listen to, doubt marked, edits marked. What is no part of the
 * text, removed words and notes, stands in attributes (style.css shows them): so nothing can copy it.
 */
import { Flow, parts } from "./flow.js";
import { final, runs, trouble } from "./transcript.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.report;

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Run} Run @typedef {import("./transcript.js").Piece} Piece @typedef {import("./transcript.js").Segment} Segment */
/** @typedef {"report"|"original"|"raw"} View */

export class Report {
  /**
   * @param {HTMLElement} element
   * @param {{onPlay: (piece: Piece, start: number) => void, onWord: (text: string) => void, onPlace: (start: number, end: number) => void}} listener
   *   `onPlace`: the user has gone to a place of the text, or selected a part of it
   */
  constructor(element, { onPlay, onWord, onPlace }) {
    this.element = element;
    this.flow = new Flow(element);
    this.onPlay = onPlay;
    this.onWord = onWord;
    this.onPlace = onPlace;
    /** @type {WeakMap<Element, Piece>} */
    this.pieces = new WeakMap();
    /** @type {Segment[]} */
    this.segments = [];
    this.caret = silent("caret");
    this.mark = silent("place");
    this.marked = 0;
    this.shown = "";
    /** @type {View} */
    this.view = "report";
    /** @type {{element: HTMLElement, piece: Piece}[]|null} in the order of their times */
    this.timed = null;
    /** @type {HTMLElement[]} */
    this.now = [];
    element.addEventListener("click", ({ target }) => this.play(target));
    element.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("selectionchange", () => this.selected());
  }

  /** @param {Entry|null} entry @param {View} view @param {number} threshold words below it are marked */
  show(entry, view, threshold) {
    this.element.dataset.view = view;
    const what = `${entry?.id} ${view} ${threshold}`;
    if (what !== this.shown) {
      this.flow.clear(); // its marks too
      this.segments = [];
    }
    [this.shown, this.view, this.threshold] = [what, view, threshold];
    this.showSegments(entry?.segments ?? []);
    this.showCaret(entry);
    this.showMark(entry);
    this.element.tabIndex = this.element.querySelector(".w") ? 0 : -1;
  }

  /** Only what has changed: a segment that is shown already is the same object. @param {Segment[]} segments */
  showSegments(segments) {
    const { segments: before } = this;
    if (before === segments) return;
    this.caret.remove();
    this.mark.remove();
    const most = Math.min(before.length, segments.length);
    let head = 0;
    while (head < most && before[head] === segments[head]) head++;
    let tail = 0;
    while (tail < most - head && before.at(-1 - tail) === segments.at(-1 - tail)) tail++;
    const fresh = segments.slice(head, segments.length - tail).map((segment) => parts(runs(segment, this.view).map((run) => this.node(run))));
    this.flow.splice(head, before.length - tail - head, fresh);
    this.segments = segments;
    this.timed = null;
  }

  /** Where the text grows, with what is heard there and not yet sure. @param {Entry|null} entry */
  showCaret(entry) {
    const { caret } = this;
    if (entry?.state !== "recording" && entry?.state !== "finishing") return caret.remove();
    if ((caret.dataset.unfinished ?? "") !== entry.unfinished) caret.dataset.unfinished = entry.unfinished;
    if (caret.parentNode) return; // it goes when the text changes
    this.flow.insert(caret, entry.live ?? this.segments.length);
  }

  /** Where the user is, and the next dictation goes on. @param {Entry|null} entry */
  showMark(entry) {
    const { place } = entry ?? {};
    const isShown = place && this.view === "report" && place.start === place.end && entry?.state !== "recording" && entry?.state !== "finishing";
    if (!isShown) return this.mark.remove();
    if (this.mark.parentNode && this.marked === place.start) return;
    this.mark.remove();
    this.marked = place.start;
    this.pointAt(place.start).insertNode(this.mark);
  }

  /** A point of the text: behind what stands before that letter, and behind a line end on the next line. @param {number} offset */
  pointAt(offset) {
    const range = document.createRange();
    let at = 0;
    let left = offset;
    while (at < this.segments.length - 1 && final(this.segments[at]).length < left) left -= final(this.segments[at++]).length;
    range.setStart(this.flow.parts[at]?.[0] ?? this.element, 0);
    for (const node of this.flow.texts(at)) {
      const { length } = node;
      if (left > length) {
        left -= length;
        continue;
      }
      const whole = this.flow.isPart(node.parentNode) ? node : /** @type {Node} */ (node.parentNode);
      if (left === 0) range.setStartBefore(whole);
      else if (left === length) range.setStartAfter(whole);
      else range.setStart(node, left);
      if (left < length || !node.data.endsWith("\n")) break;
      left = 0;
    }
    range.collapse(true);
    return range;
  }

  /** How many letters of the text stand before a point of the page. @param {Node} node @param {number} offset */
  lettersBefore(node, offset) {
    const range = document.createRange();
    const { at, part } = this.flow.find(node);
    range.selectNodeContents(at < 0 ? this.element : part);
    range.setEnd(node, offset);
    let letters = range.toString().length;
    for (const segment of this.segments.slice(0, Math.max(at, 0))) letters += final(segment).length;
    const own = this.flow.parts[at] ?? [];
    for (const before of own.slice(0, own.indexOf(part))) letters += before.textContent?.length ?? 0;
    return letters;
  }

  /** The user has selected something, or clicked somewhere. */
  selected() {
    const selection = getSelection();
    if (this.view !== "report" || !selection?.rangeCount || !this.segments.length) return;
    const range = selection.getRangeAt(0);
    if (!this.element.contains(range.startContainer) || !this.element.contains(range.endContainer)) return;
    if (selection.isCollapsed) return this.clicked(range.startContainer, range.startOffset);
    this.onPlace(this.lettersBefore(range.startContainer, range.startOffset), this.lettersBefore(range.endContainer, range.endOffset));
  }

  /** Into a word: its nearer end counts. @param {Node} node @param {number} offset */
  clicked(node, offset) {
    const word = node instanceof Text && node.parentElement?.classList.contains("w") ? node : null;
    const at = this.lettersBefore(node, word ? (2 * offset > word.length ? word.length : 0) : offset);
    this.onPlace(at, at);
  }

  /** @param {Run} run @returns {Node} */
  node({ kind, text, piece }) {
    if (kind === "space") return document.createTextNode(text);
    const element = document.createElement(kind === "added" ? "ins" : kind === "removed" ? "del" : "span");
    if (kind === "removed") element.dataset.removed = text;
    else element.textContent = text;
    if (kind !== "same" || !piece || piece.start === null) return element;
    element.className = "w";
    element.tabIndex = -1;
    this.pieces.set(element, piece);
    const found = trouble(piece, this.threshold ?? 0);
    if (found === "missing") mark(element, MISSING[piece.unclear ?? "doubt"]).classList.add("missing");
    else if (found === "doubt") mark(element, T.sure(Math.round(piece.probability * 100)));
    return element;
  }

  /** @returns {HTMLElement[]} */
  get words() {
    return [...this.element.querySelectorAll(/** @type {"span"} */ (".w"))];
  }

  /** @param {EventTarget|null} target */
  play(target) {
    const piece = target instanceof Element && this.pieces.get(target);
    if (piece) this.onPlay(piece, this.lettersBefore(/** @type {Element} */ (target), 0));
  }

  /** Marks the word that is being heard. @param {number|null} seconds @param {0|1} sound */
  follow(seconds, sound) {
    for (const word of this.now) word.classList.remove("now");
    this.now = seconds === null ? [] : this.heardAt(seconds, sound);
    for (const word of this.now) word.classList.add("now");
  }

  /** @param {number} seconds @param {0|1} sound @returns {HTMLElement[]} */
  heardAt(seconds, sound) {
    this.timed ??= this.words
      .map((element) => ({ element, piece: /** @type {Piece} */ (this.pieces.get(element)) }))
      .toSorted((a, b) => (a.piece.start ?? 0) - (b.piece.start ?? 0));
    let [low, high] = [0, this.timed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.timed[middle].piece.start ?? 0) <= seconds) low = middle + 1;
      else high = middle;
    }
    const near = this.timed.slice(Math.max(0, low - 4), low); // words of two sounds lie between each other
    const found = near.findLast(({ piece }) => piece.sound === sound && seconds < (piece.end ?? 0));
    return found ? [found.element] : [];
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    if (event.key === "Enter" || event.key === " ") focused.click();
    else if (event.key in STEPS) this.step(focused, STEPS[event.key]);
    else return;
    event.preventDefault();
  }

  /** @param {Element} focused @param {{by: 1|-1, marked: boolean}} step */
  step(focused, { by, marked }) {
    const words = this.words;
    const at = words.indexOf(/** @type {HTMLElement} */ (focused));
    const isStop = (/** @type {HTMLElement} */ word) => !marked || word.classList.contains("doubt");
    const next = by > 0 ? words.slice(at + 1).find(isStop) : words.slice(0, Math.max(at, 0)).findLast(isStop);
    if (!next) return this.onWord(marked ? T.noMarked : T.noWord);
    next.focus();
    if (this.view !== "report") return;
    const letters = this.lettersBefore(next, next.childNodes.length);
    this.onPlace(letters, letters);
  }
}

/** @type {Record<string, {by: 1|-1, marked: boolean}>} */
const STEPS = {
  ArrowRight: { by: 1, marked: false },
  ArrowLeft: { by: -1, marked: false },
  ArrowDown: { by: 1, marked: true },
  ArrowUp: { by: -1, marked: true },
};

const MISSING = {
  doubt: T.doubt,
  placeholder: T.placeholder,
  unread: T.unread,
};

/** @param {HTMLElement} element @param {string} why */
function mark(element, why) {
  element.classList.add("doubt");
  element.title = why;
  element.setAttribute("role", "button");
  element.setAttribute("aria-label", T.described(element.textContent ?? "", why));
  return element;
}

/** An element that shows something and says nothing. @param {string} className */
function silent(className) {
  const element = document.createElement("span");
  element.className = className;
  element.ariaHidden = "true";
  return element;
}
