"""Dictation in the panel against the real service: spoken into the browser, read on the page."""

from itertools import pairwise

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Service
from tests.panel.conftest import SPOKEN, Opener, shot

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

WATCH = """() => {
    window.texts = [];
    const transcript = document.getElementById("transcript");
    const note = () => texts.at(-1) === transcript.textContent || texts.push(transcript.textContent);
    new MutationObserver(note).observe(transcript, { childList: true, subtree: true, characterData: true });
}"""


def dictate(page: Page) -> None:
    """All of the recording that the microphone plays, at the pace of speech."""
    page.evaluate(WATCH)
    page.keyboard.press("F2")
    page.locator("#record[data-on=true]").wait_for()
    expect(page.locator("#clock")).to_have_text("0:10", timeout=30_000)
    shot(page, "live-real")
    page.evaluate("window.whileSpeaking = document.getElementById('transcript').textContent")
    page.keyboard.press("F2")
    expect(page.locator("#record-label")).to_have_text("Start dictation", timeout=30_000)


def test_the_spoken_text_grows_and_is_what_was_said(open_panel: Opener, service: Service) -> None:
    """Tolerance: none. The clip is read without an error as a file, and must be live."""
    page = open_panel()
    dictate(page)
    text = page.locator("#transcript").text_content() or ""
    with SPOKEN.path.open("rb") as file:
        as_file = httpx.post(f"{service.url}/v1/audio/transcriptions", files={"file": file}, timeout=60)
    assert text == as_file.json()["text"]
    page.get_by_label("Raw", exact=True).check()
    assert page.locator("#transcript").text_content() == SPOKEN.text
    page.get_by_label("Report", exact=True).check()
    grown = [step for step in page.evaluate("texts") if step]
    while_speaking = page.evaluate("whileSpeaking")
    assert len(while_speaking.split()) >= 0.7 * len(text.split())  # before the key was pressed
    steps = grown[: grown.index(while_speaking) + 1]
    assert len(set(steps)) >= 4
    assert all(later.startswith(earlier) for earlier, later in pairwise([*steps, text]))
    shot(page, "dictated-real")


def test_a_dictated_word_is_heard_where_it_was_said(open_panel: Opener) -> None:
    page = open_panel()
    dictate(page)
    page.locator(".w", has_text="malignancy").click()
    expect(page.locator(".w.now")).to_have_text("malignancy")
    time = page.evaluate("document.getElementById('audio').currentTime")
    assert 4 < time < 9  # the clip says it in its last sentence
    expect(page.locator("#audio")).to_have_js_property("paused", True)
