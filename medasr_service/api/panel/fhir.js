/**
 * A report as FHIR R4 resources. Pure functions, but for the digest. Nobody is named in them: patient, author and
 * encounter are the EHR's to fill in. Never final: a dictation is final when somebody has signed it there.
 */
import { html } from "./layout.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.fhir;

/**
 * @typedef {object} Dictated
 * @property {string} name @property {string} text @property {Date} created @property {string} language
 * @property {boolean} open whether something must still be checked, filled in or transcribed
 */

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
const utf8 = (text) => new TextEncoder().encode(text);

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
}

/** @param {Dictated} dictated */
function attachment({ name, text, created, language }) {
  return { contentType: "text/plain; charset=utf-8", language, data: base64(utf8(text)), title: name, creation: created.toISOString() };
}

/** @param {string} text */
const narrative = (text) => ({ status: "additional", div: `<div xmlns="http://www.w3.org/1999/xhtml">${html(text)}</div>` });

/** @param {Dictated} dictated */
export function diagnosticReport(dictated) {
  return {
    resourceType: "DiagnosticReport",
    language: dictated.language,
    text: narrative(dictated.text),
    status: dictated.open ? "partial" : "preliminary",
    code: { text: T.kind },
    issued: dictated.created.toISOString(),
    presentedForm: [attachment(dictated)],
  };
}

/** @param {Dictated} dictated */
export async function documentReference(dictated) {
  const bytes = utf8(dictated.text);
  const form = attachment(dictated);
  // R4 asks for SHA-1; browsers have it only on pages that are served safely
  const hash = crypto.subtle ? { hash: base64(new Uint8Array(await crypto.subtle.digest("SHA-1", bytes))) } : {};
  return {
    resourceType: "DocumentReference",
    language: dictated.language,
    text: narrative(dictated.text),
    status: "current",
    docStatus: "preliminary",
    type: { text: T.kind },
    date: dictated.created.toISOString(),
    description: dictated.open ? T.notComplete(dictated.name) : dictated.name,
    content: [{ attachment: { ...form, size: bytes.length, ...hash } }],
  };
}
