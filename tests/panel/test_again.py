"""A recording transcribed again from the page: all of it or a part, decoded otherwise."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import CLIPS
from tests.panel.conftest import Opener, shot, text_of
from tests.panel.test_accessibility import findings

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_a_part_is_heard_again_as_one_chooses(open_panel: Opener) -> None:
    """The service of the tests has no language model: a test says that it has, and answers for it."""
    asked: list[tuple[str, int]] = []

    def before(page: Page) -> None:
        def health(route: Route) -> None:
            body = {"status": "ready", "model": "medasr-demo", "decodings": ["greedy", "lm"]}
            route.fulfill(body=json.dumps(body), content_type="application/json")

        def note(route: Route) -> None:
            body = route.request.post_data_buffer or b""
            found = re.search(rb'name="decoding"\r\n\r\n(\w+)', body)
            if not found:
                return route.continue_()
            asked.append((found.group(1).decode(), len(body)))
            delta = {"type": "transcript.text.delta", "delta": "Again.", "segment": {"id": 0}, "words": []}
            done = {"type": "transcript.text.done", "text": "Again.", "duration": 1.0}
            events = "".join(f"data: {json.dumps(event)}\n\n" for event in (delta, done))
            route.fulfill(body=events, content_type="text/event-stream")

        page.route("**/health", health)
        page.route("**/v1/audio/transcriptions", note)

    page = open_panel(before=before)
    page.set_input_files("#files", [CLIPS[1].path])
    expect(page.locator(".entry .state", has_text=":")).to_have_count(1)
    words = text_of(page).split()
    page.locator("#again-summary").click()
    expect(page.locator("#again-part")).to_be_hidden()
    page.evaluate(
        """async ([start, end]) => {
            const { state, changed } = await import("./panel/state.js");
            state.selected.place = { start, end };
            changed();
        }""",
        [0, len(" ".join(words[:3]))],
    )
    page.select_option("#again-decoding", label="With the language model")
    shot(page, "again")
    assert findings(page) == []
    page.get_by_role("button", name="The selected words").click()
    expect(page.locator(".entry .state", has_text=":")).to_have_count(2)
    assert text_of(page) == "Again."
    expect(page.locator("#report-title")).to_contain_text("02.flac, 0.")
    [(decoding, size)] = asked
    assert decoding == "lm"
    assert 16_000 < size < 2 * len(CLIPS[1].waveform)  # a part of it, as WAV
