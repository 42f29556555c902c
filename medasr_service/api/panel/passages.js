/** Templates and phrases: their section of the settings. */
import { LibraryError, change, library } from "./library.js";
import { $, announce, onClick, setText } from "./page.js";
import { onSettings } from "./settings.js";
import { PHRASES, TEMPLATES } from "./starter.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.passages;
/** @typedef {"templates"|"phrases"} Kind */

/** What is chosen: "templates:1", or "templates:" for a new one. @returns {{kind: Kind, at: number|null}} */
function chosen() {
  const [kind, at] = $("passage").value.split(":");
  return { kind: /** @type {Kind} */ (kind), at: at === "" ? null : Number(at) };
}

/** @param {string} [selected] */
function fill(selected = $("passage").value || "templates:") {
  const groups = /** @type {[Kind, string, string][]} */ ([
    ["templates", T.template, T.newTemplate],
    ["phrases", T.phrase, T.newPhrase],
  ]).map(([kind, title, fresh]) => {
    const group = document.createElement("optgroup");
    group.label = title;
    group.append(...library[kind].map(({ name }, i) => new Option(name, `${kind}:${i}`)), new Option(fresh, `${kind}:`));
    return group;
  });
  $("passage").replaceChildren(...groups);
  $("passage").value = selected;
  if ($("passage").selectedIndex < 0) $("passage").value = "templates:";
  show();
}

function show() {
  const { kind, at } = chosen();
  const passage = at === null ? { name: "", text: "" } : library[kind][at];
  $("passage-name").value = passage.name;
  $("passage-text").value = passage.text;
  $("passage-remove").hidden = at === null;
  complain("");
}

/** @param {string} problem */
function complain(problem) {
  setText($("passage-problem"), problem);
  $("passage-problem").hidden = !problem;
}

/** @param {Partial<import("./library.js").Library>} news @returns {boolean} */
function changes(news) {
  try {
    change(news);
    return true;
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    complain(error.message);
    return false;
  }
}

function save() {
  const { kind, at } = chosen();
  const passage = { name: $("passage-name").value, text: $("passage-text").value };
  const others = library[kind].filter((_, i) => i !== at);
  if (!changes({ [kind]: [...others, passage] })) return;
  fill(`${kind}:${library[kind].findIndex(({ name }) => name === passage.name.trim().replaceAll(/\s+/g, " "))}`);
  announce(T.kept(passage.name));
}

function remove() {
  const { kind, at } = chosen();
  if (at === null) return;
  const { name } = library[kind][at];
  if (changes({ [kind]: library[kind].toSpliced(at, 1) })) fill(`${kind}:`);
  announce(T.removed(name));
  $("passage").focus();
}

onSettings(() => fill());
$("passage").addEventListener("change", show);
onClick("passage-save", save);
onClick("passage-remove", remove);
onClick("starter", () => {
  const added = (/** @type {Kind} */ kind, /** @type {import("./library.js").Passage[]} */ starter) => {
    const known = new Set(library[kind].map(({ name }) => name.toLowerCase()));
    return [...library[kind], ...starter.filter(({ name }) => !known.has(name.toLowerCase()))];
  };
  if (changes({ templates: added("templates", TEMPLATES), phrases: added("phrases", PHRASES) })) fill("templates:0");
});
