/** What was selected by voice in a dictation: the next words replace it. Shown without touching the page's own selection. */
import { $ } from "./page.js";
import { onChange, state } from "./state.js";

const NAME = "chosen";

/** The stretch as a range of the page: its text nodes are the text, and nothing else. @param {number} start @param {number} end letters */
function rangeOf(start, end) {
  const walker = document.createTreeWalker($("transcript"), NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  let at = 0;
  for (let node = walker.nextNode(); node && at < end; node = walker.nextNode()) {
    const { length } = /** @type {Text} */ (node);
    if (at <= start && start < at + length) range.setStart(node, start - at);
    range.setEnd(node, Math.min(length, end - at));
    at += length;
  }
  return range;
}

onChange(() => {
  if (!("highlights" in CSS)) return; // an old browser: the text is replaced all the same
  CSS.highlights.delete(NAME);
  const { place, live } = state.selected ?? {};
  if (!place || place.start >= place.end || live === null || state.view !== "report") return;
  CSS.highlights.set(NAME, new Highlight(rangeOf(place.start, place.end)));
});
