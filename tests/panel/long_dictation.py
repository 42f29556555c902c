"""Half an hour dictated in real time by a fake microphone: nothing is lost, and the text is the file's.

Not in `make test`: `pytest tests/panel/long_dictation.py`, nightly; MINUTES=10 makes it shorter.
"""

import io
import json
import os
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Playwright

from tests.conftest import CLIPS, Service
from tests.panel.conftest import QUIET_S, Opener, dictated_s, launch, recorded, start, stop, text_of
from tests.panel.test_live import file_text

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

RATE = 16_000
MINUTES = float(os.environ.get("MINUTES", "30"))
PAUSE_S = 0.8
MOST_APART = 0.01  # of the words: 0.7 % live and as a file, docs/live.md
CLOCK_S = 2.0  # what a browser's clock of sound may be off, and what it takes to press a key


def spoken() -> np.ndarray:
    """The bundled clips, one after the other, for so long."""
    pause = np.zeros(int(PAUSE_S * RATE), np.float32)
    parts = [np.zeros(int(QUIET_S * RATE), np.float32)]
    while sum(map(len, parts)) < MINUTES * 60 * RATE:
        for clip in CLIPS:
            parts += [clip.waveform, pause]
    return np.concatenate(parts)


def test_half_an_hour_is_dictated_without_loss(
    playwright: Playwright, service: Service, tmp_path: Path
) -> None:
    sound = spoken()
    said_s = len(sound) / RATE
    path = tmp_path / "long.wav"
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    fake = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={path}%noloop")
    browser = launch(playwright, *fake)
    opener = Opener(browser, service)
    page = opener()
    start(page)
    dictated_s(page, said_s)
    stop(page)
    recording = recorded(page)
    live, heard = text_of(page), file_text(service, recording)
    found = jiwer.process_words(" ".join(heard.split()), " ".join(live.split()))
    apart = found.substitutions + found.insertions + found.deletions
    words = len(heard.split())
    kept_s = len(soundfile.read(io.BytesIO(recording))[0]) / RATE
    state = page.locator(".entry .state").inner_text()
    report = {
        "said_s": said_s,
        "kept_s": kept_s,
        "live": len(live.split()),
        "file": words,
        "apart": apart,
        "state": state,
    }
    print(json.dumps(report))
    browser.close()
    assert not opener.complaints
    assert "Incomplete" not in state
    assert abs(kept_s - said_s) < CLOCK_S
    assert apart <= MOST_APART * words
