"""The panel in headless Chromium, against the real service, or against answers that a test writes."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    WebSocketRoute,
    expect,
    sync_playwright,
)

from medasr_service.model.geometry import Waveform
from tests.conftest import ROOT, Service, require
from tests.panel.voice import SPOKEN

SCREENSHOTS = ROOT / "build" / "screenshots"
QUIET_S = 2.0  # before it: what is said while the microphone still opens is not heard
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
FLAGS = [
    "--no-sandbox",  # root has none in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
TIMEOUT_MS = 60_000  # for what comes in a moment, on a machine that is busy with other things
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Package scope: its event loop must be gone before asynchronous tests run."""
    require("chromium")
    with sync_playwright() as playwright:
        yield playwright


def launch(playwright: Playwright, *flags: str) -> Browser:
    return playwright.chromium.launch(executable_path=require("chromium"), args=[*FLAGS, *flags])


@pytest.fixture(scope="package")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears: silence, then a clip, then silence for ever."""
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    samples = np.concatenate((np.zeros(int(16_000 * QUIET_S), np.float32), SPOKEN.waveform))
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="package")
def browser(playwright: Playwright, recording: Path) -> Iterator[Browser]:
    """With a microphone that plays the recording, once each time that it is opened."""
    browser = launch(
        playwright,
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}%noloop",
    )
    yield browser
    browser.close()


class Opener:
    """Opens the panel; every page must stay free of script errors and of violations of its policy."""

    def __init__(self, browser: Browser, service: Service) -> None:
        self.browser = browser
        self.url = service.url
        self.complaints: list[str] = []
        self.contexts: list[BrowserContext] = []

    def __call__(
        self,
        *,
        url: str | None = None,
        before: Callable[[Page], None] = lambda page: None,
        microphone: bool = True,
        ready: bool = True,
        **options: Any,
    ) -> Page:
        options = {"viewport": DESKTOP, "color_scheme": "light", "locale": "en-GB", **options}
        context = self.browser.new_context(
            permissions=["microphone", "clipboard-read", "clipboard-write"] if microphone else [], **options
        )
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)
        page.on("dialog", lambda dialog: dialog.accept())
        before(page)
        page.goto(url or self.url)
        if ready:
            page.locator("#service[data-state=ready]").wait_for()
        return page

    def _console(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def open_panel(browser: Browser, service: Service) -> Iterator[Opener]:
    opener = Opener(browser, service)
    yield opener
    for context in opener.contexts:
        context.close()
    assert not opener.complaints


def shot(page: Page, name: str) -> None:
    """A picture for whoever looks at build/screenshots."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


def spelled(text: str, *, start: float = 0.5) -> list[dict[str, Any]]:
    """Words as the service sends them, half a second apart; "severe*" is doubtful."""
    return [
        {
            "word": part.strip().rstrip("*"),
            "written": part.rstrip("*"),
            "start": start + i / 2,
            "end": start + i / 2 + 0.4,
            "probability": 0.4 if part.endswith("*") else 0.95,
        }
        for i, part in enumerate(re.findall(r"\s*\S+", text))
    ]


def marked(word: dict[str, Any]) -> dict[str, Any]:
    """With its last letter, a mark, as another of the model's words."""
    written = word["written"]
    parts = [
        {**word, "raw": word["word"][:-1], "written": written[:-1]},
        {**word, "raw": "{mark}", "written": written[-1]},
    ]
    return {**word, "parts": parts}


def start(page: Page) -> None:
    """A new report, also where another is shown."""
    page.keyboard.press("Shift+F2")
    page.locator("#record[data-on=true]").wait_for()


def go_on(page: Page) -> None:
    """In the report that is shown, where the cursor is."""
    page.keyboard.press("F2")
    page.locator("#record[data-on=true]").wait_for()


def dictated_s(page: Page, seconds: float) -> None:
    """Waits until the clock of the dictation shows that much, or more."""
    shown = "(seconds) => { const [m, s] = document.getElementById('clock').textContent.split(':');"
    reached = f"{shown} return 60 * m + +s >= Math.floor(seconds); }}"
    page.wait_for_function(reached, arg=seconds, timeout=TIMEOUT_MS + 10_000 * seconds)


