/** The user's own terms and replacements: their section of the settings. */
import { LIMITS, LibraryError, change, library } from "./library.js";
import { $, setText } from "./page.js";
import { onSettings } from "./settings.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.vocabulary;

/** @param {string} text @returns {{line: string, number: number}[]} those that say something */
const lines = (text) => text.split("\n").map((line, i) => ({ line: line.trim(), number: i + 1 })).filter(({ line }) => line);

/** @param {string} text @returns {import("./library.js").Replacement[]} @throws {LibraryError} */
function replacements(text) {
  return lines(text).map(({ line, number }) => {
    const sign = line.indexOf("=");
    if (sign < 0) throw new LibraryError(T.noSign(number));
    return { from: line.slice(0, sign), to: line.slice(sign + 1) };
  });
}

function count() {
  setText($("keywords-note"), T.keywordsCount(library.keywords.length, LIMITS.keywords));
}

function take() {
  let problem = "";
  try {
    change({ keywords: lines($("keywords").value).map(({ line }) => line), replacements: replacements($("replacements").value) });
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    problem = error.message;
  }
  setText($("vocabulary-problem"), problem);
  $("vocabulary-problem").hidden = !problem;
  count();
}

onSettings(() => {
  $("keywords").value = library.keywords.join("\n");
  $("replacements").value = library.replacements.map(({ from, to }) => `${from} = ${to}`).join("\n");
  $("vocabulary-problem").hidden = true;
  count();
});
for (const id of ["keywords", "replacements"]) $(id).addEventListener("input", take);
