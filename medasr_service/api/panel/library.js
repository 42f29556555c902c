/**
 * What a user has made for this page: vocabulary, phrases, templates, and how the page behaves. In memory; in the
 * browser's storage only where the user says so; as one JSON file to take along. Nothing in it comes from a recording.
 *
 * @typedef {object} Replacement what is said, and what is written for it
 * @property {string} from @property {string} to
 *
 * @typedef {object} Passage a phrase or a template
 * @property {string} name what it is called, also aloud
 * @property {string} text
 *
 * @typedef {object} Preferences
 * @property {boolean} commands whether spoken commands act
 * @property {string} hotkey as `KeyboardEvent.code` has it
 * @property {boolean} pushToTalk record only while the key is held
 * @property {"lf"|"crlf"} lineEnds of what is copied and saved
 *
 * @typedef {object} Library
 * @property {string[]} keywords terms that the service is to favour
 * @property {Replacement[]} replacements
 * @property {Passage[]} phrases
 * @property {Passage[]} templates
 * @property {Preferences} preferences
 */
import { changed } from "./state.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.library;
const FORMAT = "medasr-panel";
const VERSION = 1;
const STORE = "medasr-library";

/** Of the terms: what the service takes (`keywords` in docs/api.md). */
export const LIMITS = { bytes: 1_000_000, keywords: 500, keyword: 64, replacements: 500, from: 64, to: 200, passages: 200, name: 60, text: 20_000 };

/** @returns {Library} */
export const empty = () => ({
  keywords: [],
  replacements: [],
  phrases: [],
  templates: [],
  preferences: { commands: true, hotkey: "F2", pushToTalk: false, lineEnds: "lf" },
});

/** @type {Library} */
export const library = empty();

/** A file that is not a library, or goes beyond a limit; says what and where. */
export class LibraryError extends Error {}

// oxlint-disable-next-line no-control-regex -- these are what must not be there
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/** @param {unknown} value @param {string} where @param {number} most characters */
function checked(value, where, most) {
  if (typeof value !== "string") throw new LibraryError(T.notText(where));
  const text = value.replaceAll("\r\n", "\n").trim();
  if (!text) throw new LibraryError(T.empty(where));
  if (text.length > most) throw new LibraryError(T.tooLong(where, text.length, most));
  if (CONTROL.test(text)) throw new LibraryError(T.control(where));
  return text;
}

/** On one line. @param {unknown} value @param {string} where @param {number} most */
const line = (value, where, most) => checked(value, where, most).replaceAll(/\s+/g, " ");

/**
 * @template R
 * @param {unknown} value @param {string} where @param {number} most @param {(each: any, where: string) => R} take
 * @returns {R[]}
 */
function list(value, where, most, take) {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new LibraryError(T.notList(where));
  if (value.length > most) throw new LibraryError(T.tooMany(where, value.length, most));
  return value.map((each, i) => take(each, `${where}[${i}]`));
}

/** @param {unknown} value @param {string} where @param {string[]} keys that it may have @returns {Record<string, any>} */
function object(value, where, keys) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new LibraryError(T.notObject(where));
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown) throw new LibraryError(T.unknown(`${where}.${unknown.slice(0, 40)}`));
  return value;
}

/** The last of those with the same name. @template V @param {V[]} values @param {(value: V) => string} name */
const once = (values, name) => [...new Map(values.map((value) => [name(value).toLowerCase(), value])).values()];

/** @param {any} value @param {string} where @returns {Passage} */
function passage(value, where) {
  const { name, text } = object(value, where, ["name", "text"]);
  return { name: line(name, `${where}.name`, LIMITS.name), text: checked(text, `${where}.text`, LIMITS.text) };
}

/** @param {any} value @param {string} where @returns {Replacement} */
function replacement(value, where) {
  const { from, to } = object(value, where, ["from", "to"]);
  return { from: line(from, `${where}.from`, LIMITS.from), to: line(to, `${where}.to`, LIMITS.to) };
}

/** @param {unknown} value @returns {Preferences} */
function preferences(value) {
  const found = { ...empty().preferences };
  const given = object(value ?? {}, "preferences", Object.keys(found));
  for (const key of /** @type {const} */ (["commands", "pushToTalk"])) {
    if (given[key] === undefined) continue;
    if (typeof given[key] !== "boolean") throw new LibraryError(T.notBoolean(`preferences.${key}`));
    found[key] = given[key];
  }
  if (given.hotkey !== undefined) found.hotkey = line(given.hotkey, "preferences.hotkey", 20);
  if (given.lineEnds !== undefined) {
    if (!["lf", "crlf"].includes(given.lineEnds)) throw new LibraryError(T.unknown("preferences.lineEnds"));
    found.lineEnds = given.lineEnds;
  }
  return found;
}

/** What came from elsewhere, checked and cleaned. @param {unknown} value @returns {Library} @throws {LibraryError} */
export function read(value) {
  const given = object(value, "", ["format", "version", ...Object.keys(empty())]);
  if (given.format !== FORMAT) throw new LibraryError(T.otherFormat);
  if (given.version !== VERSION) throw new LibraryError(T.otherVersion(String(given.version).slice(0, 20)));
  return {
    keywords: once(list(given.keywords, "keywords", LIMITS.keywords, (each, where) => line(each, where, LIMITS.keyword)), String),
    replacements: once(list(given.replacements, "replacements", LIMITS.replacements, replacement), ({ from }) => from),
    phrases: once(list(given.phrases, "phrases", LIMITS.passages, passage), ({ name }) => name),
    templates: once(list(given.templates, "templates", LIMITS.passages, passage), ({ name }) => name),
    preferences: preferences(given.preferences),
  };
}

/** @param {string} text of a file @returns {Library} @throws {LibraryError} */
export function parse(text) {
  if (text.length > LIMITS.bytes) throw new LibraryError(T.tooLarge(LIMITS.bytes));
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new LibraryError(T.notJson);
  }
  return read(value);
}

/** @param {Library} kept */
export const write = (kept) => JSON.stringify({ format: FORMAT, version: VERSION, ...kept }, null, 2) + "\n";

/** Both; where a name is in both, what was added. @param {Library} kept @param {Library} added @throws {LibraryError} */
export function joined(kept, added) {
  const both = { format: FORMAT, version: VERSION, ...kept, preferences: added.preferences };
  for (const key of /** @type {const} */ (["keywords", "replacements", "phrases", "templates"])) {
    const name = (/** @type {any} */ each) => each.name ?? each.from ?? each;
    both[key] = /** @type {any} */ (once([...kept[key], ...added[key]], name));
  }
  return read(both);
}

export const isKept = () => localStorage.getItem(STORE) !== null;

/** Takes a change over, and into the browser where things are kept there. @param {Partial<Library>} news @throws {LibraryError} */
export function change(news) {
  Object.assign(library, read({ format: FORMAT, version: VERSION, ...library, ...news }));
  if (isKept()) keep(true);
  changed();
}

/** @param {boolean} wanted @throws {LibraryError} where the browser has no room */
export function keep(wanted) {
  if (!wanted) return localStorage.removeItem(STORE);
  try {
    localStorage.setItem(STORE, write(library));
  } catch {
    throw new LibraryError(T.noRoom);
  }
}

/** Nothing is left, here or in the browser. */
export function forget() {
  localStorage.removeItem(STORE);
  Object.assign(library, empty());
  changed();
}

try {
  const stored = localStorage.getItem(STORE);
  if (stored !== null) Object.assign(library, parse(stored));
} catch {
  // of another version, or altered by hand: it stays where it is, and the page begins without
}
