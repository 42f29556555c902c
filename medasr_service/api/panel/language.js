/** Puts the texts of index.html there: first of all modules, and without any other. */
import { TEXTS } from "./texts.js";

/** "saving.save" as the text of that name. @param {string} name @returns {string} */
const text = (name) => name.split(".").reduce((found, key) => /** @type {any} */ (found)[key], TEXTS);

document.documentElement.lang = TEXTS.language;
document.title = TEXTS.page.title;
for (const element of document.querySelectorAll(/** @type {"p"} */ ("[data-text]"))) element.textContent = text(element.dataset.text ?? "");
for (const element of document.querySelectorAll(/** @type {"p"} */ ("[data-label]"))) element.ariaLabel = text(element.dataset.label ?? "");
for (const element of document.querySelectorAll(/** @type {"input"} */ ("[data-placeholder]"))) element.placeholder = text(element.dataset.placeholder ?? "");
for (const element of document.querySelectorAll(/** @type {"p"} */ ("[data-title]"))) element.title = text(element.dataset.title ?? "");
for (const element of document.querySelectorAll(/** @type {"del"} */ ("del.sample"))) element.dataset.removed = TEXTS.page.sample; // style.css shows it
