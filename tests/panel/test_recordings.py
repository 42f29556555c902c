"""Files in the panel, in a browser, against the real service: the page shows what the service says."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from medasr_service.model.checkpoint import DEMO_NOTICE
from medasr_service.settings import Settings
from tests.conftest import CLIPS, SAMPLE, SAMPLE_S, Service
from tests.panel.conftest import PHONE, Opener, copy, edit, problem, removed, shot, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

WORKING = re.compile("Sending|Transcribing")
CLIP, DOUBTFUL = CLIPS[1].path, CLIPS[8].path
LENGTH = re.compile(rf"^0:{int(SAMPLE_S):02d}\.\d$")
LOW = Settings().low_confidence


def choose(page: Page, *paths: Path) -> None:
    page.set_input_files("#files", list(paths))


def finished(page: Page, count: int = 1) -> None:
    """That many recordings have their length: they are transcribed."""
    page.locator(".entry .state", has_text=":").nth(count - 1).wait_for()


def verbose(service: Service, path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
        answer = httpx.post(
            f"{service.url}/v1/audio/transcriptions", files={"file": file}, data=fields, timeout=60
        )
    body: dict[str, object] = answer.json()
    return body


def test_a_file_becomes_the_text_that_the_service_gives(open_panel: Opener, service: Service) -> None:
    page = open_panel()
    assert page.locator("#demo").text_content() == DEMO_NOTICE
    shot(page, "start")
    choose(page, SAMPLE)
    finished(page)
    expected = verbose(service, SAMPLE)
    assert text_of(page) == expected["text"]
    page.get_by_label("Raw", exact=True).check()
    assert text_of(page) == expected["raw_text"]
    shot(page, "file-raw")


def test_every_word_is_there_to_be_heard_and_doubt_is_marked(open_panel: Opener, service: Service) -> None:
    page = open_panel()
    choose(page, DOUBTFUL)
    finished(page)
    shown = verbose(service, DOUBTFUL)["words"]
    assert isinstance(shown, list)
    words = [part for word in shown for part in word.get("parts", [word])]  # a mark has its own doubt
    marked = [word["written"].strip() for word in words if word["probability"] < LOW]
    assert marked
    assert page.locator(".w").all_inner_texts() == [word["written"].strip() for word in words]
    assert page.locator("#transcript .doubt").all_inner_texts() == marked
    assert f"{len(marked)} to check" in page.locator("#report-facts").inner_text()
    page.select_option("#threshold", "0.5")
    assert page.locator("#transcript .doubt").count() == sum(word["probability"] < 0.5 for word in words)
    page.select_option("#threshold", "")
    shot(page, "file")


def test_a_click_plays_that_word_from_memory(open_panel: Opener, service: Service) -> None:
    page = open_panel()
    choose(page, DOUBTFUL)
    finished(page)
    words = verbose(service, DOUBTFUL)["words"]
    assert isinstance(words, list)
    page.evaluate(
        """() => {
            window.heard = [];
            const audio = document.getElementById("audio");
            const note = () => heard.push(audio.currentTime);
            for (const type of ["play", "pause"]) audio.addEventListener(type, note);
        }"""
    )
    page.locator(".w").nth(3).click()
    page.locator(".w.now").first.wait_for()
    expect(page.locator("#audio")).to_have_js_property("paused", True)  # it stops by itself
    start, end = page.evaluate("heard")
    assert page.evaluate("document.getElementById('audio').src").startswith("blob:")
    assert words[3]["start"] - 0.3 < start <= words[3]["start"]
    assert words[3]["end"] <= end < words[3]["end"] + 0.6


def hold(page: Page, held: list[Route]) -> None:
    """Requests wait until the test lets them go on."""
    page.route("**/v1/audio/transcriptions", lambda route: held.append(route))


def test_files_wait_in_a_queue_and_can_be_taken_out(open_panel: Opener) -> None:
    held: list[Route] = []
    page = open_panel(before=lambda page: hold(page, held))
    choose(page, *(clip.path for clip in CLIPS[:4]))
    expect(page.locator(".entry")).to_have_count(4)
    expect(page.locator(".entry .state")).to_have_text([*["Waiting"] * 3, WORKING])
    assert len(held) == 1
    shot(page, "queue")
    page.get_by_label("Cancel 03.flac").click()
    page.get_by_label("Cancel 01.flac").click()  # under way
    expect(page.locator(".entry .name")).to_have_text(["04.flac", "02.flac"])
    expect(page.locator(".entry .state")).to_have_text(["Waiting", WORKING])
    assert len(held) == 2
    held[1].continue_()
    finished(page)
    expect(page.locator(".entry .state")).to_have_text([WORKING, re.compile(r"^0:04\.\d$")])
    held[2].continue_()
    finished(page, 2)


def test_cancelling_ends_the_request(open_panel: Opener) -> None:
    page = open_panel(before=lambda page: hold(page, []))
    with page.expect_event("requestfailed") as failed:
        choose(page, SAMPLE)
        page.get_by_label("Cancel sample.wav").click()
    assert failed.value.failure == "net::ERR_ABORTED"
    expect(page.locator(".entry")).to_have_count(0)


def events(*parts: Mapping[str, object]) -> str:
    return "".join(f"data: {json.dumps(part)}\n\n" for part in parts)


DELTA = {
    "type": "transcript.text.delta",
    "delta": "Lungs are clear.",
    "segment": {"id": 0, "start": 0.0, "end": 1.5, "raw_text": "Lungs are clear {period}"},
    "words": [],
    "progress": {"seconds": 24.0, "duration": 96.0},
}


def answer_with(page: Page, body: str) -> None:
    page.route(
        "**/v1/audio/transcriptions",
        lambda route: route.fulfill(status=200, content_type="text/event-stream", body=body),
    )


def test_what_was_transcribed_stays_when_the_connection_is_lost(open_panel: Opener) -> None:
    page = open_panel(before=lambda page: answer_with(page, events(DELTA)))
    choose(page, SAMPLE)
    expect(page.locator("#incomplete-text")).to_have_text("The connection was lost before the end.")
    assert text_of(page) == "Lungs are clear."
    assert page.locator(".entry .state").inner_text().startswith("Incomplete")
    shot(page, "file-lost")
    page.unroute("**/v1/audio/transcriptions")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".entry .state")).to_have_text([LENGTH])  # one, and whole
    assert len(text_of(page).split()) > 50
    expect(page.locator("#incomplete")).to_be_hidden()
    page.keyboard.press("Control+Z")
    assert text_of(page) == "Lungs are clear."


def test_a_report_that_was_edited_is_not_replaced_by_what_completes_it(open_panel: Opener) -> None:
    page = open_panel(before=lambda page: answer_with(page, events(DELTA)))
    choose(page, SAMPLE)
    expect(page.locator("#incomplete-text")).to_have_text("The connection was lost before the end.")
    edit(page, "Lungs are not clear.")
    page.unroute("**/v1/audio/transcriptions")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".entry .state").first).to_have_text(LENGTH)
    page.locator(".entry").nth(1).click()
    assert text_of(page).strip() == "Lungs are not clear."


def test_an_error_in_the_middle_is_shown_in_the_services_words(open_panel: Opener) -> None:
    error = {"type": "error", "error": {"message": "The model cannot be reached.", "code": "not_ready"}}
    page = open_panel(before=lambda page: answer_with(page, events(DELTA, error)))
    choose(page, SAMPLE)
    expect(page.locator("#incomplete-text")).to_have_text("The model cannot be reached.")
    assert text_of(page) == "Lungs are clear."


def test_what_the_model_wrote_is_shown_as_text_never_as_markup(open_panel: Opener) -> None:
    hostile = '<img src=x onerror=alert(1)> & "quotes" <b>bold</b>'
    delta = {**DELTA, "delta": hostile, "segment": {"id": 0, "raw_text": hostile}}
    done = {"type": "transcript.text.done", "text": hostile, "duration": 2.0}
    page = open_panel(before=lambda page: answer_with(page, events(delta, done)))
    choose(page, SAMPLE)
    finished(page)
    assert text_of(page) == hostile
    assert page.locator("#transcript img, #transcript b").count() == 0


def test_words_that_do_not_spell_the_text_leave_the_text_as_it_is(open_panel: Opener) -> None:
    words = [{"word": "Lungs", "written": "Lung", "start": 0.1, "end": 0.4, "probability": 0.9}]
    done = {"type": "transcript.text.done", "text": DELTA["delta"], "duration": 2.0}
    page = open_panel(before=lambda page: answer_with(page, events({**DELTA, "words": words}, done)))
    choose(page, SAMPLE)
    finished(page)
    assert text_of(page) == DELTA["delta"]


def test_what_must_be_filled_in_is_shown_counted_and_one_click_from_its_sound(open_panel: Opener) -> None:
    words = [
        {"word": "Seen", "written": "Seen", "start": 0.1, "end": 0.4, "probability": 0.9},
        {"word": "[Date]", "written": " [Date]", "start": 0.5, "end": 1.0, "probability": 0.99},
        {
            "word": "[unintelligible]",
            "written": " [unintelligible]",
            "start": 1.1,
            "end": 1.5,
            "probability": 1,
        },
    ]
    words[1]["unclear"], words[2]["unclear"] = "placeholder", "doubt"
    text = "Seen [Date] [unintelligible]"
    delta = {**DELTA, "delta": text, "words": words, "segment": {"id": 0, "raw_text": text}}
    warnings = [{"code": "sounds_like_conversation", "message": "This sounds like a conversation."}]
    done = {"type": "transcript.text.done", "text": text, "duration": 2.0, "warnings": warnings}
    page = open_panel(before=lambda page: answer_with(page, events(delta, done)))
    choose(page, SAMPLE)
    finished(page)
    assert page.locator("#transcript .missing").all_inner_texts() == ["[Date]", "[unintelligible]"]
    assert page.locator("#report-facts").inner_text().endswith("3 words, 2 to fill in")
    expect(page.locator("#warnings")).to_have_text("This sounds like a conversation.")
    page.locator("#transcript").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".missing").first).to_be_focused()
    page.evaluate("document.getElementById('audio').addEventListener('play', () => { window.heard = true; })")
    page.locator("#transcript .missing").last.click()
    page.wait_for_function("() => window.heard")
    shot(page, "file-unclear")


def test_a_refused_file_says_why_in_the_services_words(open_panel: Opener, tmp_path: Path) -> None:
    bad = tmp_path / "letter.wav"
    bad.write_bytes(b"Dear colleague, " * 50)
    page = open_panel()
    choose(page, bad, CLIP)
    finished(page)  # the next one is not held up
    page.get_by_role("button", name="letter.wav Failed").click()
    with bad.open("rb") as file:
        refusal = httpx.post(
            f"{page.url}v1/audio/transcriptions",
            files={"file": ("letter.wav", file)},
            data={"stream": "true"},
        )
    assert refusal.status_code == 415
    assert page.locator("#incomplete-text").inner_text() == refusal.json()["error"]["message"]
    shot(page, "file-refused")


def test_dropped_files_are_taken(open_panel: Opener) -> None:
    page = open_panel()
    page.evaluate(
        """async (bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.flac"));
            document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: transfer }));
        }""",
        list(CLIP.read_bytes()),
    )
    finished(page)
    assert page.locator(".entry .name").inner_text() == "dropped.flac"


def test_while_the_service_starts_files_wait_and_dictation_says_so(open_panel: Opener) -> None:
    def starting(page: Page) -> None:
        body = json.dumps({"status": "starting", "version": "0"})
        page.route(
            "**/health", lambda route: route.fulfill(status=503, body=body, content_type="application/json")
        )

    page = open_panel(before=starting, ready=False)
    page.locator("#service[data-state=starting]").wait_for()
    page.keyboard.press("F2")
    assert "its model is loading" in problem(page)
    choose(page, CLIP)
    expect(page.locator(".entry .state")).to_have_text("Waiting for the service")
    shot(page, "starting")
    page.unroute("**/health")
    finished(page)


def test_an_unreachable_service_is_said_and_found_again(open_panel: Opener) -> None:
    def cut_off(page: Page) -> None:
        page.route("**/health", lambda route: route.abort())

    page = open_panel(before=cut_off, ready=False)
    page.locator("#service[data-state=lost]").wait_for()
    assert page.locator("#service").inner_text() == "The service cannot be reached"
    shot(page, "lost")
    page.unroute("**/health")
    page.locator("#service[data-state=ready]").wait_for()


def test_edits_are_the_users_own_and_the_original_comes_back(open_panel: Opener, service: Service) -> None:
    page = open_panel()
    choose(page, CLIP)
    finished(page)
    original = text_of(page)
    assert "loss and palpitations" in original
    page.get_by_role("button", name="Edit").click()
    expect(page.locator("#editor-text")).to_be_focused()
    shot(page, "editor")
    mine = original.replace("loss and palpitations", "gain and palpitations at night")
    page.fill("#editor-text", mine)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#edited-mark")).to_be_visible()
    assert page.locator("#transcript ins").all_inner_texts() == ["gain", "at", "night"]
    assert removed(page) == ["loss"]
    assert page.locator(".w", has_text="palpitations").count() == 1  # still there to be heard
    shot(page, "edited")
    assert copy(page) == mine
    page.get_by_label("Original").check()
    assert text_of(page) == original
    page.get_by_role("button", name="Restore original").click()
    assert text_of(page) == original
    expect(page.locator("#edited-mark")).to_be_hidden()
    page.get_by_role("button", name="Bring back my edits").click()
    assert page.locator("#transcript ins").count() == 3


def test_nothing_is_stored_and_a_removed_recording_is_gone(open_panel: Opener) -> None:
    page = open_panel()
    choose(page, CLIP)
    finished(page)
    page.get_by_label("Remove 02.flac").click()
    expect(page.locator(".entry")).to_have_count(0)
    assert text_of(page) == ""
    expect(page.locator("#choose")).to_be_focused()
    stored = page.evaluate(
        """async () => {
            const databases = await indexedDB.databases();
            return [localStorage.length, sessionStorage.length, document.cookie, databases.length];
        }"""
    )
    assert stored == [0, 0, "", 0]


def test_the_page_fits_a_phone(open_panel: Opener) -> None:
    page = open_panel(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    choose(page, CLIP)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "phone")


def test_a_damaged_recording_is_heard_and_the_page_says_what_is_missing(
    open_panel: Opener, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(SAMPLE.read_bytes()[:-64_000])  # 2 s
    page = open_panel()
    choose(page, cut)
    finished(page)
    expect(page.locator("#warnings")).to_contain_text(
        f"damaged at {SAMPLE_S - 2:.1f} s: 2.0 s could not be read"
    )
    assert text_of(page).startswith("INDICATION\n65-year-old man")
    assert text_of(page).endswith("[2.0 s could not be read]")
    shot(page, "file-damaged")
