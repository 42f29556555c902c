"""Dictation in the panel against the real service: spoken into the browser, read on the page."""

import io
from itertools import pairwise

import httpx
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from tests.conftest import Service
from tests.panel.conftest import QUIET_S, Opener, dictated_s, recorded, shot, start, stop, text_of
from tests.panel.voice import SAID, SPOKEN, SPOKEN_S, Voice

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

WATCH = """() => {
    window.texts = [];
    const transcript = document.getElementById("transcript");
    const note = () => texts.at(-1) === transcript.textContent || texts.push(transcript.textContent);
    new MutationObserver(note).observe(transcript, { childList: true, subtree: true, characterData: true });
    window.guesses = [];
    const guess = () => guesses.push(transcript.querySelector(".caret")?.dataset.unfinished ?? "");
    new MutationObserver(guess).observe(transcript, { subtree: true, attributeFilter: ["data-unfinished"] });
}"""


def dictate(page: Page, *, words: int) -> str:
    """All of the clip, until so many words are there; returns what was written while it was spoken."""
    start(page)
    dictated_s(page, SPOKEN_S)
    written = "document.getElementById('transcript').textContent"
    page.wait_for_function(f"(words) => {written}.split(/\\s+/).filter(Boolean).length >= words", arg=words)
    shot(page, "live-real")
    while_speaking = str(page.evaluate(written))
    stop(page)
    return while_speaking


def file_text(service: Service, recording: bytes, *, timeout_s: float = 120) -> str:
    files = {"file": ("recording.wav", recording)}
    answer = httpx.post(f"{service.url}/v1/audio/transcriptions", files=files, timeout=timeout_s)
    return str(answer.json()["text"])


def test_the_spoken_text_grows_and_is_what_was_said(open_panel: Opener, service: Service) -> None:
    """Tolerance: none. The clip is read without an error as a file, and must be live."""
    as_file = file_text(service, SPOKEN.path.read_bytes())
    page = open_panel(before=Voice(SAID).install)
    page.evaluate(WATCH)
    while_speaking = dictate(page, words=int(0.7 * len(as_file.split())))  # before the key is pressed
    text = text_of(page)
    assert text == as_file == file_text(service, recorded(page))
    page.get_by_label("Raw", exact=True).check()
    assert text_of(page) == SPOKEN.text
    page.get_by_label("Report", exact=True).check()
    grown = [step for step in page.evaluate("texts") if step]
    steps = grown[: grown.index(while_speaking) + 1]
    assert len(set(steps)) >= 4
    assert all(later.startswith(earlier) for earlier, later in pairwise([*steps, text]))
    assert len({guess for guess in page.evaluate("guesses") if guess.strip()}) >= 4
    shot(page, "dictated-real")


def is_whole(recording: bytes) -> bool:
    """Whether the clip is in it without a gap: its samples, wherever they begin."""
    heard, said = soundfile.read(io.BytesIO(recording), dtype="float32")[0], SPOKEN.waveform
    size = 1 << (len(heard) + len(said)).bit_length()
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    got = heard[int(match.argmax()) :][: len(said)]
    return len(got) == len(said) and bool(np.corrcoef(got, said)[0, 1] > 0.999)


def test_what_the_microphone_hears_is_written(open_panel: Opener, service: Service) -> None:
    """A busy machine makes the browser's microphone lose sound: then, and only then, it is spoken again."""
    for _ in range(6):
        page = open_panel()
        start(page)
        dictated_s(page, QUIET_S + SPOKEN_S + 1)
        stop(page)
        recording = recorded(page)
        if is_whole(recording):
            break
        page.close(run_before_unload=False)
    else:
        pytest.fail("The browser's microphone never gave all of the clip.")
    assert text_of(page) == file_text(service, recording)
    page.get_by_label("Raw", exact=True).check()
    assert text_of(page) == SPOKEN.text


def test_a_dictated_word_is_heard_where_it_was_said(open_panel: Opener) -> None:
    page = open_panel(before=Voice(SAID).install)
    dictate(page, words=1)
    page.locator(".w", has_text="malignancy").click()
    expect(page.locator(".w.now")).to_have_text("malignancy")
    time = page.evaluate("document.getElementById('audio').currentTime")
    assert 4 < time < 9  # the clip says it in its last sentence
    expect(page.locator("#audio")).to_have_js_property("paused", True)
