/** Many files as one zip. Stored, where that makes no difference: recordings and Word files hardly shrink. */

const PACKED = /\.(docx|wav)$/;

/** @param {{name: string, blob: Blob}[]} files @returns {Promise<Blob>} */
export async function zip(files) {
  const { zipSync } = await import("./vendor/fflate.js");
  /** @type {Record<string, [Uint8Array, {level: 0|6}]>} */
  const packed = {};
  const contents = await Promise.all(files.map(({ blob }) => blob.arrayBuffer()));
  files.forEach(({ name }, i) => {
    packed[unused(name, packed)] = [new Uint8Array(contents[i]), { level: PACKED.test(name) ? 0 : 6 }];
  });
  return new Blob([zipSync(packed)], { type: "application/zip" });
}

/** "report.txt", "report (2).txt": two recordings may have one name. @param {string} name @param {Record<string, unknown>} taken */
function unused(name, taken) {
  const [, stem, suffix] = /** @type {RegExpExecArray} */ (/^(.*?)(\.\w+)?$/s.exec(name));
  let free = name;
  for (let i = 2; free in taken; i++) free = `${stem} (${i})${suffix ?? ""}`;
  return free;
}
