/** The service behind the page: where it is, and whether it is ready. */
import { $, setText } from "./page.js";
import { changed, onChange, state } from "./state.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.service;

const POLL_S = { unknown: 1, starting: 1.5, lost: 3, ready: 30 };
const TIMEOUT_S = 5;

/** An address of the service; relative, so that a proxy may serve it under any path. @param {string} path */
export const address = (path) => new URL(path, document.baseURI);

export function realtimeAddress() {
  const url = address("v1/realtime?intent=transcription");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

let poll = 0;

/** @returns {Record<string, string>} */
export const authorization = () => (state.key ? { Authorization: `Bearer ${state.key}` } : {});

/** Asks now, and again in a while. */
export async function lookAtService() {
  clearTimeout(poll);
  try {
    const answer = await fetch(address("health"), { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_S * 1000) });
    const health = await answer.json();
    state.model = String(health.model ?? "");
    state.notice = health.demo ? String(health.notice ?? "") : "";
    if (typeof health.low_confidence === "number") state.lowConfidence = health.low_confidence;
    state.hasDocs = health.docs === true;
    state.hasJobs = health.jobs === true;
    const decodings = (health.decodings ?? []).map(String);
    if (decodings.join() !== state.decodings.join()) state.decodings = decodings;
    state.service = answer.ok ? "ready" : "starting";
  } catch {
    state.service = "lost";
  }
  clearTimeout(poll);
  poll = setTimeout(lookAtService, POLL_S[state.service] * 1000);
  changed();
}

/**
 * Why a request came to nothing: a browser hides why a WebSocket was refused, or an upload cut off.
 * @returns {Promise<{status: number, message: string}>} status 0 where the service cannot be reached
 */
export async function explain() {
  const headers = authorization();
  try {
    const answer = await fetch(address("v1/models"), { headers, cache: "no-store" });
    const body = await answer.json();
    return { status: answer.status, message: String(body.error?.message ?? "") };
  } catch {
    return { status: 0, message: "" };
  }
}

export function serviceText() {
  return {
    unknown: T.looking,
    starting: T.starting,
    lost: T.unreachable,
    ready: T.ready(state.model),
  }[state.service];
}

onChange(() => {
  $("docs").hidden = !state.hasDocs;
  $("service").dataset.state = state.service;
  setText($("service"), serviceText());
  setText($("demo"), state.notice);
  $("demo").hidden = !state.notice;
});
