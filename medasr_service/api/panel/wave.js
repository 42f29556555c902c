/** The waveform round a word, with the words on it; a click plays from there. Drawn, and so nothing that is copied. */
import { samples } from "./sound.js";
import { RATE } from "./recorder.js";

const WINDOW_S = 6;
const LINE = 17; // pixels of a line of words; there are two

/** @typedef {import("./transcript.js").Piece} Piece */

export class Wave {
  /** @param {HTMLCanvasElement} canvas @param {(seconds: number) => void} onPlay */
  constructor(canvas, onPlay) {
    this.canvas = canvas;
    this.from = 0;
    /** @type {Int16Array} */
    this.samples = new Int16Array();
    /** @type {Piece[]} */
    this.pieces = [];
    this.wanted = 0;
    canvas.addEventListener("click", ({ offsetX }) => onPlay(this.from + (offsetX / canvas.clientWidth) * WINDOW_S));
  }

  hide() {
    this.wanted++;
    this.canvas.hidden = true;
  }

  /** @param {Blob} blob @param {Piece} piece in the middle @param {Piece[]} pieces of the same sound */
  async show(blob, piece, pieces) {
    const turn = ++this.wanted;
    const from = Math.max(0, ((piece.start ?? 0) + (piece.end ?? 0) - WINDOW_S) / 2);
    const found = await samples(blob, from, from + WINDOW_S).catch(() => null); // a format that this browser does not know
    if (turn !== this.wanted) return;
    this.canvas.hidden = !found;
    if (!found) return;
    Object.assign(this, { from, samples: found, pieces: pieces.filter(({ start, end }) => (end ?? 0) > from && (start ?? 0) < from + WINDOW_S) });
    this.draw(piece);
  }

  /** @param {Piece} chosen */
  draw(chosen) {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.scale(devicePixelRatio, devicePixelRatio);
    const colour = (/** @type {string} */ name) => getComputedStyle(canvas).getPropertyValue(name);
    const x = (/** @type {number|null} */ seconds) => (((seconds ?? 0) - this.from) / WINDOW_S) * width;
    const middle = (height - 2 * LINE) / 2;
    const loudest = Math.max(0.02, this.peak(0, 1));
    pen.fillStyle = colour("--now");
    pen.fillRect(x(chosen.start), 0, x(chosen.end) - x(chosen.start), height);
    pen.fillStyle = colour("--accent");
    for (let column = 0; column < width; column++) {
      const peak = this.peak(column / width, (column + 1) / width) / loudest;
      pen.fillRect(column, middle - peak * middle, 1, Math.max(1, 2 * peak * middle));
    }
    pen.fillStyle = colour("--ink");
    pen.font = `13px ${getComputedStyle(document.body).fontFamily}`;
    const free = [-1, -1]; // of each line, so that no two words lie on each other
    for (const { text, start } of this.pieces) {
      const line = free.findIndex((until) => until < x(start));
      if (line < 0) continue;
      pen.fillText(text.trim(), x(start), height - 5 - (1 - line) * LINE);
      free[line] = x(start) + pen.measureText(`${text.trim()} `).width;
    }
  }

  /** Of full scale. @param {number} from share of the window @param {number} until */
  peak(from, until) {
    let most = 0;
    const last = Math.min(this.samples.length, Math.floor(until * WINDOW_S * RATE));
    for (let i = Math.floor(from * WINDOW_S * RATE); i < last; i++) most = Math.max(most, Math.abs(this.samples[i]));
    return most / 32_768;
  }
}
