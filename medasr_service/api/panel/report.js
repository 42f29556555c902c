/** The text of one transcript in the page: words to listen to, doubt marked, edits marked. Text nodes only. */
import { editedRuns, segmentRuns } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Run} Run @typedef {import("./transcript.js").Piece} Piece */
/** @typedef {"report"|"original"|"raw"} View */

export class Report {
  /**
   * @param {HTMLElement} element
   * @param {{onPlay: (start: number, end: number) => void, onWord: (text: string) => void}} listener
   */
  constructor(element, { onPlay, onWord }) {
    this.element = element;
    this.onPlay = onPlay;
    this.onWord = onWord;
    /** @type {WeakMap<Element, Piece>} */
    this.pieces = new WeakMap();
    this.shown = "";
    element.addEventListener("click", ({ target }) => this.play(target));
    element.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {Entry|null} entry @param {View} view @param {number} threshold words below it are marked */
  show(entry, view, threshold) {
    this.element.dataset.view = view;
    this.threshold = threshold;
    const edited = entry !== null && view === "report" && entry.edited !== null;
    const what = `${entry?.id} ${view} ${threshold} ${edited ? entry.edited : ""}`;
    if (what !== this.shown) this.element.replaceChildren();
    this.shown = what;
    if (!entry) return;
    if (edited) this.element.replaceChildren(...editedRuns(entry).map((run) => this.node(run)));
    else this.showSegments(entry, view === "raw" ? "raw" : "report");
    this.showCaret(entry.state === "recording" || entry.state === "finishing");
    this.element.tabIndex = this.words.length ? 0 : -1;
  }

  /** Only what has changed: a long dictation grows at its end. @param {Entry} entry @param {"report"|"raw"} view */
  showSegments(entry, view) {
    this.element.querySelector(".caret")?.remove();
    entry.segments.forEach((segment, i) => {
      const state = `${segment.text.length} ${segment.raw.length} ${segment.words.length} ${segment.error ?? ""}`;
      let span = /** @type {HTMLElement|undefined} */ (this.element.children[i]);
      if (span?.dataset.state === state) return;
      if (!span) this.element.append((span = document.createElement("span")));
      span.dataset.state = state;
      span.replaceChildren(...segmentRuns(entry, i, view).map((run) => this.node(run)));
      if (segment.error) span.append(failure(segment.error));
    });
  }

  /** @param {boolean} live */
  showCaret(live) {
    this.element.querySelector(".caret")?.remove();
    if (!live) return;
    const caret = document.createElement("span");
    caret.className = "caret";
    caret.ariaHidden = "true";
    this.element.append(caret);
  }

  /** @param {Run} run @returns {Node} */
  node({ kind, text, piece }) {
    if (kind === "space") return document.createTextNode(text);
    const element = document.createElement(kind === "added" ? "ins" : kind === "removed" ? "del" : "span");
    if (kind === "removed") element.dataset.removed = text; // seen, and no part of the text
    else element.textContent = text;
    if (kind !== "same" || !piece || piece.start === null) return element;
    element.className = "w";
    element.tabIndex = -1;
    this.pieces.set(element, piece);
    if (piece.unclear) mark(element, MISSING[piece.unclear]).classList.add("missing");
    else if (piece.probability < (this.threshold ?? 0)) mark(element, `${Math.round(piece.probability * 100)} % sure`);
    return element;
  }

  /** @returns {HTMLElement[]} */
  get words() {
    return [...this.element.querySelectorAll(/** @type {"span"} */ (".w"))];
  }

  /** @param {EventTarget|null} target */
  play(target) {
    const piece = target instanceof Element && this.pieces.get(target);
    if (piece && piece.start !== null && piece.end !== null) this.onPlay(piece.start, piece.end);
  }

  /** Marks the word that is being heard. @param {number|null} seconds */
  follow(seconds) {
    const inside = (/** @type {Piece|undefined} */ piece) =>
      seconds !== null && piece?.start != null && piece.end !== null && piece.start <= seconds && seconds < piece.end;
    for (const word of this.words) word.classList.toggle("now", inside(this.pieces.get(word)));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const focused = /** @type {Element} */ (document.activeElement);
    if (event.key === "Enter" || event.key === " ") this.play(focused);
    else if (event.key in STEPS) this.step(focused, STEPS[event.key]);
    else return;
    event.preventDefault();
  }

  /** @param {Element} focused @param {{by: 1|-1, marked: boolean}} step */
  step(focused, { by, marked }) {
    const words = this.words;
    const stops = marked ? words.filter((word) => word.classList.contains("doubt")) : words;
    const at = words.indexOf(/** @type {HTMLElement} */ (focused));
    const next = by > 0 ? stops.find((word) => words.indexOf(word) > at) : stops.findLast((word) => words.indexOf(word) < at);
    if (next) next.focus();
    else this.onWord(marked ? "No further marked word." : "No further word.");
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
  doubt: "not understood: listen, and fill it in",
  placeholder: "left out by the model: listen, and fill it in",
};

/** @param {HTMLElement} element @param {string} why */
function mark(element, why) {
  element.classList.add("doubt");
  element.title = why;
  element.setAttribute("role", "button");
  element.setAttribute("aria-label", `${element.textContent}, ${why}${why.includes("listen") ? "" : ", listen"}`);
  return element;
}

/** @param {string} message */
function failure(message) {
  const element = document.createElement("span");
  element.className = "failed-turn";
  element.dataset.note = ` (not transcribed: ${message}) `;
  return element;
}
