/**
 * Editing: the user's text beside the model's, which can always be brought back. What is typed is kept step by
 * step with all other changes of the report: one undo for all of it, in the field and out of it.
 */
import { change, redo, rewrite, undo } from "./changes.js";
import { $, announce, onClick } from "./page.js";
import { changed, isActive, onChange, state } from "./state.js";
import { isEdited, report } from "./transcript.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.editor;

const PAUSE_MS = 1000; // behind it, what is typed is another step

/** @type {import("./transcript.js").Entry|null} */
let entry = null;
let typed = { kind: "", at: 0, wasSpace: true };

/** Where the user is in the text is where the cursor is. */
export function openEditor() {
  const { selected } = state;
  if (!selected || isActive(selected) || state.view !== "report") return;
  entry = selected;
  const { start, end } = selected.place ?? { start: 0, end: 0 };
  typed = { kind: "", at: 0, wasSpace: true };
  changed();
  fill();
  $("editor-text").focus();
  $("editor-text").setSelectionRange(start, end);
}

export const isEditing = () => entry !== null;

/** What the field shows is the report. */
function fill() {
  const field = $("editor-text");
  if (!entry || field.value === report(entry)) return;
  field.value = report(entry);
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 8}px`;
}

/** @param {InputEvent} event */
function keep(event) {
  if (!entry) return;
  const kind = event.inputType.startsWith("delete") ? "delete" : event.inputType;
  const isSpace = /\s/.test(event.data ?? "") || event.inputType === "insertLineBreak";
  const joined = kind === typed.kind && event.timeStamp - typed.at < PAUSE_MS && (typed.wasSpace || !isSpace) && kind !== "insertFromPaste";
  typed = { kind, at: event.timeStamp, wasSpace: isSpace };
  rewrite(entry, $("editor-text").value, { joined });
}

function note() {
  const { selectionStart, selectionEnd } = $("editor-text");
  if (entry) entry.place = { start: selectionStart, end: selectionEnd };
}

export function closeEditor() {
  if (!entry) return;
  note();
  entry = null;
  changed();
}

function finish() {
  const hasEdits = entry && isEdited(entry);
  closeEditor();
  announce(hasEdits ? T.kept : T.noChanges);
  $("edit").focus();
}

/** @param {typeof undo} step */
function travel(step) {
  const { selected } = state;
  if (!selected || isActive(selected)) return;
  typed.kind = "";
  if (!step(selected)) return announce(step === undo ? T.nothingToUndo : T.nothingToRedo);
  announce(step === undo ? T.undone : T.redone);
  const at = selected.place;
  if (!entry) return;
  fill();
  if (at) $("editor-text").setSelectionRange(at.start, at.end);
}

/** @param {KeyboardEvent} event */
function key(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || $("settings").open) return;
  const isField = event.target instanceof Element && event.target.matches("input, textarea, select") && event.target !== $("editor-text");
  if (isField) return;
  const name = event.key.toLowerCase();
  const step = name === "z" ? (event.shiftKey ? redo : undo) : name === "y" ? redo : null;
  if (!step) return;
  event.preventDefault();
  travel(step);
}

function restore() {
  const { selected } = state;
  if (!selected) return;
  const isRestored = isEdited(selected);
  const original = selected.segments.map((segment) => (segment.edited === null ? segment : { ...segment, edited: null }));
  const aside = selected.setAside;
  selected.setAside = isRestored ? selected.segments : null;
  change(selected, isRestored ? original : (aside ?? selected.segments));
  announce(isRestored ? T.restored : T.back);
}

onChange(() => {
  if (entry && entry !== state.selected) entry = null; // another recording was chosen
  $("editor").hidden = entry === null;
  $("transcript").hidden = entry !== null;
  fill();
});
onClick("edit", openEditor);
onClick("edit-undo", () => travel(undo));
onClick("edit-redo", () => travel(redo));
onClick("restore", restore);
document.addEventListener("keydown", key);
$("editor").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  finish();
});
$("editor-text").addEventListener("input", keep);
$("editor-text").addEventListener("beforeinput", (/** @type {InputEvent} */ event) => {
  const step = { historyUndo: undo, historyRedo: redo }[event.inputType]; // from the browser's menu
  if (!step) return;
  event.preventDefault();
  travel(step);
});
for (const type of ["select", "keyup", "pointerup"]) $("editor-text").addEventListener(type, note);
$("editor-text").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if ((event.key === "Enter" && (event.ctrlKey || event.metaKey)) || event.key === "Escape") finish();
});
