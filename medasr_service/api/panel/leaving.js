/**
 * What leaves the page by hand, copied, dragged or printed, is the text that is shown, and nothing else: no
 * removed word, no mark, no button. In the page, what the text does not say stands in attributes (style.css).
 */
import { $ } from "./page.js";

/** @param {Node} root @param {Range} range the part of it that lies inside, as text */
function inside(root, range) {
  if (!range.intersectsNode(root)) return "";
  const part = document.createRange();
  part.selectNodeContents(root);
  if (range.compareBoundaryPoints(Range.START_TO_START, part) > 0) part.setStart(range.startContainer, range.startOffset);
  if (range.compareBoundaryPoints(Range.END_TO_END, part) < 0) part.setEnd(range.endContainer, range.endOffset);
  return part.toString();
}

/** The selected text of the transcript; "" where nothing of it is selected. */
function selectedText() {
  const selection = getSelection();
  if (!selection || selection.isCollapsed) return "";
  return Array.from({ length: selection.rangeCount }, (_, i) => inside($("transcript"), selection.getRangeAt(i))).join("");
}

/** @param {Event} event @param {DataTransfer|null} transfer */
function take(event, transfer) {
  const isField = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
  const text = isField || !transfer ? "" : selectedText();
  if (!text || !transfer) return false; // a field, or a message: the browser knows how
  transfer.clearData();
  transfer.setData("text/plain", text);
  return true;
}

for (const type of /** @type {const} */ (["copy", "cut"])) {
  document.addEventListener(type, (event) => take(event, event.clipboardData) && event.preventDefault());
}
document.addEventListener("dragstart", (event) => take(event, event.dataTransfer));
