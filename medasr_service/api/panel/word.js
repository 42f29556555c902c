/** What can be done with one word: hear it, take it as right, put what else the model considered in its place, say it again. */
import { change, replace } from "./changes.js";
import { speakAgain } from "./dictation.js";
import { $, announce } from "./page.js";
import { readings } from "./readings.js";
import { state } from "./state.js";
import { TEXTS } from "./texts.js";
import { summary, trouble } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Piece} Piece @typedef {import("./transcript.js").Place} Place */

const T = TEXTS.word;

/** @type {{entry: Entry, piece: Piece, place: Place, sound: Blob|null}|null} */
let shown = null;

/** @param {string} label @param {() => unknown} action */
function button(label, action) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = label;
  element.addEventListener("click", action);
  return element;
}

/** @param {string} text */
function about(text) {
  const element = document.createElement("span");
  element.className = "about";
  element.textContent = text;
  return element;
}

/** @param {{entry: Entry, piece: Piece, place: Place, sound: Blob|null}} word @param {{onHear: () => void, onFrom: () => void}} listener */
export function showWord(word, { onHear, onFrom }) {
  shown = word;
  const found = trouble(word.piece, state.threshold);
  const sure = word.piece.unclear ? T.unclear : T.sure(Math.round(word.piece.probability * 100));
  const canHear = word.sound !== null;
  $("word").replaceChildren(
    about(`“${word.piece.text.trim()}”: ${sure}`),
    ...(canHear ? [button(T.hear, onHear), button(T.from, onFrom)] : []),
    ...(found ? [button(T.accept, accept)] : []),
    ...(state.view === "report" ? [button(T.again, again)] : []),
    ...(canHear && state.view === "report" ? [button(T.others, others)] : []),
  );
  $("word").hidden = false;
}

export function hideWord() {
  shown = null;
  $("word").hidden = true;
}

/** @param {Entry} entry */
const left = (entry) => T.left(summary(entry, state.threshold));

function accept() {
  if (!shown) return;
  const { entry, piece } = shown;
  const taken = new Set(piece.words);
  /** @type {(word: import("./transcript.js").Word) => import("./transcript.js").Word} */
  const accepted = (word) => {
    if (word.parts) return word.parts.some((part) => taken.has(part)) ? { ...word, parts: word.parts.map(accepted) } : word;
    return taken.has(word) ? { ...word, accepted: true } : word;
  };
  const segments = entry.segments.map((segment) => {
    const words = segment.words.map(accepted);
    return words.some((word, i) => word !== segment.words[i]) ? { ...segment, words } : segment;
  });
  hideWord();
  change(entry, segments);
  announce(`${T.accepted} ${left(entry)}`);
  $("transcript").focus();
}

function again() {
  if (shown) speakAgain(shown.entry, shown.place);
}

/** @param {string} text */
function put(text) {
  if (!shown) return;
  const { entry, place } = shown;
  hideWord();
  replace(entry, place, text);
  announce(`${T.replaced(text)} ${left(entry)}`);
  $("transcript").focus();
}

/** Asked for when they are wanted: the sound round the word is sent once more. @this {HTMLElement} */
async function others() {
  if (!shown?.sound) return;
  const { piece, sound } = shown;
  this.textContent = T.asking;
  let found;
  try {
    found = await readings(sound, piece);
  } catch (error) {
    if (shown?.piece === piece) this.replaceWith(about(T.failed(/** @type {Error} */ (error).message)));
    return;
  }
  if (shown?.piece !== piece) return;
  const told = found.map(({ text, probability }) => button(`${text} ${T.share(Math.round(probability * 100))}`, () => put(text)));
  this.replaceWith(...(told.length ? told : [about(T.none)]));
  announce(found.length ? T.found(found.length) : T.none);
  told[0]?.focus();
}
