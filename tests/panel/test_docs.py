"""The documentation in Chromium: what it says to try works, also below a path of a proxy."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.conftest import CLIPS, Service
from tests.panel.conftest import TIMEOUT_MS, shot

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

CLIP = min((clip.path for clip in CLIPS), key=lambda path: path.stat().st_size)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Pages that must stay free of script errors."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_() -> Page:
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def below(service: Service) -> Iterator[str]:
    """The service below /asr, as behind a proxy that strips the path."""

    class Proxy(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")}
            assert self.path.startswith("/asr/")
            answer = httpx.request(
                self.command,
                service.url + self.path.removeprefix("/asr"),
                content=body,
                headers={**headers, "X-Forwarded-Prefix": "/asr", "Accept-Encoding": "identity"},
                timeout=60,
            )
            self.send_response(answer.status_code)
            for name in ("content-type", "content-length"):
                self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/asr"
        server.shutdown()


def tried(page: Page) -> dict[str, object]:
    """What Swagger UI shows of the answer: open the route, choose a file, execute."""
    route = page.locator("#operations-audio-transcribe_v1_audio_transcriptions_post")
    route.locator(".opblock-summary").click()
    route.get_by_role("button", name="Try it out").click()
    route.locator("input[type=file]").set_input_files(CLIP)
    route.get_by_role("button", name="Execute").click()
    answer = route.locator(".live-responses-table .response")
    answer.wait_for()
    assert answer.locator(".response-col_status").inner_text().split()[0] == "200", answer.inner_text()
    body: dict[str, object] = json.loads(answer.locator(".response-col_description code").first.inner_text())
    return body


def test_a_file_that_is_tried_out_gives_its_text(open_page: Callable[[], Page], service: Service) -> None:
    page = open_page()
    page.goto(f"{service.url}/docs")
    assert tried(page)["text"]
    shot(page, "docs")


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_documentation_works_below_a_path(open_page: Callable[[], Page], below: str, path: str) -> None:
    page = open_page()
    page.goto(below + path)
    assert tried(page)["text"]


@pytest.mark.parametrize("operation", ["live-realtime", "audio-transcribe_native"])
def test_what_fastapi_does_not_know_is_shown(
    open_page: Callable[[], Page], service: Service, operation: str
) -> None:
    page = open_page()
    page.goto(f"{service.url}/docs")
    page.locator(f"#operations-{operation} .opblock-summary").click()
    page.locator(f"#operations-{operation} .opblock-description").wait_for()


def test_redoc_reads_the_document(open_page: Callable[[], Page], below: str) -> None:
    page = open_page()
    page.goto(f"{below}/redoc")
    page.get_by_role("heading", name="Transcribe").first.wait_for()
