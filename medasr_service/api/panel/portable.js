/** Copying and keeping: line ends, what stays in this browser, and the one file that holds all of it. */
import { LIMITS, LibraryError, change, forget, isKept, joined, keep, library, parse, write } from "./library.js";
import { $, onClick, setText } from "./page.js";
import { download } from "./saving.js";
import { onSettings } from "./settings.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.kept;
/** @returns {HTMLInputElement[]} */
const lineEnds = () => [...document.querySelectorAll(/** @type {"input"} */ ('input[name="line-ends"]'))];

/** @param {string} said @param {string} [problem] */
function say(said, problem = "") {
  setText($("kept-said"), said);
  setText($("kept-problem"), problem);
  $("kept-problem").hidden = !problem;
}

/** @param {() => string|Promise<string>} action which returns what to say */
async function attempt(action) {
  try {
    say(await action());
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    say("", error.message);
  }
  fill();
}

function fill() {
  for (const input of lineEnds()) input.checked = input.value === library.preferences.lineEnds;
  $("keep-library").checked = isKept();
}

/** @param {File} file */
async function take(file) {
  if (file.size > 4 * LIMITS.bytes) throw new LibraryError(TEXTS.library.tooLarge(LIMITS.bytes));
  const found = joined(library, parse(await file.text()));
  change(found);
  return T.imported(found.keywords.length + found.replacements.length, found.templates.length + found.phrases.length);
}

onSettings(() => {
  fill();
  say("");
});
for (const input of lineEnds()) {
  input.addEventListener("change", () => change({ preferences: { ...library.preferences, lineEnds: input.value === "crlf" ? "crlf" : "lf" } }));
}
$("keep-library").addEventListener("change", () =>
  attempt(() => {
    keep($("keep-library").checked);
    return "";
  }),
);
onClick("library-export", () => {
  download(new Blob([write(library)], { type: "application/json" }), T.fileName);
  say(T.exported);
});
onClick("library-import", () => $("library-file").click());
$("library-file").addEventListener("change", () => {
  const [file] = $("library-file").files ?? [];
  $("library-file").value = ""; // the same file may be chosen again
  if (file) attempt(() => take(file));
});
onClick("library-forget", () => {
  if (!window.confirm(T.sure)) return;
  forget();
  fill();
  say(T.forgotten);
});
