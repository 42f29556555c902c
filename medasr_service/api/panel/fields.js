/** Fields of a template, `[___]`, and the sections of a report: where they are in a text. Pure functions. */
import { blocks } from "./layout.js";

const FIELD = /\[_{2,}\]/g;

/** @typedef {{start: number, end: number}} Span of characters */

/** @param {string} text @returns {Span[]} */
export const fields = (text) => [...text.matchAll(FIELD)].map(({ index, 0: found }) => ({ start: index, end: index + found.length }));

/** The next field at or behind a place, from the first again where none is left there. @param {string} text @param {number} at @returns {Span|null} */
export function nextField(text, at) {
  const all = fields(text);
  return all.find(({ start }) => start >= at) ?? all[0] ?? null;
}

/** @param {string} text @param {number} at @returns {Span|null} */
export function previousField(text, at) {
  const all = fields(text);
  return all.findLast(({ end }) => end <= at) ?? all.at(-1) ?? null;
}

/** How a section is called aloud: "FINDINGS:" as "findings". @param {string} name */
const spokenName = (name) => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ").trim();

/**
 * The headings and labels of a text, each with what stands below or behind it.
 * @param {string} text @returns {(Span & {name: string})[]}
 */
export function sections(text) {
  /** @type {(Span & {name: string})[]} */
  const found = [];
  let at = 0;
  for (const { kind, lines } of blocks(text)) {
    for (const { label, text: rest } of lines) {
      const title = kind === "heading" ? rest : label;
      if (title) {
        const start = text.indexOf(title, at) + title.length;
        if (found.length) found[found.length - 1].end = start - title.length;
        found.push({ name: spokenName(title), start, end: text.length });
        at = start;
      }
      if (kind === "paragraph" && rest) at = text.indexOf(rest, at) + rest.length;
    }
  }
  return found;
}

/** Where one goes on in a section: its first field, or the end of what stands there. @param {string} text @param {string} name @returns {Span|null} */
export function sectionPlace(text, name) {
  const section = sections(text).find((each) => each.name === spokenName(name));
  if (!section) return null;
  const inside = fields(text).find(({ start, end }) => start >= section.start && end <= section.end);
  const end = section.start + text.slice(section.start, section.end).trimEnd().length;
  return inside ?? { start: end, end };
}
