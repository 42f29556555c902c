/** Small ways to the page: its elements, what screen readers are told, problems. Text nodes only. */

/** The element of index.html with this id; tests hold that it is there. @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/** @param {string} id @param {() => unknown} action */
export const onClick = (id, action) => $(id).addEventListener("click", action);

/** Sets a text that may be there already: what does not change is not announced, nor selected text lost.
 * @param {HTMLElement} element @param {string} value */
export function setText(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/**
 * For screen readers: finished sentences and changes of state; never text that still grows, which would be
 * spoken into the microphone.
 * @param {string} message
 */
export function announce(message) {
  $("announcer").textContent = message;
}

let cause = "";

/** An alert that stays until it is dismissed, or its cause has gone; "" takes it away. @param {string} message @param {string} [of] its cause, for `endProblem` */
export function showProblem(message, of = "") {
  cause = of;
  setText($("problem-text"), message);
  $("problem").hidden = !message;
}

/** What was wrong is so no more. @param {string} of */
export function endProblem(of) {
  if (cause === of) showProblem("");
}

/** 75 as "1:15". @param {number} seconds */
export function clock(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
}

/** How long a recording is, as the service's own pages tell it: 75.04 as "1:15.0". @param {number} seconds */
export function length(seconds) {
  const tenths = Math.round(10 * seconds);
  return `${clock(Math.floor(tenths / 10))}.${tenths % 10}`;
}
