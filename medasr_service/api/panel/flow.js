/**
 * The text of a report in blocks that end where lines end. Text that grows is laid out anew in its own block and in
 * no other: one flow of 25,000 words took half a second for each word. What is shown, and the text in it, are those of one
 * flow: the line end is the last letter of its block, where `pre-wrap` shows no line for it. Who dictates no line end for
 * some 400 words sees one behind a sentence all the same; it is shown, and is in no text that leaves the page.
 *
 * The element has blocks, a block has parts, and a segment has parts, one at least, and one more behind each of its line
 * ends and sentences: so a block may end there.
 */

const FULL = 2400; // letters of a block: behind the next sentence it ends, behind twice as many in any case
const SENTENCE_END = /[.!?]["'”’)]?\s*$/;

/** @param {Element} part */
const endsLine = (part) => part.textContent?.endsWith("\n") ?? false;

/** Letters of a part and of those before it in its block. @param {Element|null|undefined} part */
function lettersUpTo(part) {
  let letters = 0;
  for (let each = part; each; each = each.previousElementSibling) letters += each.textContent?.length ?? 0;
  return letters;
}

/** The nodes of one segment, apart behind each line end and each sentence. @param {Iterable<Node>} nodes */
export function parts(nodes) {
  const found = [document.createElement("span")];
  for (const node of nodes) {
    if (SENTENCE_END.test(found.at(-1)?.lastChild?.textContent ?? "")) found.push(document.createElement("span"));
    found[found.length - 1].append(node);
    const end = node instanceof Text ? node.data.lastIndexOf("\n") + 1 : 0;
    if (!end) continue;
    const rest = /** @type {Text} */ (node).splitText(end);
    found.push(document.createElement("span"));
    if (rest.length) found[found.length - 1].append(rest);
    else rest.remove();
  }
  return found;
}

export class Flow {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    /** @type {HTMLElement[][]} of each segment */
    this.parts = [];
  }

  clear() {
    this.element.replaceChildren();
    this.parts = [];
  }

  /** Other segments in the place of some. @param {number} at @param {number} count @param {HTMLElement[][]} fresh */
  splice(at, count, fresh) {
    const next = this.parts[at + count]?.[0];
    const gone = this.parts.splice(at, count, ...fresh).flat();
    const touched = new Set([...gone, ...(next ? [next] : [])].map((part) => /** @type {HTMLElement} */ (part.parentElement)));
    for (const part of gone) part.remove();
    const removeEmpty = () => [...touched].filter((block) => !block.firstChild).forEach((block) => block.remove());
    removeEmpty();
    this.lay(this.parts[at - 1]?.at(-1), [...fresh.flat(), ...from(next)]);
    removeEmpty();
  }

  /** Parts behind another, in its block or in those that follow. @param {HTMLElement|undefined} last @param {HTMLElement[]} following */
  lay(last, following) {
    let block = last?.parentElement ?? null;
    let letters = lettersUpTo(last);
    for (const part of following) {
      const goesOn = last !== undefined && !endsLine(last);
      const isFull = letters >= 2 * FULL || (letters >= FULL && SENTENCE_END.test(last?.textContent ?? ""));
      if (!last || !goesOn || isFull) {
        letters = 0;
        const behind = block ? block.nextSibling : this.element.firstChild;
        block = part.parentElement?.firstChild === part ? part.parentElement : document.createElement("div");
        if (behind !== block) this.element.insertBefore(block, behind);
        block.className = goesOn ? "goes-on" : "";
        last = undefined;
      }
      const behind = last ? last.nextSibling : block?.firstChild;
      if (behind !== part) block?.insertBefore(part, behind ?? null); // what stands where it belongs keeps its selection
      last = part;
      letters += part.textContent?.length ?? 0;
    }
  }

  /** Something before the text of a segment, or behind all of them. @param {HTMLElement} mark @param {number} at */
  insert(mark, at) {
    const part = this.parts[at]?.[0];
    if (part) part.before(mark);
    else (this.element.lastElementChild ?? this.element).append(mark);
  }

  /** Whether it is a part, and no word in one. @param {Node|null} node */
  isPart(node) {
    return node?.parentNode?.parentNode === this.element;
  }

  /** Where a node is: its part, and the number of its segment; -1 outside of all. @param {Node} node */
  find(node) {
    /** @type {Node|null} */
    let part = node;
    while (part && !this.isPart(part)) part = part.parentNode;
    const at = this.parts.findIndex((all) => all.some((each) => each === part));
    return { at, part: /** @type {HTMLElement} */ (part) };
  }

  /** The text nodes of a segment, and of those behind it. @param {number} at @returns {Generator<Text>} */
  *texts(at) {
    for (let i = at; i < this.parts.length; i++) {
      for (const part of this.parts[i]) {
        const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
        for (let node = walker.nextNode(); node; node = walker.nextNode()) yield /** @type {Text} */ (node);
      }
    }
  }
}

/** A part and those behind it in its block. @param {HTMLElement|undefined} part */
function from(part) {
  const found = [];
  for (let each = part; each; each = /** @type {HTMLElement|undefined} */ (each.nextElementSibling ?? undefined)) found.push(each);
  return found;
}
