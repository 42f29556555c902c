"""What a word costs the panel while a dictation grows: python -m benchmarks.panel URL

Headless Chromium, words without a microphone; the figures are ms for each delta. The budget at 25,000 words,
an hour of dictation and more: 8 ms of script, and 16 ms, a frame, of script, style and layout, whether the
text has line ends or not.
"""

import argparse
import json
import shutil
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from medasr_service.api.page import FOLDER

SCRIPT_MS, FRAME_MS = 8.0, 16.0
TEXTS = {"lines": 10, "paragraphs": 100, "unbroken": 0}  # words between two line ends
DELTAS = 50
GROW = """async ([from, count]) => {
    const { grow } = window.bench;
    let script_ms = 0; // Chromium's own figure leaves out what a debugger starts
    for (let i = from; i < from + count; i++) {
        const began = performance.now();
        grow(i);
        script_ms += performance.now() - began;
        await new Promise((resolve) => requestAnimationFrame(resolve));
    }
    return script_ms;
}"""
SETUP = """async (every) => {
    const { state, makeEntry, select, changed } = await import("./panel/state.js");
    const { makeSegment, MAX_WORDS } = await import("./panel/transcript.js");
    const entry = makeEntry({ kind: "dictation", name: "long", state: "recording", audio: null });
    state.entries.unshift(entry);
    select(entry);
    const word = (i) => {
        const space = i && (every && i % every === 0 ? (every < 50 ? "\\n" : "\\n\\n") : " ");
        const written = `${space || ""}word${i}`;
        const times = { start: i / 2, end: i / 2 + 0.4 };
        return { word: `word${i}`, written, raw: `word${i}`, ...times, probability: i % 40 ? 0.95 : 0.5 };
    };
    const add = (i) => {
        const last = entry.segments.at(-1);
        const next = word(i);
        if (i % 12 === 11) next.written += "."; // a sentence
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
    parser.add_argument("--texts", choices=TEXTS, nargs="+", default=list(TEXTS))
    options = parser.parse_args()
    assert FOLDER.is_dir()
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        over = [text for text in options.texts if not _grow(browser, options.url, text, options.words)]
        browser.close()
    raise SystemExit(f"too slow: {', '.join(over)}" if over else 0)


def _grow(browser: Browser, url: str, text: str, sizes: list[int]) -> bool:
    """Whether a delta stays within the budget at each size."""
    page = browser.new_page()
    page.goto(url)
    page.evaluate(SETUP, TEXTS[text])
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    done, within = 0, True
    for words in sizes:
        page.evaluate("([from, until]) => window.bench.fill(from, until)", [done, words])
        page.evaluate("() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))")
        before = _metrics(client)
        script_ms = page.evaluate(GROW, [words, DELTAS])
        after = _metrics(client)
        done = words + DELTAS
        spent_ms = {"script": script_ms, **{name: after[name] - before[name] for name in before}}
        cost = {name: round(each / DELTAS, 2) for name, each in spent_ms.items()}
        total = round(sum(cost.values()), 2)
        within = within and cost["script"] <= SCRIPT_MS and total <= FRAME_MS
        print(json.dumps({"text": text, "words": words, **cost, "total": total}), flush=True)
    page.close()
    return within


def _metrics(client: Any) -> dict[str, float]:
    """Chromium's own, in ms since the page began."""
    found = {each["name"]: 1000 * each["value"] for each in client.send("Performance.getMetrics")["metrics"]}
    return {"style": found["RecalcStyleDuration"], "layout": found["LayoutDuration"]}


if __name__ == "__main__":
    main()
