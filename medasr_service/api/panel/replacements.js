/**
 * The user's replacements ("hctz" as "hydrochlorothiazide"), made in the page and not by the service: so the model's
 * words stay what they were in the original and the raw text, each replacement is marked, and can be taken back. Only of
 * words that were heard surely: a doubt must stay to be seen.
 */
import { change } from "./changes.js";
import { plain } from "./commands.js";
import { library } from "./library.js";
import { $, announce, setText } from "./page.js";
import { onChange, state } from "./state.js";
import { TEXTS } from "./texts.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Segment} Segment @typedef {import("./transcript.js").Word} Word */
/** @typedef {{first: number, last: number, heard: string, to: string}} Found the words from the first to the last */

const T = TEXTS.replaced;

/** @param {Word[]} words @param {number} at @param {string[]} wanted @returns {number} of the last word, or -1 */
function ends(words, at, wanted) {
  let matched = 0;
  for (let i = at; i < words.length; i++) {
    const heard = plain(words[i].written ?? "");
    if (!heard.length || words[i].unclear || words[i].probability < state.threshold) return -1;
    if (!heard.every((each) => each === wanted[matched++])) return -1;
    if (matched === wanted.length) return i;
  }
  return -1;
}

/** The longest first, where several begin at one word. @param {Word[]} words @returns {Found[]} */
function find(words) {
  const known = library.replacements
    .map(({ from, to }) => ({ wanted: plain(from), to }))
    .filter(({ wanted }) => wanted.length)
    .toSorted((a, b) => b.wanted.length - a.wanted.length);
  /** @type {Found[]} */
  const found = [];
  for (let first = 0; known.length && first < words.length; first++) {
    for (const { wanted, to } of known) {
      const last = ends(words, first, wanted);
      if (last < 0) continue;
      const heard = textOf(words.slice(first, last + 1));
      found.push({ first, last, heard: core(heard).text, to: cased(to, core(heard).text) });
      first = last;
      break;
    }
  }
  return found;
}

/** @param {Word[]} words */
const textOf = (words) => words.map((word) => word.written ?? "").join("");

/** A word without what stands around it. @param {string} whole */
function core(whole) {
  const [, before, text, behind] = /** @type {RegExpExecArray} */ (/^([^\p{L}\p{N}]*)(.*?)([^\p{L}\p{N}]*)$/su.exec(whole));
  return { before, text, behind };
}

/** With a capital where a sentence began with one. @param {string} to @param {string} heard */
function cased(to, heard) {
  const isCapital = /^\p{Lu}\p{Ll}/u.test(heard);
  return isCapital ? to.charAt(0).toUpperCase() + to.slice(1) : to;
}

/** @param {Segment} segment @param {Found[]} found @returns {Segment} */
function written(segment, found) {
  if (!found.length) return { ...segment, edited: null, replaced: undefined };
  let text = "";
  segment.words.forEach((word, i) => {
    const one = found.find(({ first, last }) => first <= i && i <= last);
    if (!one) text += word.written ?? "";
    else if (i === one.last) {
      const { before, behind } = core(textOf(segment.words.slice(one.first, i + 1)));
      text += before + one.to + behind;
    }
  });
  return { ...segment, edited: text, replaced: found };
}

/** The segment with the user's replacements; the same one where there are none, or somebody has changed it. @param {Segment} segment @returns {Segment} */
export function replaced(segment) {
  if (segment.edited !== null || textOf(segment.words) !== segment.text) return segment;
  const found = find(segment.words);
  return found.length ? written(segment, found) : segment;
}

/** Those that are in the text still. @param {Segment} segment */
const standing = (segment) => (segment.replaced && segment.edited === written(segment, segment.replaced).edited ? segment.replaced : []);

/** @param {Entry} entry @param {Segment} segment @param {Found} one */
function takeBack(entry, segment, one) {
  const made = written(segment, standing(segment).filter((each) => each !== one));
  change(entry, entry.segments.map((each) => (each === segment ? made : each)));
  announce(T.takenBack(one.heard));
}

/** @param {Entry} entry @param {Segment} segment @param {Found} one */
function item(entry, segment, one) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = T.takeBack;
  button.ariaLabel = T.takeBackOf(one.heard);
  button.addEventListener("click", () => takeBack(entry, segment, one));
  const element = document.createElement("li");
  element.append(T.one(one.heard, one.to), " ", button);
  return element;
}

/** @type {Segment[]|null} */
let shown = null;

onChange(() => {
  const entry = state.selected;
  if (entry?.segments === shown) return;
  shown = entry?.segments ?? null;
  const items = (entry?.segments ?? []).flatMap((segment) => standing(segment).map((one) => item(/** @type {Entry} */ (entry), segment, one)));
  $("replaced").hidden = !items.length;
  setText($("replaced-count"), T.count(items.length));
  $("replaced-list").replaceChildren(...items);
});
