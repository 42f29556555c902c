/** Taking the text out of the page: the clipboard, and files. What is still open in it is said whenever it goes. */
import { zip } from "./archive.js";
import { docx } from "./docx.js";
import { diagnosticReport, documentReference } from "./fhir.js";
import { fields } from "./fields.js";
import { html } from "./layout.js";
import { library } from "./library.js";
import { menu } from "./menu.js";
import { $, announce, onClick, setText, showProblem } from "./page.js";
import { onChange, state } from "./state.js";
import { subtitles } from "./subtitles.js";
import { TEXTS } from "./texts.js";
import { json, original, raw, report, summary } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry */

const T = TEXTS.saving;
const SHOW_S = 2;
const KEEP_S = 60;

/** @type {Record<string, {suffix: string, type: string, make: (entry: Entry) => string|Promise<string|Blob>|Blob}>} */
const FORMATS = {
  txt: { suffix: "txt", type: "text/plain", make: (entry) => ended(shown(entry) + "\n") },
  docx: { suffix: "docx", type: "", make: (entry) => docx(entry.name, shown(entry)) },
  srt: { suffix: "srt", type: "text/plain", make: (entry) => subtitles(entry, "srt") },
  vtt: { suffix: "vtt", type: "text/vtt", make: (entry) => subtitles(entry, "vtt") },
  json: { suffix: "json", type: "application/json", make: json },
  "fhir-report": { suffix: "DiagnosticReport.json", type: "application/fhir+json", make: (entry) => written(diagnosticReport(dictated(entry))) },
  "fhir-document": {
    suffix: "DocumentReference.json",
    type: "application/fhir+json",
    make: async (entry) => written(await documentReference(dictated(entry))),
  },
  wav: { suffix: "wav", type: "", make: (entry) => /** @type {Blob} */ (entry.audio) },
};
const IN_ZIP = ["txt", "docx", "json"];

/** @param {unknown} resource */
const written = (resource) => JSON.stringify(resource, null, 2) + "\n";

/** With the line ends that the user's other programs want. @param {string} text */
const ended = (text) => (library.preferences.lineEnds === "crlf" ? text.replaceAll("\n", "\r\n") : text);

/** The text of the view that is open. @param {Entry} entry */
const shown = (entry) => (entry === state.selected ? { report, original, raw }[state.view](entry) : report(entry));

/** What is still to be checked, filled in or transcribed; "" where nothing is. @param {Entry} entry */
function stillOpen(entry) {
  const [, ...troubles] = summary(entry, state.threshold).split(", "); // behind the words
  const empty = fields(report(entry)).length;
  return [...troubles, ...(empty ? [T.fields(empty)] : [])].join(", ");
}

/** @param {Entry} entry @returns {import("./fhir.js").Dictated} */
function dictated(entry) {
  const open = entry.state !== "done" || stillOpen(entry) !== "";
  return { name: entry.name, text: report(entry), created: entry.created, language: TEXTS.language, open };
}

/** @param {boolean} isFormatted also with headings, for programs that take them */
async function copy(isFormatted) {
  const entry = state.selected;
  if (!entry) return;
  const text = shown(entry);
  const kinds = { "text/plain": ended(text), ...(isFormatted && state.view !== "raw" ? { "text/html": html(text) } : {}) };
  const item = Object.fromEntries(Object.entries(kinds).map(([type, value]) => [type, new Blob([value], { type })]));
  try {
    await navigator.clipboard.write([new ClipboardItem(item)]);
  } catch {
    return showProblem(T.cannotCopy);
  }
  taken(entry, T.copied);
  setText($("copy"), T.copied);
  setTimeout(() => setText($("copy"), T.copy), SHOW_S * 1000);
}

/** @param {string} format */
async function save(format) {
  const entry = state.selected;
  if (!entry) return;
  const file = await made(entry, format);
  if (!file) return;
  download(file, `${stem(entry.name)}.${FORMATS[format].suffix}`);
  if (format !== "wav") taken(entry, T.saved);
}

/** @param {Entry} entry @param {string} format @returns {Promise<Blob|null>} null where it is said why not */
async function made(entry, format) {
  const { type, make } = FORMATS[format];
  try {
    const content = await make(entry);
    return content instanceof Blob ? content : new Blob([content], { type: `${type};charset=utf-8` });
  } catch (error) {
    const why = error instanceof TypeError ? T.unreachable : /** @type {Error} */ (error).message;
    showProblem(T.cannotSave(why));
    return null;
  }
}

async function saveAll() {
  const entries = state.entries.filter(report);
  if (!entries.length) return showProblem(T.nothing);
  const wanted = entries.flatMap((entry) => IN_ZIP.map((format) => ({ entry, format })));
  const files = await Promise.all(
    wanted.map(async ({ entry, format }) => ({ name: `${stem(entry.name)}.${FORMATS[format].suffix}`, blob: await made(entry, format) })),
  );
  download(await zip(files.flatMap(({ name, blob }) => (blob ? [{ name, blob }] : []))), `${T.zipName}.zip`);
  for (const entry of entries) entry.saved = true;
  const open = entries.filter(stillOpen).length;
  say(open ? T.open(T.saved, T.openReports(open)) : `${T.saved}.`, open > 0);
}

/** A name that every system takes, and that leads nowhere else. @param {string} name */
const stem = (name) => name.replace(/\.\w{1,5}$/, "").replaceAll(/[\p{Cc}\\/:*?"<>|]+/gu, "-").replace(/^[. ]+|[. ]+$/g, "") || "report";

/** @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_S * 1000);
}

/** @param {Entry} entry @param {string} how */
function taken(entry, how) {
  entry.saved = true;
  const open = stillOpen(entry);
  if (open) say(T.open(how, open), true);
  else say(entry.state === "done" ? `${how}.` : T.partial(how), false);
}

let saidOf = 0;

/** To who listens; to who looks only what they must know. @param {string} message @param {boolean} isOpen */
function say(message, isOpen) {
  announce(message);
  setText($("taken-open"), message);
  $("taken-open").hidden = !isOpen;
  saidOf = state.selected?.id ?? 0;
}

onChange(() => {
  if (state.selected?.id !== saidOf) $("taken-open").hidden = true;
  $("save-all").hidden = state.entries.filter(report).length < 2;
});
onClick("copy", () => copy(true));
onClick("copy-plain", () => copy(false));
onClick("save-all", saveAll);
for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => save(/** @type {HTMLElement} */ (button).dataset.save ?? "txt"));
}
menu($("save"), $("save-list"));
