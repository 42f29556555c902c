/** The name of the report that is shown, which is its user's to give. */
import { $, onClick } from "./page.js";
import { changed, onChange, state } from "./state.js";

/** @type {import("./transcript.js").Entry|null} */
let entry = null;

function open() {
  entry = state.selected;
  if (!entry) return;
  $("report-name").value = entry.name;
  changed();
  $("report-name").focus();
  $("report-name").select();
}

/** @param {boolean} isKept */
function close(isKept) {
  const name = $("report-name").value.trim();
  if (entry && isKept && name) entry.name = name;
  entry = null;
  changed();
}

onChange(() => {
  if (entry !== state.selected) entry = null;
  $("report-name").hidden = !entry;
  $("report-title").hidden = Boolean(entry);
  $("rename").hidden = Boolean(entry) || !state.selected;
});
onClick("rename", open);
$("report-name").addEventListener("blur", () => entry && close(true));
$("report-name").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Enter" && event.key !== "Escape") return;
  event.preventDefault(); // the key must not press what the focus goes to
  event.stopPropagation();
  close(event.key === "Enter");
  $("rename").focus();
});
