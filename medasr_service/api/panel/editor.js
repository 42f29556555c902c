/** Editing: the user's text beside the model's, which can always be brought back. */
import { $, announce, onClick } from "./page.js";
import { changed, isActive, onChange, state } from "./state.js";
import { original, report } from "./transcript.js";

/** @type {import("./transcript.js").Entry|null} */
let entry = null;
/** @type {string|null} */
let before = null; // what the user had written when the editor was opened

function open() {
  const { selected } = state;
  if (!selected || isActive(selected)) return;
  entry = selected;
  before = entry.edited;
  const field = $("editor-text");
  field.value = report(entry);
  changed();
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 8}px`;
  field.focus();
  field.setSelectionRange(0, 0);
}

function keep() {
  if (!entry) return;
  const { value } = $("editor-text");
  if (value !== report(entry)) entry.saved = false;
  entry.edited = value === original(entry) ? null : value;
  if (entry.edited !== null) entry.setAside = null;
}

function finish() {
  keep();
  announce(entry?.edited == null ? "No changes." : "Your changes are marked.");
  close();
}

function cancel() {
  if (entry) entry.edited = before;
  close();
}

function close() {
  entry = null;
  changed();
  $("edit").focus();
}

function restore() {
  const { selected } = state;
  if (!selected) return;
  [selected.edited, selected.setAside] = [selected.setAside, selected.edited];
  selected.saved = false;
  announce(selected.edited === null ? "This is what the model wrote." : "Your changes are back.");
  changed();
}

onChange(() => {
  if (entry && entry !== state.selected) {
    keep(); // another recording was chosen
    entry = null;
  }
  $("editor").hidden = entry === null;
  $("transcript").hidden = entry !== null;
});
addEventListener("beforeprint", () => {
  keep(); // what is printed is the transcript
  changed();
});
onClick("edit", open);
onClick("edit-cancel", cancel);
onClick("restore", restore);
$("editor").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  finish();
});
$("editor-text").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) finish();
  else if (event.key === "Escape") cancel();
});
