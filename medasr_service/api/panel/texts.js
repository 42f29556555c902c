/**
 * What the page says, in English: every text in one place, so that another language is another file like this one.
 * `fill` puts those into the page that stand in index.html, by `data-text`, `data-label` and `data-placeholder`.
 */

const number = (/** @type {number} */ n) => n.toLocaleString("en");
const many = (/** @type {number} */ n, /** @type {string} */ one, more = `${one}s`) => `${number(n)} ${n === 1 ? one : more}`;

export const TEXTS = {
  language: "en",
  saving: {
    save: "Save",
    saveAs: "Save or copy as",
    copyPlain: "Copy without formatting",
    txt: "Text",
    docx: "Word document",
    srt: "Subtitles, SubRip",
    vtt: "Subtitles, WebVTT",
    json: "Words and times",
    fhirReport: "FHIR DiagnosticReport",
    fhirDocument: "FHIR DocumentReference",
    wav: "Recording",
    zip: "All reports of this page",
    copy: "Copy",
    copied: "Copied",
    saved: "Saved",
    partial: (/** @type {string} */ how) => `${how}, as far as it goes.`,
    open: (/** @type {string} */ how, /** @type {string} */ what) => `${how}. Still open: ${what}.`,
    fields: (/** @type {number} */ n) => many(n, "empty field"),
    cannotCopy: "The browser does not let this page copy. Select the text and copy it by hand.",
    cannotSave: (/** @type {string} */ why) => `This file could not be made: ${why}`,
    unreachable: "the service, which makes it, cannot be reached. Text and Word files need no service.",
    zipName: "Reports",
    openReports: (/** @type {number} */ n) => many(n, "report"),
    nothing: "There is no text to save yet.",
  },
  library: {
    notText: (/** @type {string} */ where) => `${where} is not a text.`,
    empty: (/** @type {string} */ where) => `${where} is empty.`,
    tooLong: (/** @type {string} */ where, /** @type {number} */ n, /** @type {number} */ most) => `${where} has ${number(n)} characters; the limit is ${number(most)}.`,
    control: (/** @type {string} */ where) => `${where} has characters that are no text.`,
    notList: (/** @type {string} */ where) => `${where} is not a list.`,
    tooMany: (/** @type {string} */ where, /** @type {number} */ n, /** @type {number} */ most) => `${where}: ${number(n)} are too many; the limit is ${number(most)}.`,
    notObject: (/** @type {string} */ where) => `${where || "The file"} is not an object.`,
    notBoolean: (/** @type {string} */ where) => `${where} is not true or false.`,
    unknown: (/** @type {string} */ where) => `${where.replace(/^\./, "")} is not known here.`,
    otherFormat: "This is not a file of settings of this page.",
    otherVersion: (/** @type {string} */ version) => `This file is of version ${version}; this page reads version 1.`,
    tooLarge: (/** @type {number} */ most) => `The file is too large; the limit is ${number(most)} characters.`,
    notJson: "The file is not JSON.",
    noRoom: "The browser has no room to keep this.",
  },
};
