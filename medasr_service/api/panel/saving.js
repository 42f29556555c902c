/** Taking the text out of the page: the clipboard, and files. */
import { $, announce, onClick, setText, showProblem } from "./page.js";
import { state } from "./state.js";
import { FORMATS, original, raw, report } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry */

const SHOW_S = 2;
const KEEP_S = 60;

/** The text of the view that is open. @param {Entry} entry */
const shown = (entry) => ({ report, original, raw })[state.view](entry);

async function copy() {
  const entry = state.selected;
  if (!entry) return;
  try {
    await navigator.clipboard.writeText(shown(entry));
  } catch {
    return showProblem("The browser does not let this page copy. Select the text and copy it by hand.");
  }
  taken(entry, "Copied");
  setText($("copy"), "Copied");
  setTimeout(() => setText($("copy"), "Copy"), SHOW_S * 1000);
}

/** @param {string} format */
function save(format) {
  const entry = state.selected;
  if (!entry) return;
  download(file(entry, format), `${stem(entry.name)}.${format}`);
  if (format !== "wav") taken(entry, "Saved");
}

/** @param {Entry} entry @param {string} format @returns {Blob} */
function file(entry, format) {
  if (format === "wav") return /** @type {Blob} */ (entry.audio);
  const { type, write } = FORMATS[format];
  const text = format === "txt" ? shown(entry) + "\n" : write(entry);
  return new Blob([text], { type: `${type};charset=utf-8` });
}

/** @param {string} name */
const stem = (name) => name.replace(/\.\w{1,5}$/, "").replaceAll(/[\\/:*?"<>|]+/g, "-");

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_S * 1000);
}

/** @param {Entry} entry @param {string} how */
function taken(entry, how) {
  entry.saved = true;
  announce(`${how}${entry.state === "done" ? "" : ", as far as it goes"}.`);
}

onClick("copy", copy);
for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => save(/** @type {HTMLElement} */ (button).dataset.save ?? "txt"));
}
