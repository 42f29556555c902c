"""Dictation in the panel, in a browser with a microphone that plays a recording."""

import io
import re
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Playwright, Route, expect

from tests.conftest import Service
from tests.panel.conftest import (
    PHONE,
    FakeRealtime,
    Opener,
    dictated_s,
    launch,
    problem,
    recorded,
    shot,
    start,
    stop,
    text_of,
)
from tests.panel.voice import SAID, SPOKEN, SPOKEN_S, Voice

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def both(first: Callable[[Page], None], then: Callable[[Page], None]) -> Callable[[Page], None]:
    def step(page: Page) -> None:
        first(page)
        then(page)

    return step


@pytest.mark.parametrize("rate", [48_000, 44_100, 16_000])
def test_what_is_sent_is_what_was_said(open_panel: Opener, realtime: FakeRealtime, rate: int) -> None:
    """Nothing lost, doubled, moved or made louder: the error, of the filter, is a hundredth of the sound."""
    said = SPOKEN.waveform[: 6 * 16_000 + 777]  # the last block is not full
    voice = Voice(said, rate, paced=False)
    page = open_panel(before=both(voice.install, realtime.install))
    start(page)
    dictated_s(page, len(said) / 16_000)
    level = page.evaluate("new DOMMatrix(document.getElementById('level').style.transform).a")
    assert 0.2 < level <= 1
    stop(page)
    [update, commit] = realtime.events
    assert update["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 16_000}
    assert update["session"]["include"] == ["item.input_audio_transcription.hypothesis"]
    assert commit["type"] == "input_audio_buffer.commit"
    heard = realtime.heard
    assert 0 <= len(heard) - len(said) <= 128  # the browser computes 128 samples at a time
    got = heard[: len(said)]
    assert np.linalg.norm(got - said) < 0.012 * np.linalg.norm(said)
    assert np.dot(got, said) / np.dot(said, said) == pytest.approx(1, abs=0.001)
    assert np.abs(heard[len(said) :]).max(initial=0) < 0.002
    with soundfile.SoundFile(io.BytesIO(recorded(page))) as kept:
        assert kept.samplerate == 16_000
        np.testing.assert_array_equal(kept.read(dtype="float32"), heard)


def test_text_grows_while_one_speaks_and_is_never_taken_back(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    page = open_panel(before=realtime.install)
    realtime.on_commit = lambda fake: fake.complete("item", "The lungs are clear severe* effusion.")
    start(page)
    assert text_of(page) == ""
    realtime.delta("item", "The lungs")
    expect(page.locator("#transcript")).to_have_text("The lungs")
    realtime.delta("item", " are clear")
    expect(page.locator("#transcript")).to_have_text("The lungs are clear")
    dictated_s(page, 2)
    shot(page, "live")
    stop(page)
    assert text_of(page) == "The lungs are clear severe effusion."
    assert page.locator("#transcript .doubt").all_inner_texts() == ["severe"]
    assert "1 to check" in page.locator("#announcer").inner_text()
    shot(page, "dictated")


def test_turns_join_as_they_come_and_a_failed_one_is_said(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=realtime.install)
    start(page)
    realtime.complete("one", "Lungs are clear.")
    realtime.send(f"{realtime.ITEM}.failed", item_id="two", error={"message": "The model cannot be reached."})
    realtime.complete("three", "\n\nFINDINGS")
    realtime.complete("four", " No effusion.")
    expect(page.locator("#transcript")).to_contain_text("No effusion.")
    assert text_of(page) == "Lungs are clear. [a part could not be transcribed]\n\nFINDINGS No effusion."
    expect(page.locator("#report-facts")).to_contain_text("1 to fill in")
    stop(page)
    assert "The model cannot be reached." in page.locator("#incomplete-text").inner_text()


def test_a_connection_lost_in_the_middle_loses_nothing(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=both(Voice(SAID).install, realtime.install))
    start(page)
    realtime.delta("item", "The lungs are clear")
    dictated_s(page, 1)
    realtime.on_open = refuse
    assert realtime.socket is not None
    realtime.socket.close(code=1011, reason="")
    assert "the recording goes on here" in problem(page)
    assert text_of(page) == "The lungs are clear"
    shot(page, "live-lost")
    dictated_s(page, 4)
    stop(page)
    assert text_of(page) == "The lungs are clear"
    expect(page.locator(".entry .state")).to_contain_text("Incomplete")
    page.get_by_role("button", name="Transcribe the recording").click()
    expect(page.locator(".entry .state")).to_have_text([re.compile(r"^0:\d\d\.\d$")])  # heard, in its place
    assert "No acute" in text_of(page)
    expect(page.locator("#problem")).to_be_hidden()
    shot(page, "recovered")


def test_a_dictation_says_that_the_model_is_away_until_it_is_heard_again(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    page = open_panel(before=both(Voice(SAID).install, realtime.install))
    start(page)
    realtime.delta("item", "The lungs are")
    realtime.send("medasr.model_away", message="The model is being started again.")
    assert "started again" in problem(page)
    realtime.delta("item", " clear")
    expect(page.locator("#problem")).to_be_hidden()
    assert text_of(page) == "The lungs are clear"
    realtime.on_commit = lambda fake: fake.complete("item", "The lungs are clear")
    stop(page)


def refuse(fake: FakeRealtime) -> None:
    assert fake.socket is not None
    fake.send("error", error={"message": "8 dictations are under way, the limit.", "event_id": None})
    fake.socket.close(code=1013, reason="")


def test_a_dictation_goes_on_where_a_service_that_leaves_has_ended_it(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    """In the next session: what was said behind the end of the first is heard there, all of it and once."""
    page = open_panel(before=both(Voice(SAID).install, realtime.install))
    realtime.on_commit = lambda fake: fake.complete("item", "Both,* are clear.")
    start(page)
    dictated_s(page, 3)
    realtime.complete("item_1", "No acute findings.")
    realtime.send("error", error={"message": "It leaves.", "code": "draining"}, audio_end_ms=2000)
    first, realtime.audio = realtime.audio, bytearray()
    assert realtime.socket is not None
    realtime.socket.close(code=1013, reason="")
    page.locator("#problem").wait_for()
    expect(page.locator("#problem")).to_be_hidden()
    dictated_s(page, SPOKEN_S + 1)
    stop(page)
    assert text_of(page) == "No acute findings. Both, are clear."
    assert page.locator("#transcript .doubt").all_inner_texts() == ["Both", ","]
    expect(page.locator(".entry .state")).not_to_contain_text("Incomplete")
    page.locator(".w", has_text="Both").click()
    assert page.evaluate("document.getElementById('audio').currentTime") > 2
    joined = bytes(first[: 2 * 2 * 16_000]) + bytes(realtime.audio)
    assert joined.startswith(bytes(first))
    kept = soundfile.read(io.BytesIO(recorded(page)), dtype="int16")[0].tobytes()
    assert joined == kept[: len(joined)]


def test_a_refused_session_says_why(open_panel: Opener, realtime: FakeRealtime) -> None:
    realtime.on_open = refuse
    page = open_panel(before=realtime.install)
    page.keyboard.press("F2")
    assert "8 dictations are under way, the limit." in problem(page)
    expect(page.locator("#record-label")).to_have_text("Start dictation")
    assert page.locator(".entry").count() == 0


def test_a_refused_microphone_is_explained(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=realtime.install, microphone=False)
    page.keyboard.press("F2")
    assert "does not let this page use the microphone" in problem(page)
    expect(page.locator("#record-label")).to_have_text("Start dictation")
    shot(page, "refused")


def test_a_browser_that_does_not_start_the_sound_is_not_waited_for(open_panel: Opener) -> None:
    """Firefox, on a computer without loudspeakers."""

    def never(page: Page) -> None:
        page.add_init_script(
            "AudioContext.prototype.resume = () => ((window.asked = true), new Promise(() => {}))"
        )

    page = open_panel(before=never)
    page.clock.install()
    page.keyboard.press("F2")
    page.wait_for_function("() => window.asked")
    page.clock.fast_forward(15_000)
    assert "does not start the sound" in problem(page)
    expect(page.locator("#record")).to_have_attribute("data-on", "false")


def test_without_a_microphone_files_still_work(playwright: Playwright, service: Service) -> None:
    browser = launch(playwright)
    try:
        opener = Opener(browser, service)
        page = opener(viewport=PHONE)
        page.keyboard.press("F2")
        assert "No microphone was found" in problem(page)
        shot(page, "no-microphone")
        assert not opener.complaints
    finally:
        browser.close()


# What the tab keeps at the moment at which the dialog goes: a tab may be closed or loaded anew in the next.
KEPT_WHEN_HIDDEN = """() => {
    const look = () => { window.kept = { ...sessionStorage }; };
    new MutationObserver(look).observe(document.getElementById("settings"), { attributeFilter: ["open"] });
}"""


def test_a_key_is_asked_for_and_kept_in_memory_only(open_panel: Opener, realtime: FakeRealtime) -> None:
    """The real check of keys has tests of its own; here, what the page does with a refusal."""
    keys: list[str | None] = []

    def guarded(page: Page) -> None:
        def check(route: Route) -> None:
            key = route.request.headers.get("authorization")
            keys.append(key)
            if key == "Bearer secret-0123456789":
                route.continue_()
            else:
                body = {"error": {"message": "The API key is missing or wrong.", "code": "invalid_api_key"}}
                route.fulfill(status=401, json=body)

        page.route("**/v1/**", check)

    page = open_panel(before=guarded)
    page.set_input_files("#files", [SPOKEN.path])
    expect(page.locator("#settings")).to_be_visible()
    expect(page.locator("#key")).to_be_focused()
    shot(page, "key")
    page.keyboard.type("secret-0123456789")
    page.keyboard.press("Enter")
    expect(page.locator("#settings")).to_be_hidden()
    expect(page.locator(".entry .state")).to_have_text("0:08.8")  # it is tried again by itself
    assert keys[-1] == "Bearer secret-0123456789"
    assert page.evaluate("JSON.stringify([localStorage, sessionStorage])") == "[{},{}]"
    page.get_by_role("button", name="Settings").click()
    page.evaluate(KEPT_WHEN_HIDDEN)
    page.get_by_label("Keep the key until this tab is closed").check()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#settings")).to_be_hidden()
    assert page.evaluate("kept") == {"medasr-api-key": "secret-0123456789"}
    page.reload()
    page.locator("#service[data-state=ready]").wait_for()
    page.get_by_role("button", name="Settings").click()
    expect(page.locator("#key")).to_have_value("secret-0123456789")
    page.evaluate(KEPT_WHEN_HIDDEN)
    page.get_by_label("Keep the key until this tab is closed").uncheck()
    page.keyboard.press("Escape")
    expect(page.locator("#settings")).to_be_hidden()
    assert page.evaluate("kept") == {}


OFFERED = """() => {
    window.offered = [];
    window.WebSocket = class extends WebSocket {
        constructor(url, protocols) { super(url, protocols); offered.push(protocols); }
    };
}"""


def test_a_dictation_brings_the_key_as_a_subprotocol(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=realtime.install)
    page.evaluate(OFFERED)
    for key, protocols in [("", ["realtime"]), ("sk-1_a", ["realtime", "openai-insecure-api-key.sk-1_a"])]:
        page.get_by_role("button", name="Settings").click()
        page.fill("#key", key)
        page.keyboard.press("Enter")
        expect(page.locator("#settings")).to_be_hidden()
        start(page)
        stop(page)
        assert page.evaluate("offered.at(-1)") == protocols


def test_a_key_that_no_browser_can_send_is_said_and_not_shown(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    page = open_panel(before=realtime.install)
    page.get_by_role("button", name="Settings").click()
    page.fill("#key", "secret/0123456789=")
    page.keyboard.press("Enter")
    page.keyboard.press("F2")
    said = problem(page)
    assert "the API key has characters that a browser cannot send" in said
    assert "secret" not in said
    expect(page.locator("#record-label")).to_have_text("Start dictation")


def test_the_whole_page_works_by_keyboard(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=realtime.install)
    realtime.on_commit = lambda fake: fake.complete("item", "Lungs are clear severe* effusion mild* rales.")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    start(page)
    dictated_s(page, 3)
    stop(page)
    page.locator("#transcript").focus()
    focused = page.locator(":focus")
    for key, word in [
        ("ArrowRight", "Lungs"),
        ("ArrowRight", "are"),
        ("ArrowDown", "severe"),
        ("ArrowDown", "mild"),
        ("ArrowUp", "severe"),
        ("ArrowLeft", "clear"),
    ]:
        page.keyboard.press(key)
        expect(focused).to_have_text(word)
    page.keyboard.press("Enter")
    expect(page.locator(".w.now")).to_have_text("clear")
    page.locator("#edit").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Home")
    page.keyboard.type("Both ")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#transcript ins")).to_have_text("Both")
    expect(page.locator("#edit")).to_be_focused()


def test_the_page_asks_before_it_forgets(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=realtime.install)
    realtime.on_commit = lambda fake: fake.complete("item", "Lungs are clear.")
    start(page)
    stop(page)
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"


def test_the_filter_keeps_speech_and_removes_what_would_fold_back(browser: Browser, service: Service) -> None:
    """In the very worklet, from 48 and 44.1 kHz to 16: tones below 7 kHz stay, above 9 kHz they go."""
    page = browser.new_page()
    page.goto(service.url)
    level = """async ([rate, tone]) => {
        const context = new OfflineAudioContext(1, rate, rate);
        await context.audioWorklet.addModule("panel/capture.js");
        const node = new AudioWorkletNode(context, "capture");
        const samples = [];
        node.port.onmessage = ({ data }) => samples.push(...(data.samples ?? []));
        const buffer = new AudioBuffer({ length: rate, sampleRate: rate });
        const sine = (_, i, wave) => (wave[i] = Math.sin((2 * Math.PI * tone * i) / rate));
        buffer.getChannelData(0).forEach(sine);
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(node).connect(context.destination);
        source.start();
        await context.startRendering();
        await new Promise((resolve) => setTimeout(resolve, 100));
        const middle = samples.slice(4000, 12000);
        return [samples.length, Math.sqrt(middle.reduce((sum, s) => sum + s * s, 0) / middle.length) / 32767];
    }"""
    full = np.sqrt(0.5)
    for rate in (48_000, 44_100, 16_000):
        for tone in (200, 1000, 3000, 6500):
            count, rms = page.evaluate(level, [rate, tone])
            assert 16_000 - 1600 <= count <= 16_000
            assert rms == pytest.approx(full, rel=0.02), (rate, tone)
    for rate in (48_000, 44_100):
        for tone in (9_000, 12_000, 15_900):
            assert page.evaluate(level, [rate, tone])[1] < 0.002 * full, (rate, tone)
    page.close()
