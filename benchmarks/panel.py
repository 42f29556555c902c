"""What a word costs the panel while a dictation grows: python -m benchmarks.panel URL

Headless Chromium, words without a microphone; the figures are Chromium's own, in ms for each delta. The
budget is 8 ms of script at 25,000 words: an hour of dictation and more.
"""

import argparse
import json
import shutil
from typing import Any

from playwright.sync_api import sync_playwright

from medasr_service.api.page import FOLDER

BUDGET_MS = 8.0
DELTAS = 50
GROW = """async ([from, count]) => {
    const { grow } = window.bench;
    for (let i = from; i < from + count; i++) {
        grow(i);
        await new Promise((resolve) => requestAnimationFrame(resolve));
    }
}"""
SETUP = """async () => {
    const { state, makeEntry, select, changed } = await import("./panel/state.js");
    const { makeSegment, MAX_WORDS } = await import("./panel/transcript.js");
    const entry = makeEntry({ kind: "dictation", name: "long", state: "recording", audio: null });
    state.entries.unshift(entry);
    select(entry);
    const word = (i) => {
        const written = i ? (i % 80 ? ` word${i}` : `\\n\\nword${i}`) : "word0";
        const times = { start: i / 2, end: i / 2 + 0.4 };
        return { word: `word${i}`, written, raw: `word${i}`, ...times, probability: i % 40 ? 0.95 : 0.5 };
    };
    const add = (i) => {
        const last = entry.segments.at(-1);
        const next = word(i);
        if (last && last.words.length < MAX_WORDS) {
            const [text, raw] = [last.text + next.written, `${last.raw} ${next.raw}`];
            entry.segments = entry.segments.with(-1, { ...last, text, raw, words: [...last.words, next] });
        } else {
            const made = makeSegment({ text: next.written, raw: ` ${next.raw}`, words: [next] });
            entry.segments = [...entry.segments, made];
        }
    };
    const fill = (from, until) => {
        for (let i = from; i < until; i++) add(i);
        changed();
    };
    window.bench = { fill, grow: (i) => fill(i, i + 1) };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a running service")
    parser.add_argument("--words", type=int, nargs="+", default=[1000, 5000, 25_000])
    options = parser.parse_args()
    assert FOLDER.is_dir()
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(options.url)
        page.evaluate(SETUP)
        client = page.context.new_cdp_session(page)
        client.send("Performance.enable")
        done, over = 0, False
        for words in options.words:
            page.evaluate("([from, until]) => window.bench.fill(from, until)", [done, words])
            before = _metrics(client)
            page.evaluate(GROW, [words, DELTAS])
            after = _metrics(client)
            done = words + DELTAS
            cost = {name: round(1000 * (after[name] - before[name]) / DELTAS, 2) for name in before}
            over = over or cost["ScriptDuration"] > BUDGET_MS
            print(json.dumps({"words": words, **cost}))
        browser.close()
    raise SystemExit(f"more than {BUDGET_MS:g} ms of script for a delta" if over else 0)


def _metrics(client: Any) -> dict[str, float]:
    found = {each["name"]: each["value"] for each in client.send("Performance.getMetrics")["metrics"]}
    return {name: found[name] for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")}


if __name__ == "__main__":
    main()
