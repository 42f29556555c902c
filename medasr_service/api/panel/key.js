/** Whether the service takes the key: looked at as soon as there is one, and again what it was wanted for. */
import { endProblem } from "./page.js";
import { explain } from "./service.js";
import { askForKey } from "./settings.js";
import { changed, state } from "./state.js";

let checked = "";

/** Asked again only where there is another key. */
export async function checkKey() {
  if (state.key === checked || state.service !== "ready") return;
  checked = state.key;
  const { status } = await explain();
  if (status === 401) return askForKey();
  if (status !== 200) return;
  endProblem("key");
  for (const entry of state.entries) {
    if (!entry.wantsKey) continue;
    entry.wantsKey = false;
    if (entry.state === "failed" || entry.job) entry.state = "waiting";
  }
  changed();
}
