/** Templates and phrases into a report: by menu here, by voice in speaking.js. */
import { change, replace } from "./changes.js";
import { speaking } from "./dictation.js";
import { openEditor } from "./editor.js";
import { nextField } from "./fields.js";
import { library } from "./library.js";
import { menu } from "./menu.js";
import { $, announce, onClick } from "./page.js";
import { openSettings } from "./settings.js";
import { changed, isActive, makeEntry, onChange, select, state } from "./state.js";
import { TEXTS } from "./texts.js";
import { report } from "./transcript.js";

/** @typedef {import("./library.js").Passage} Passage */

const T = TEXTS.inserting;

/** The report that is open, where one may write in it. */
function open() {
  const { selected, view } = state;
  return selected && !isActive(selected) && view === "report" ? selected : null;
}

/** A template with no place to go is a report of its own. @param {Passage} passage @param {boolean} isTemplate */
function insert({ name, text }, isTemplate) {
  const listening = speaking();
  if (listening) return listening.press("insert", name);
  let entry = open();
  if (!entry || (isTemplate && !entry.place && report(entry))) {
    entry = makeEntry({ kind: "dictation", name, state: "done", audio: null });
    state.entries.unshift(entry);
  }
  const all = report(entry);
  const place = entry.place ?? { start: all.length, end: all.length };
  const before = all.slice(0, place.start);
  const space = !before || before.endsWith("\n") ? "" : isTemplate ? "\n\n" : /\s$/.test(before) ? "" : " ";
  if (!entry.segments.length) change(entry, []);
  replace(entry, place, space + text);
  const start = before.length + space.length;
  const field = nextField(text, 0);
  entry.place = field ? { start: start + field.start, end: start + field.end } : { start: start + text.length, end: start + text.length };
  select(entry);
  if (field) openEditor();
  announce(TEXTS.commands.inserted(name));
}

/** @param {string} title @param {Passage[]} passages @param {boolean} isTemplate */
function group(title, passages, isTemplate) {
  if (!passages.length) return [];
  const heading = document.createElement("p");
  heading.className = "menu-title";
  heading.textContent = title;
  const buttons = passages.map((passage) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = passage.name;
    button.addEventListener("click", () => insert(passage, isTemplate));
    return button;
  });
  return [heading, ...buttons];
}

/** @type {unknown[]} */
let shown = [];

onChange(() => {
  if (shown[0] === library.templates && shown[1] === library.phrases) return;
  shown = [library.templates, library.phrases];
  $("insert-items").replaceChildren(...group(T.templates, library.templates, true), ...group(T.phrases, library.phrases, false));
});
onClick("insert-edit", () => openSettings("tab-passages"));
menu($("insert"), $("insert-list"));
changed();
