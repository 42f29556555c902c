/** Plays a recording, or a part of it, from memory. */
const MARGIN_S = 0.12; // before and after a word: its edges are known to a frame of 40 ms

export class Player {
  /**
   * @param {HTMLAudioElement} element
   * @param {{onTime: (seconds: number|null) => void, onError: () => void}} listener `null`: it stands still
   */
  constructor(element, { onTime, onError }) {
    this.element = element;
    this.until = Infinity;
    this.wanted = false;
    this.url = "";
    /** @type {Blob|null} */
    this.blob = null;
    element.addEventListener("play", () => this.follow());
    element.addEventListener("pause", () => onTime(null));
    element.addEventListener("error", () => this.refused());
    this.onError = onError;
    this.onTime = onTime;
  }

  /** @param {Blob|null} blob */
  load(blob) {
    if (blob === this.blob) return;
    this.element.pause();
    this.wanted = false;
    if (this.url) URL.revokeObjectURL(this.url);
    this.blob = blob;
    this.url = blob ? URL.createObjectURL(blob) : "";
    if (blob) this.element.src = this.url;
    else this.element.removeAttribute("src");
    this.element.hidden = !blob;
  }

  /** Of 1. @param {number} speed */
  setSpeed(speed) {
    this.element.defaultPlaybackRate = this.element.playbackRate = speed;
  }

  /** A format that this browser does not know: said only to who wants to listen. */
  refused() {
    if (!this.blob) return;
    this.element.hidden = true;
    if (this.wanted) this.onError();
  }

  /** @param {number} start @param {number} end seconds */
  async play(start, end) {
    if (!this.blob) return;
    this.wanted = true;
    if (this.element.error) return this.refused();
    if (this.element.readyState < HTMLMediaElement.HAVE_METADATA) {
      await new Promise((resolve) => this.element.addEventListener("loadedmetadata", resolve, { once: true }));
    }
    this.element.pause();
    this.element.currentTime = Math.max(0, start - MARGIN_S);
    this.until = end + MARGIN_S;
    this.element.playbackRate = this.element.defaultPlaybackRate;
    await this.element.play().catch(() => {}); // onError says why, and a second click is no error
  }

  follow() {
    if (this.element.paused) return;
    if (this.element.currentTime >= this.until) {
      this.element.pause();
      this.until = Infinity;
    } else {
      this.onTime(this.element.currentTime);
      requestAnimationFrame(() => this.follow());
    }
  }
}
