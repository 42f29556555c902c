/**
 * What was added and removed between two lists.
 * @typedef {{kind: "same"|"added"|"removed", at: number}} Step `at` indexes the new list where added, else the old
 */

const MAX_DIFFERENCES = 1000; // beyond, memory would grow with the square: all of the middle counts as rewritten

/**
 * The shortest way from one list to the other (Myers 1986).
 * @param {string[]} before @param {string[]} after
 * @returns {Step[]}
 */
export function differences(before, after) {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const same = (/** @type {number} */ from, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, i) => ({ kind: /** @type {const} */ ("same"), at: from + i }));
  const middle = shortest(before.slice(head, before.length - tail), after.slice(head, after.length - tail));
  return [
    ...same(0, head),
    ...middle.map(({ kind, at }) => ({ kind, at: at + head })),
    ...same(before.length - tail, tail),
  ];
}

/** @param {string[]} a @param {string[]} b @returns {Step[]} */
function shortest(a, b) {
  const reach = new Map([[1, 0]]);
  const trace = [];
  for (let d = 0; d <= Math.min(a.length + b.length, MAX_DIFFERENCES); d++) {
    trace.push(new Map(reach));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
      let x = down ? (reach.get(k + 1) ?? 0) : (reach.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return walkBack(trace, a.length, b.length);
    }
  }
  return [
    ...a.map((_, at) => ({ kind: /** @type {const} */ ("removed"), at })),
    ...b.map((_, at) => ({ kind: /** @type {const} */ ("added"), at })),
  ];
}

/** @param {Map<number, number>[]} trace @param {number} x @param {number} y */
function walkBack(trace, x, y) {
  /** @type {Step[]} */
  const steps = [];
  for (let d = trace.length - 1; d >= 0; d--) {
    const reach = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1));
    const fromX = d ? (reach.get(down ? k + 1 : k - 1) ?? 0) : 0;
    const fromY = d ? fromX - (down ? k + 1 : k - 1) : 0;
    const cornerX = d ? (down ? fromX : fromX + 1) : 0;
    while (x > cornerX) {
      x--;
      y--;
      steps.push({ kind: "same", at: x });
    }
    if (d) steps.push(down ? { kind: "added", at: fromY } : { kind: "removed", at: fromX });
    x = fromX;
    y = fromY;
  }
  return steps.toReversed();
}
