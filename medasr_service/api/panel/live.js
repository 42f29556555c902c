/** A dictation over OpenAI's Realtime API: PCM goes in, text comes out while one speaks. */
import { RATE } from "./recorder.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.live;

/** None: the user says where the dictation ends, and what answers the last commit is then beyond doubt. */
const TURN_DETECTION = null;
const INCLUDE = ["item.input_audio_transcription.hypothesis"]; // what is not yet sure is told too
const OPEN_S = 15;
const FINISH_S = 60;
const TOKEN = /^[\w!#$%&'*+.^`|~-]*$/; // what a subprotocol may be made of (RFC 9110, token)

/**
 * @typedef {object} Listener
 * @property {(item: string, event: Record<string, any>) => void} onDelta
 * @property {(item: string, event: Record<string, any>) => void} onCompleted
 * @property {(text: string) => void} onHypothesis what is heard and not yet sure
 * @property {(item: string, message: string) => void} onFailed
 * @property {(message: string) => void} onKeywordsRefused the session goes on without them
 * @property {(message: string) => void} onError the session goes on
 * @property {(message: string) => void} onAway the model is, for a moment; what is said is kept
 * @property {(message: string) => void} onLost it does not
 */

export class LiveSession {
  /**
   * @param {{url: URL, key: string, keywords: string[]}} service `keywords`: terms to favour
   * @param {Listener} listener
   */
  constructor({ url, key, keywords }, listener) {
    this.listener = listener;
    this.keywords = keywords;
    /** @type {Set<string>} */
    this.open = new Set(); // turns with text, or committed, that are not completed
    this.finishing = false;
    this.committed = false;
    this.lost = false;
    /** @type {(finished: boolean) => void} */
    this.finished = () => {};
    /** @type {(error: Error|null) => void} */
    this.opened = () => {};
    this.lastError = "";
    this.heard_s = 0; // up to here, what was sent is written: who goes on elsewhere goes on from here
    if (!TOKEN.test(key)) throw new Error(T.unsendable);
    const protocols = key ? ["realtime", `openai-insecure-api-key.${key}`] : ["realtime"];
    this.socket = new WebSocket(url, protocols);
    this.socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    this.socket.onclose = ({ reason }) => this.closed(reason);
  }

  /** Resolves when the service listens; rejects with words for the user. @returns {Promise<void>} */
  ready() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.opened(new Error(T.noAnswer)), OPEN_S * 1000);
      this.opened = (error) => {
        clearTimeout(timer);
        this.opened = () => {};
        if (error) {
          this.abandon();
          reject(error);
        } else resolve();
      };
    });
  }

  /** @param {Record<string, unknown>} event */
  send(event) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  /** @param {Int16Array} samples */
  append(samples) {
    this.send({ type: "input_audio_buffer.append", audio: base64(samples) });
  }

  /** Seconds of audio that wait to be sent. */
  get behind_s() {
    return (this.socket.bufferedAmount * 3) / 4 / 2 / RATE;
  }

  /** The end: resolves with whether everything that was said has been answered. @returns {Promise<boolean>} */
  async finish() {
    if (this.lost) return false;
    const done = new Promise((/** @type {(finished: boolean) => void} */ resolve) => (this.finished = resolve));
    const timer = setTimeout(() => this.finished(false), FINISH_S * 1000);
    this.send({ type: "input_audio_buffer.commit", event_id: "finish" });
    this.finishing = true;
    const finished = await done;
    clearTimeout(timer);
    this.abandon();
    return finished;
  }

  /** Nobody listens any more. */
  abandon() {
    this.lost = true;
    this.socket.close();
  }

  /** @param {Record<string, any>} event */
  receive(event) {
    const item = event.item_id;
    switch (event.type) {
      case "session.created":
        return this.configure();
      case "session.updated":
        return this.opened(null);
      case "input_audio_buffer.committed":
        this.open.add(item);
        if (this.finishing) this.committed = true;
        return;
      case "conversation.item.input_audio_transcription.delta":
        this.heard(event.words);
        this.open.add(item);
        return this.listener.onDelta(item, event);
      case "conversation.item.input_audio_transcription.hypothesis":
        return this.listener.onHypothesis(event.hypothesis);
      case "conversation.item.input_audio_transcription.completed":
        this.heard(event.words);
        this.listener.onCompleted(item, event);
        return this.settle(item);
      case "conversation.item.input_audio_transcription.failed":
        this.listener.onFailed(item, event.error?.message ?? T.partFailed);
        return this.settle(item);
      case "medasr.model_away":
        return this.listener.onAway(event.message);
      case "error":
        if (event.audio_end_ms) this.heard_s = event.audio_end_ms / 1000;
        return this.refused(event.error ?? {});
    }
  }

  configure() {
    const transcription = this.keywords.length ? { transcription: { keywords: this.keywords } } : {};
    const input = { format: { type: "audio/pcm", rate: RATE }, turn_detection: TURN_DETECTION, ...transcription };
    this.send({ type: "session.update", event_id: "configure", session: { type: "transcription", audio: { input }, include: INCLUDE } });
  }

  /** @param {{end: number}[]|undefined} words */
  heard(words) {
    this.heard_s = Math.max(this.heard_s, words?.at(-1)?.end ?? 0);
  }

  /** @param {string} item */
  settle(item) {
    this.open.delete(item);
    if (this.finishing && this.committed && !this.open.size) this.finished(true);
  }

  /** @param {{message?: string, event_id?: string|null, code?: string|null}} error */
  refused(error) {
    this.lastError = error.message ?? T.refused;
    if (error.event_id === "finish") {
      this.committed = true; // nothing was left to commit
      if (!this.open.size) this.finished(true);
    } else if (error.event_id === "configure" && this.keywords.length) {
      this.keywords = []; // without them rather than not at all
      this.configure();
      this.listener.onKeywordsRefused(this.lastError);
    } else {
      this.listener.onError(this.lastError);
    }
  }

  /** @param {string} reason */
  closed(reason) {
    const why = reason || this.lastError;
    this.opened(new Error(why || T.notNow));
    if (!this.lost) {
      this.lost = true;
      this.listener.onLost(why);
    }
    this.finished(false);
  }
}

/** @param {Int16Array} samples little-endian, as every machine with a browser is */
function base64(samples) {
  return btoa(String.fromCharCode(...new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength)));
}
