/**
 * A report as it is laid out: headings, and paragraphs whose lines may begin with a label. Pure functions; what writes
 * rich text, Word and FHIR builds on it, and each escapes for itself.
 *
 * @typedef {object} Line
 * @property {string} label what stands before the colon, with it, or ""
 * @property {string} text
 *
 * @typedef {object} Block
 * @property {"heading"|"paragraph"} kind
 * @property {Line[]} lines of a heading one
 */

// "FINDINGS", "PAST HISTORY:", alone on a line; "Lungs: clear", "INDICATION: cough"
const HEADING = /^(?=.*\p{Lu}{2})[\p{Lu}\p{N}][\p{Lu}\p{N} /&,()'’-]{1,58}:?$/u;
const LABEL = /^(\p{Lu}[\p{L}\p{N} /&,()'’-]{1,58}:)\s+(?=\S)/u;

/** @param {string} line @returns {Line} */
function parted(line) {
  const label = LABEL.exec(line)?.[1] ?? "";
  return { label, text: line.slice(label.length).trim() };
}

/** @param {string} text @returns {Block[]} */
export function blocks(text) {
  /** @type {Block[]} */
  const found = [];
  let open = false; // whether the next line belongs to the last paragraph
  for (const line of text.split(/\r?\n/).map((each) => each.trim())) {
    if (!line) open = false;
    else if (HEADING.test(line)) {
      found.push({ kind: "heading", lines: [{ label: "", text: line }] });
      open = false;
    } else {
      if (open) found[found.length - 1].lines.push(parted(line));
      else found.push({ kind: "paragraph", lines: [parted(line)] });
      open = true;
    }
  }
  return found;
}

/** For HTML and XHTML, as text and in attributes. Without what XML cannot hold. @param {string} text */
function escaped(text) {
  const known = /** @type {Record<string, string>} */ ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" });
  return printable(text).replaceAll(/[&<>"']/g, (mark) => known[mark]);
}

// oxlint-disable-next-line no-control-regex -- these are what goes
const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** @param {string} text */
export const printable = (text) => text.replaceAll(UNPRINTABLE, "�");

/** As HTML that is XHTML as well: headings, paragraphs, bold labels, line breaks; no attributes, no styles. @param {string} text */
export function html(text) {
  const line = (/** @type {Line} */ { label, text: rest }) => (label ? `<b>${escaped(label)}</b> ` : "") + escaped(rest);
  return blocks(text)
    .map(({ kind, lines }) => (kind === "heading" ? `<p><b>${escaped(lines[0].text)}</b></p>` : `<p>${lines.map(line).join("<br/>")}</p>`))
    .join("\n");
}
