/** A report as a Word file. The library is loaded when it is first wanted: nothing else needs it. */
import { blocks, printable } from "./layout.js";

/** @typedef {import("./layout.js").Line} Line */

/** @param {string} title @param {string} text @returns {Promise<Blob>} */
export async function docx(title, text) {
  const { Document, HeadingLevel, Packer, Paragraph, TextRun } = await import("./vendor/docx.js");
  const runs = (/** @type {Line} */ { label, text: rest }, /** @type {number} */ i) => [
    ...(label ? [new TextRun({ text: printable(label), bold: true, break: i ? 1 : 0 })] : []),
    new TextRun({ text: printable(label ? ` ${rest}` : rest), break: i && !label ? 1 : 0 }),
  ];
  const children = blocks(text).map(({ kind, lines }) =>
    kind === "heading"
      ? new Paragraph({ text: printable(lines[0].text), heading: HeadingLevel.HEADING_2 })
      : new Paragraph({ children: lines.flatMap(runs), spacing: { after: 160 } }),
  );
  // Names nobody: whoever signs the report is not known here
  const document = new Document({ title: printable(title), creator: "", lastModifiedBy: "", description: "", sections: [{ children }] });
  return Packer.toBlob(document);
}
