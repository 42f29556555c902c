"""One report, many dictations: where they go, how they are taken back, what is doubtful in them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import CLIPS, Service, in_noise
from tests.panel.conftest import (
    FakeRealtime,
    Opener,
    dictated_s,
    go_on,
    problem,
    recorded,
    removed,
    shot,
    start,
    stop,
    text_of,
)
from tests.panel.voice import SAID, SPOKEN, Voice

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

FIRST = "FINDINGS\nThe lungs are clear. No effusion.\n\nPLAN\nReturn."


@pytest.fixture
def page(open_panel: Opener, realtime: FakeRealtime) -> Page:
    page = open_panel(before=realtime.install)
    say(page, realtime, FIRST, new=True)
    return page


def say(page: Page, realtime: FakeRealtime, text: str, *, new: bool = False) -> None:
    realtime.on_commit = lambda fake: fake.complete("item", text)
    start(page) if new else go_on(page)
    stop(page)


def cursor(page: Page, text: str, *, until: str | None = None) -> None:
    """Behind that text; or all from there to behind ``until`` selected."""
    page.evaluate(
        """async ([text, until]) => {
            const { state, changed } = await import("./panel/state.js");
            const { report } = await import("./panel/transcript.js");
            const whole = report(state.selected);
            const end = whole.indexOf(until ?? text) + (until ?? text).length;
            state.selected.place = { start: until === null ? end : whole.indexOf(text), end };
            changed();
        }""",
        [text, until],
    )


def test_a_dictation_goes_on_where_the_last_one_ended(page: Page, realtime: FakeRealtime) -> None:
    expect(page.locator("#record-label")).to_have_text("Go on here")
    say(page, realtime, "Call if fever* rises.")
    assert text_of(page) == f"{FIRST} Call if fever rises."
    assert page.locator(".entry").count() == 1
    assert page.locator("#transcript .doubt").all_inner_texts() == ["fever"]
    shot(page, "gone-on")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("clear.", "FINDINGS\nThe lungs are clear. Heart normal. No effusion.\n\nPLAN\nReturn."),
        ("FINDINGS\n", "FINDINGS\nHeart normal. The lungs are clear. No effusion.\n\nPLAN\nReturn."),
        ("PLAN\n", "FINDINGS\nThe lungs are clear. No effusion.\n\nPLAN\nHeart normal. Return."),
        ("effu", "FINDINGS\nThe lungs are clear. No effusion Heart normal..\n\nPLAN\nReturn."),
    ],
)
def test_a_dictation_goes_where_the_cursor_is(
    page: Page, realtime: FakeRealtime, place: str, expected: str
) -> None:
    """A word is never parted; what stands around keeps its distance, and its sound."""
    cursor(page, place)
    say(page, realtime, "Heart normal.")
    assert text_of(page) == expected
    assert page.locator(".w", has_text="Return").count() == 1
    expect(page.locator("#edited-mark")).to_be_hidden()  # the user wrote nothing
    page.keyboard.press("Control+z")
    assert text_of(page) == FIRST
    page.keyboard.press("Control+y")
    assert text_of(page) == expected


def test_the_cursor_is_put_by_a_click(page: Page, realtime: FakeRealtime) -> None:
    box = page.locator(".w", has_text="clear").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    expect(page.locator("#transcript .place")).to_have_count(1)
    shot(page, "cursor")
    say(page, realtime, "today")
    assert text_of(page) == FIRST.replace("clear.", "clear today.")


def test_what_is_selected_is_said_again(page: Page, realtime: FakeRealtime) -> None:
    cursor(page, "No effusion", until="No effusion")
    expect(page.locator("#record-label")).to_have_text("Replace selection")
    say(page, realtime, "Small effusion")
    assert text_of(page) == FIRST.replace("No effusion", "Small effusion")
    assert " ".join(removed(page)) == "No effusion"
    page.keyboard.press("Control+z")
    assert text_of(page) == FIRST


def test_a_dictation_that_goes_on_has_its_sound_in_the_same_recording(
    open_panel: Opener, service: Service
) -> None:
    page = open_panel(before=Voice(SPOKEN.waveform, paced=False).install)
    start(page)
    dictated_s(page, 8)
    stop(page)
    first, size = text_of(page), len(recorded(page))
    go_on(page)
    dictated_s(page, 8)
    stop(page)
    text = text_of(page)
    assert text == f"{first} {first}"
    assert len(recorded(page)) == pytest.approx(2 * size, abs=2000)
    word = page.locator(".w", has_text="malignancy")
    times = []
    for nth in (0, 1):
        word.nth(nth).click()
        expect(word.nth(nth)).to_have_class(re.compile("now"))
        times.append(page.evaluate("document.getElementById('audio').currentTime"))
    assert times[1] - times[0] == pytest.approx(size / 32_000, abs=0.6)


def test_a_new_report_is_begun_by_its_own_key(page: Page, realtime: FakeRealtime) -> None:
    say(page, realtime, "Another patient.", new=True)
    assert text_of(page) == "Another patient."
    assert page.locator(".entry").count() == 2


def test_reports_have_names(page: Page) -> None:
    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("Mrs. Miller, chest")
    page.keyboard.press("Enter")
    expect(page.locator("#report-title")).to_have_text("Mrs. Miller, chest")
    expect(page.locator(".entry .name")).to_have_text("Mrs. Miller, chest")
    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("other")
    page.keyboard.press("Escape")
    expect(page.locator("#report-title")).to_have_text("Mrs. Miller, chest")


def test_escape_keeps_what_was_typed_and_undo_reaches_across_it(page: Page) -> None:
    page.locator("#edit").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Call today")
    page.keyboard.press("Escape")
    assert text_of(page) == f"{FIRST} Call today"
    page.locator("#edit").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" at noon.")
    page.keyboard.press("Control+Enter")
    for expected in (" Call today at", " Call today", " Call", ""):
        page.keyboard.press("Control+z")
        assert text_of(page) == FIRST + expected
    page.keyboard.press("Control+z")  # the dictation itself is the last that can be taken back, or nothing is
    page.locator("#edit-redo").click()
    page.keyboard.press("Control+Shift+z")
    assert text_of(page).startswith(f"{FIRST} Call")
    page.locator("#edit").click()
    page.keyboard.press("Control+z")
    expect(page.locator("#editor-text")).to_have_value(re.compile(re.escape(FIRST)))


def heard(voice: Voice, realtime: FakeRealtime) -> Callable[[Page], None]:
    def install(page: Page) -> None:
        voice.install(page)
        realtime.install(page)

    return install


def test_a_dictation_that_heard_nothing_leaves_no_card(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=heard(Voice(0 * SAID[:32_000], paced=False), realtime))
    start(page)
    stop(page)
    assert "No words were heard" in problem(page)
    expect(page.locator(".entry")).to_have_count(0)
    shot(page, "nothing-heard")


def test_sound_without_words_is_kept_and_says_so(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=heard(Voice(SPOKEN.waveform, paced=False), realtime))
    start(page)
    dictated_s(page, 8)
    stop(page)
    assert "No words were heard" in page.locator("#incomplete-text").inner_text()
    expect(page.get_by_role("button", name="Transcribe the recording")).to_be_visible()


def test_what_is_not_yet_sure_is_seen_and_never_copied(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=realtime.install)
    start(page)
    realtime.delta("item", "The lungs")
    realtime.send(f"{realtime.ITEM}.hypothesis", item_id="item", hypothesis=" are clean")
    expect(page.locator("#transcript .caret")).to_have_attribute("data-unfinished", " are clean")
    shot(page, "unfinished")
    assert text_of(page) == "The lungs"
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    assert page.evaluate("navigator.clipboard.readText()") == "The lungs"
    realtime.delta("item", " are clear")
    expect(page.locator("#transcript .caret")).to_have_attribute("data-unfinished", "")


def test_a_doubtful_word_is_heard_accepted_and_replaced_by_what_else_was_considered(
    open_panel: Opener, service: Service, tmp_path: Path
) -> None:
    page = open_panel()
    (tmp_path / "noisy.wav").write_bytes(in_noise(CLIPS[3].waveform, 10))
    page.set_input_files("#files", [tmp_path / "noisy.wav"])
    page.locator(".entry .state", has_text=":").wait_for()
    doubts = page.locator("#transcript .doubt")
    count = doubts.count()
    assert count >= 2
    expect(page.locator("#report-facts")).to_contain_text(f"{count} to check")
    doubts.first.click()
    expect(page.locator("#wave")).to_be_visible()
    shot(page, "word")
    accepted = doubts.first.inner_text()
    page.get_by_role("button", name="It is right").click()
    expect(doubts).to_have_count(count - 1)
    expect(page.locator(".w:not(.doubt)", has_text=accepted)).not_to_have_count(0)
    doubts.first.click()
    word = doubts.first.inner_text()
    page.get_by_role("button", name="Other readings").click()
    reading = page.locator("#word button", has_text="%)").first
    other = re.sub(r" \(\d+ %\)$", "", reading.inner_text())
    shot(page, "readings")
    assert other != word
    before = text_of(page)
    reading.click()
    assert other in text_of(page)
    assert removed(page)
    expect(doubts).to_have_count(count - 2)
    page.keyboard.press("Control+z")
    assert text_of(page) == before
    page.keyboard.press("Control+z")
    expect(doubts).to_have_count(count)


def test_playing_goes_on_from_a_word_and_faster(open_panel: Opener, service: Service) -> None:
    page = open_panel()
    page.set_input_files("#files", [CLIPS[1].path])
    page.locator(".entry .state", has_text=":").wait_for()
    page.select_option("#speed", "1.5")
    page.locator(".w").nth(2).click()
    page.get_by_role("button", name="Play from here").click()
    page.locator(".w.now").first.wait_for()
    assert page.evaluate("document.getElementById('audio').playbackRate") == 1.5
    page.wait_for_function("() => document.getElementById('audio').currentTime > 3")  # behind that word


def test_the_service_has_the_last_word_on_what_is_doubtful(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    def doubting(page: Page) -> None:
        realtime.install(page)
        page.route(
            "**/health",
            lambda route: route.fulfill(json={"status": "healthy", "model": "m", "low_confidence": 0.3}),
        )

    page = open_panel(before=doubting)
    realtime.on_commit = lambda fake: fake.complete("item", "Clear severe* lungs.")
    start(page)
    stop(page)
    expect(page.locator("#transcript .w")).to_have_count(4)
    assert page.locator("#transcript .doubt").count() == 0  # 0.4, and so sure enough
    assert page.locator("#threshold option").first.inner_text() == "30 %"
    page.select_option("#threshold", "0.5")
    assert page.locator("#transcript .doubt").all_inner_texts() == ["severe"]


def test_a_wrong_key_is_noticed_at_once_and_the_right_one_tries_again(open_panel: Opener) -> None:
    def guarded(page: Page) -> None:
        body = {"error": {"message": "Send it as 'Authorization: Bearer KEY'.", "code": "invalid_api_key"}}

        def check(route: object) -> None:
            right = route.request.headers.get("authorization") == "Bearer right-0123456789"  # type: ignore[attr-defined]
            route.continue_() if right else route.fulfill(status=401, json=body)  # type: ignore[attr-defined]

        page.route("**/v1/**", check)

    page = open_panel(before=guarded)
    page.set_input_files("#files", [CLIPS[1].path])
    expect(page.locator("#settings")).to_be_visible()
    assert "asks for a key" in page.locator("#key-note").inner_text()
    page.keyboard.type("wrong-0123456789")
    page.keyboard.press("Enter")
    expect(page.locator("#key-note")).to_contain_text("does not take this key")  # at once
    expect(page.locator("#problem-text")).to_contain_text("does not take this key")
    assert "Bearer" not in page.locator("body").inner_text()
    shot(page, "key-wrong")
    page.fill("#key", "right-0123456789")
    page.keyboard.press("Enter")
    expect(page.locator(".entry .state")).to_have_text(re.compile(r"^0:\d\d\.\d$"))  # nobody asked again
    expect(page.locator("#problem")).to_be_hidden()


@pytest.mark.parametrize("public", [True, False])
def test_the_documentation_is_offered_where_it_can_be_read(open_panel: Opener, public: bool) -> None:
    def served(page: Page) -> None:
        body = {"status": "healthy", "model": "m", "docs": public}
        page.route("**/health", lambda route: route.fulfill(json=body))

    page = open_panel(before=served)
    expect(page.get_by_role("link", name="API")).to_have_count(1 if public else 0)
