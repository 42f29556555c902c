"""The text in blocks: whatever comes and goes, it is the text, and looks as one flow would."""

import random
import re
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.panel.conftest import Opener, shot

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

SETUP = """async () => {
    const { state, makeEntry, select, changed } = await import("./panel/state.js");
    const { makeSegment } = await import("./panel/transcript.js");
    const entry = makeEntry({ kind: "dictation", name: "report", state: "done", audio: null });
    state.entries.unshift(entry);
    select(entry);
    const shown = document.getElementById("transcript");
    const segment = (text) => makeSegment({
        text, raw: text,
        words: [...text.matchAll(/\\s*\\S+(\\s+$)?/g)].map(([written], i) => (
            { word: written.trim(), raw: written.trim(), written, start: i, end: i + 0.5, probability: 0.9 }
        )),
    });
    const splice = (at, count, texts) => {
        entry.segments = entry.segments.toSpliced(at, count, ...texts.map(segment));
        changed();
    };
    const point = (place) => {
        entry.place = place === null ? null : { start: place, end: place };
        changed();
    };
    const look = () => {
        point(null);
        const words = [...shown.querySelectorAll("span:not(:has(*))")].filter((each) => each.textContent);
        const places = () => words.map((each) => each.getBoundingClientRect().toJSON());
        const before = [shown.offsetHeight, ...places()];
        const open = [...shown.querySelectorAll("div")];
        for (const block of open) block.style.display = "contents"; // as one flow
        const flow = [shown.offsetHeight, ...places()];
        for (const block of open) block.style.display = "";
        const blocks = open.map((block) => block.textContent);
        return { text: shown.textContent, same: JSON.stringify(before) === JSON.stringify(flow), blocks };
    };
    window.test = { splice, look, point, shown, entry };
}"""
PIECES = [
    "FINDINGS",
    "\n",
    "\n\n",
    " The lungs are clear.",
    " No",
    "\n\nPLAN",
    " and\nso on",
    "\n \nx",
    "",
    " ",
    "y \n",
]


@pytest.fixture
def page(open_panel: Opener) -> Page:
    page = open_panel()
    page.evaluate(SETUP)
    return page


def splice(page: Page, at: int, count: int, texts: list[str]) -> None:
    page.evaluate("([at, count, texts]) => test.splice(at, count, texts)", [at, count, texts])


def test_text_that_changes_anywhere_is_shown_as_one_flow_would_show_it(page: Page) -> None:
    rng = random.Random(5)
    texts: list[str] = []
    for _ in range(150):
        at = rng.randint(0, len(texts))
        count = rng.randint(0, min(2, len(texts) - at))
        fresh = ["".join(rng.choices(PIECES, k=rng.randint(0, 4))) for _ in range(rng.randint(0, 2))]
        texts[at : at + count] = fresh
        splice(page, at, count, fresh)
        seen: dict[str, Any] = page.evaluate("test.look()")
        assert seen["text"] == "".join(texts)
        assert seen["same"], texts
        assert all(block.endswith("\n") for block in seen["blocks"][:-1] if block)
        assert not any(re.search(r"\S\n+\S", block) for block in seen["blocks"])


def test_a_place_in_the_text_is_the_same_one_back_again(page: Page) -> None:
    """The mark is put there, and the letters before the mark are counted."""
    texts = ["FINDINGS\nNo", " known allergies.", "\n\nPLAN\n", "", "\nReturn.\n"]
    splice(page, 0, 0, texts)
    count = """(place) => {
        test.point(place);
        const range = document.createRange();
        range.selectNodeContents(test.shown);
        range.setEndBefore(test.shown.querySelector(".place"));
        return range.toString().length;
    }"""
    total = len("".join(texts))
    assert [page.evaluate(count, place) for place in range(total + 1)] == list(range(total + 1))


def test_the_mark_of_a_place_moves_no_line(page: Page) -> None:
    splice(page, 0, 0, ["FINDINGS\nNo", " known allergies.", "\n\nPLAN\n", "\nReturn."])
    height = "(place) => { test.point(place); return test.shown.scrollHeight; }"
    assert len({page.evaluate(height, place) for place in [None, *range(44)]}) == 1


def test_a_word_more_leaves_all_blocks_but_the_last_as_they_are(page: Page) -> None:
    """Nothing is added to them or taken from them, and so they are not laid out anew."""
    sentence = " The lungs are clear." * 20
    splice(page, 0, 0, [f"\n\nSection {i}.{sentence}" for i in range(40)])
    changed = page.evaluate(
        """async () => {
            const blocks = [...test.shown.children];
            const touched = new Set();
            const watch = new MutationObserver((all) => all.forEach(({ target }) =>
                touched.add(blocks.findIndex((block) => block.contains(target)))));
            watch.observe(test.shown, { childList: true, subtree: true, characterData: true });
            test.splice(40, 0, [" Effusion."]);
            await 0;
            return { touched: [...touched], last: blocks.length - 1 };
        }"""
    )
    assert changed["touched"] == [changed["last"]]
    shot(page, "blocks")


def test_a_text_without_a_line_end_is_laid_out_in_pieces_and_leaves_the_page_as_one(page: Page) -> None:
    """Of 25,000 words in one flow each further word took a third of a second."""
    sentence = " The lungs are clear. No effusion."
    texts = [sentence.strip(), *[sentence * 4] * 150]
    splice(page, 0, 0, texts)
    seen: dict[str, Any] = page.evaluate("test.look()")
    assert seen["text"] == "".join(texts)
    assert max(map(len, seen["blocks"])) < 2500
    assert all(block.endswith(".") for block in seen["blocks"])
    page.evaluate("getSelection().selectAllChildren(test.shown)")
    page.keyboard.press("Control+C")
    assert page.evaluate("navigator.clipboard.readText()") == "".join(texts)
    first = "block.querySelector('.w').getBoundingClientRect().left"
    lefts = page.evaluate(f"() => [...test.shown.children].map((block) => {first})")
    assert max(lefts) - min(lefts) < 1.5  # the space that begins a block is not seen
    shot(page, "unbroken")