def stop(page: Page) -> None:
    page.keyboard.press("F2")
    page.locator("#record[data-on=false][aria-disabled=false]").wait_for()


def text_of(page: Page) -> str:
    return page.locator("#transcript").text_content() or ""


def removed(page: Page) -> list[str]:
    """What the page shows as removed by the user."""
    words = page.locator("#transcript del")
    return [words.nth(i).get_attribute("data-removed") or "" for i in range(words.count())]


RECORDED = """async () => {
    const { state } = await import("./panel/state.js");
    const bytes = new Uint8Array(await state.selected.audio.arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
    return btoa(text);
}"""


def recorded(page: Page) -> bytes:
    """The WAV file that the page has kept of the dictation."""
    return base64.b64decode(page.evaluate(RECORDED))


def edit(page: Page, text: str) -> None:
    """The user's own text, in place of what stands there."""
    page.locator("#edit").click()
    page.fill("#editor-text", text)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#editor")).to_be_hidden()


def copy(page: Page) -> str:
    """What is in the clipboard once the button says that it is there."""
    page.get_by_role("button", name="Copy", exact=True).click()
    page.locator("#copy", has_text="Copied").wait_for()
    return str(page.evaluate("navigator.clipboard.readText()"))


def save(page: Page, file_format: str) -> tuple[str, bytes]:
    """A file of the menu: its name, and what is in it."""
    page.locator("#save").click()
    with page.expect_download() as download:
        page.locator(f"[data-save={file_format}], #save-{file_format}").click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


class FakeRealtime:
    """The Realtime API as far as the panel sees it: what it says is written by the test."""

    ITEM = "conversation.item.input_audio_transcription"

    def __init__(self) -> None:
        self.socket: WebSocketRoute | None = None
        self.audio = bytearray()
        self.events: list[dict[str, Any]] = []
        self.on_commit: Callable[[FakeRealtime], None] = lambda fake: fake.complete("item", "")
        self.refuses: Callable[[dict[str, Any]], bool] = lambda update: False
        self.on_open: Callable[[FakeRealtime], None] = lambda fake: fake.send("session.created", session={})

    def install(self, page: Page) -> None:
        page.route_web_socket("**/v1/realtime?intent=transcription", self._connected)

    def _connected(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        socket.on_message(self._receive)
        self.on_open(self)

    def _receive(self, message: str | bytes) -> None:
        event = json.loads(message)
        if event["type"] == "input_audio_buffer.append":
            self.audio += base64.b64decode(event["audio"])
            return
        self.events.append(event)
        if event["type"] == "session.update" and not self.refuses(event):
            self.send("session.updated", session=event["session"])
        elif event["type"] == "input_audio_buffer.commit":
            self.send("input_audio_buffer.committed", item_id="item", previous_item_id=None)
            self.on_commit(self)

    def send(self, type_: str, **fields: Any) -> None:
        assert self.socket is not None
        self.socket.send(json.dumps({"type": type_, "event_id": "event_0", **fields}))

    def delta(self, item: str, text: str) -> None:
        self.send(f"{self.ITEM}.delta", item_id=item, content_index=0, delta=text)

    def complete(self, item: str, text: str) -> None:
        """``text`` with a star behind each doubtful word; what ends with a mark is two of the model's."""
        plain = text.replace("*", "")
        words = [marked(word) if word["word"][-1] in ".," else word for word in spelled(text)]
        self.send(
            f"{self.ITEM}.completed",
            item_id=item,
            content_index=0,
            transcript=plain,
            words=words,
            usage={"type": "duration", "seconds": 1.0},
        )

    @property
    def heard(self) -> Waveform:
        samples: Waveform = np.frombuffer(bytes(self.audio), "<i2").astype(np.float32) / np.float32(32768)
        return samples


def dictate_text(page: Page, realtime: FakeRealtime, text: str) -> None:
    """A dictation of which the service says this."""
    realtime.on_commit = lambda fake: fake.complete("item", text)
    start(page)
    stop(page)


@pytest.fixture
def realtime() -> FakeRealtime:
    return FakeRealtime()


def problem(page: Page) -> str:
    """The text of the alert, once it is there."""
    page.locator("#problem").wait_for()
    return str(page.locator("#problem-text").inner_text())
