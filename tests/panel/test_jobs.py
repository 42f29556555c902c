"""Long files in the panel: as jobs of the service, which go on while no page is open."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from tests.conftest import CLIPS, Service
from tests.jobs import kills
from tests.panel.conftest import Opener, shot, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

NAME = "jane-doe-1961.wav"
LONG = kills.long_recording(10)
SHORT = CLIPS[0].path
FIELDS = {"response_format": "verbose_json", "timestamp_granularities[]": ["segment", "word"]}
FROM_S = 30.0
LOWER = """async (seconds) => {
    const { state } = await import("./panel/state.js");
    state.jobFrom = { ...state.jobFrom, seconds };
}"""
NOTED = "JSON.parse(localStorage.getItem('medasr-jobs') ?? '[]')"
GONE = "() => localStorage.getItem('medasr-jobs') === null"


@pytest.fixture(scope="module")
def with_jobs(start_service: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Service:
    service = start_service(**kills.settings(tmp_path_factory.mktemp("jobs")))
    service.wait_until_ready()
    return service


@pytest.fixture
def opened(browser: Browser, with_jobs: Service) -> Iterator[Opener]:
    opener = Opener(browser, with_jobs)
    yield opener
    for context in opener.contexts:
        context.close()
    assert not opener.complaints
    for job in jobs(with_jobs):
        httpx.delete(f"{with_jobs.url}/v1/jobs/{job['id']}")


def jobs(service: Service) -> list[dict[str, Any]]:
    return list(httpx.get(f"{service.url}/v1/jobs").json()["data"])


def choose(page: Page, sound: bytes = LONG) -> None:
    page.evaluate(LOWER, FROM_S)
    page.set_input_files("#files", FilePayload(name=NAME, mimeType="audio/wav", buffer=sound))


def state_of(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator(".entry .state").first).to_have_text(text)


def said(service: Service) -> str:
    """What the request without jobs is answered with."""
    return _said(service.url)


@cache
def _said(url: str) -> str:
    answer = httpx.post(f"{url}/v1/audio/transcriptions", files={"file": LONG}, data=FIELDS, timeout=60)
    return str(answer.json()["text"])


FINISHED = re.compile(r"^\d+:\d\d\.\d$")
RUNNING = re.compile(r"^Transcribing, \d+:\d\d of \d+:\d\d$")
EVENTS = "**/v1/jobs/*/events"
NOTE_STATES = """() => {
    window.states = [];
    const note = () => states.push(document.querySelector(".entry .state")?.textContent);
    const all = { childList: true, characterData: true, subtree: true };
    new MutationObserver(note).observe(document.body, all);
}"""


def routed(path: str, handler: Callable[[Route], None]) -> Callable[[Page], None]:
    def before(page: Page) -> None:
        page.route(path, handler)

    return before


def hold(page: Page) -> None:
    """What comes of a job does not come yet."""
    page.route(EVENTS, lambda route: None)


def begun(page: Page) -> None:
    """The service has taken the job, and said that it is at work; what comes of it waits."""
    page.wait_for_function(f"() => {NOTED}.length")
    state_of(page, re.compile("^Transcribing"))


def test_a_long_file_goes_as_a_job_and_its_text_is_that_of_the_request(
    opened: Opener, with_jobs: Service
) -> None:
    page = opened()
    page.evaluate(NOTE_STATES)
    with page.expect_request(lambda each: each.method == "POST" and each.url.endswith("/v1/jobs")):
        choose(page)
    page.locator(".w").first.wait_for()
    state_of(page, FINISHED)
    assert any(RUNNING.match(state or "") for state in page.evaluate("states"))
    assert text_of(page) == said(with_jobs)
    expect(page.locator(".entry .name")).to_have_text(NAME)
    page.wait_for_function(GONE)
    assert jobs(with_jobs) == []  # sound and text are gone there
    with page.expect_request("**/v1/audio/transcriptions"):
        page.set_input_files("#files", SHORT)
    expect(page.locator(".entry .state", has_text=FINISHED)).to_have_count(2)
    assert jobs(with_jobs) == []


def test_a_reload_in_the_middle_takes_the_job_up_again(opened: Opener, with_jobs: Service) -> None:
    page = opened(before=hold)
    choose(page)
    begun(page)
    [noted] = page.evaluate(NOTED)
    assert set(noted) == {"id", "created"}  # no name, no text
    page.reload()
    expect(page.locator(".entry .name")).to_have_text(re.compile(r"^Recording of \d+:\d\d"))
    begun(page)
    context = page.context
    page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(opened.url)
    state_of(again, FINISHED)
    assert text_of(again) == said(with_jobs)
    again.wait_for_function(GONE)
    assert jobs(with_jobs) == []


def test_another_tab_leaves_a_job_where_it_is_until_that_tab_is_closed(
    opened: Opener, with_jobs: Service
) -> None:
    page = opened(before=hold)
    choose(page)
    page.wait_for_function("() => localStorage.getItem('medasr-jobs') !== null")
    other = page.context.new_page()
    other.goto(opened.url)
    other.locator("#service[data-state=ready]").wait_for()
    expect(other.locator(".entry")).to_have_count(0)
    page.close(run_before_unload=False)
    state_of(other, FINISHED)
    assert text_of(other) == said(with_jobs)


def test_cancelling_removes_the_job_at_the_service(opened: Opener, with_jobs: Service) -> None:
    page = opened(before=hold)
    choose(page)
    begun(page)
    shot(page, "job")
    assert len(jobs(with_jobs)) == 1
    page.get_by_label(f"Cancel {NAME}").click()
    expect(page.locator(".entry")).to_have_count(0)
    page.wait_for_function(GONE)
    assert jobs(with_jobs) == []


HELD_BACK = """
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (body) {
    const answered = this.onload;
    this.onload = () => (window.answer = answered);
    send.call(this, body);
};
"""


def held_back(page: Page) -> None:
    """The answer to what is sent is heard when the test says so."""
    page.add_init_script(HELD_BACK)


def test_cancelled_before_its_name_is_known_it_is_removed_all_the_same(
    opened: Opener, with_jobs: Service
) -> None:
    page = opened(before=held_back)
    choose(page)
    page.wait_for_function("() => window.answer")
    assert len(jobs(with_jobs)) == 1  # the service has taken it, and the page has not heard of it
    page.get_by_label(f"Cancel {NAME}").click()
    expect(page.locator(".entry")).to_have_count(0)
    with page.expect_response(lambda each: each.request.method == "DELETE"):
        page.evaluate("answer()")
    page.wait_for_function(GONE)
    assert jobs(with_jobs) == []


def test_a_broken_line_is_taken_up_behind_the_last_event(opened: Opener, with_jobs: Service) -> None:
    seen: list[str | None] = []

    def cut(route: Route) -> None:
        """The first answer ends in the middle of its third event."""
        seen.append(route.request.headers.get("last-event-id"))
        if len(seen) > 1:
            return route.continue_()
        whole = httpx.get(route.request.url, timeout=60).text
        third = whole.index("id: 2\n")
        route.fulfill(status=200, content_type="text/event-stream", body=whole[: third + 90])

    page = opened(before=routed(EVENTS, cut))
    choose(page)
    state_of(page, FINISHED)
    assert seen == [None, "1"]
    assert text_of(page) == said(with_jobs)


def test_a_job_that_is_gone_or_failed_says_so_and_is_cleared(opened: Opener, with_jobs: Service) -> None:
    page = opened()
    page.evaluate(
        "localStorage.setItem('medasr-jobs', JSON.stringify([{ id: 'job_00000000', created: 0 }, 7]))"
    )
    page.reload()
    expect(page.locator("#incomplete-text")).to_contain_text("The service no longer has this recording")
    page.wait_for_function(GONE)
    shot(page, "job-gone")
    page.evaluate("async () => { (await import('./panel/state.js')).state.jobFrom.bytes = 0; }")
    bad = b"Dear colleague, " * 50
    page.set_input_files("#files", FilePayload(name="letter.wav", mimeType="audio/wav", buffer=bad))
    state_of(page, "Failed")
    direct = httpx.post(f"{opened.url}/v1/audio/transcriptions", files={"file": bad})
    expect(page.locator("#incomplete-text")).to_have_text(direct.json()["error"]["message"])
    page.wait_for_function(GONE)
    assert jobs(with_jobs) == []
    page.reload()
    page.locator("#service[data-state=ready]").wait_for()
    expect(page.locator(".entry")).to_have_count(0)


def test_what_cannot_be_removed_now_is_removed_by_the_next_page(opened: Opener, with_jobs: Service) -> None:
    def refuse(route: Route) -> None:
        route.abort() if route.request.method == "DELETE" else route.continue_()

    page = opened(before=routed("**/v1/jobs/*", refuse))
    choose(page)
    state_of(page, FINISHED)
    page.wait_for_function(f"() => {NOTED}[0]?.over")
    assert len(jobs(with_jobs)) == 1
    page.unroute("**/v1/jobs/*")
    page.reload()
    page.wait_for_function(GONE)
    assert jobs(with_jobs) == []
    expect(page.locator(".entry")).to_have_count(0)


def test_a_user_who_keeps_reports_has_the_name_and_the_sound_again(
    opened: Opener, with_jobs: Service
) -> None:
    page = opened(before=hold)
    page.get_by_label("Keep them in this browser").check()
    choose(page)
    begun(page)
    page.evaluate("async () => (await import('./panel/keeping.js')).keepNow()")
    page.unroute(EVENTS)
    page.reload()
    expect(page.locator(".entry .name")).to_have_text(NAME)
    state_of(page, FINISHED)
    assert text_of(page) == said(with_jobs)
    expect(page.locator("#player")).to_be_visible()
    assert NAME not in json.dumps(page.evaluate("({ ...localStorage })"))
    page.get_by_role("button", name="Remove all that is kept").click()


def test_of_many_files_each_is_a_job_and_says_that_it_is_queued(opened: Opener, with_jobs: Service) -> None:
    """More than the service works on at a time, and more than the page has lines for."""
    queued = True

    def answer(route: Route) -> None:
        if queued and route.request.method == "GET":
            return route.fulfill(json={"status": "queued"})
        route.continue_()

    page = opened(before=routed("**/v1/jobs/*", answer))
    page.evaluate(LOWER, 0)
    sound = SHORT.read_bytes()
    files = [FilePayload(name=f"{i}.flac", mimeType="audio/flac", buffer=sound) for i in range(4)]
    page.set_input_files("#files", files)
    expect(page.locator(".entry .state")).to_have_text(["Queued at the service"] * 4)
    assert len(jobs(with_jobs)) == 4
    shot(page, "jobs-queued")
    queued = False
    expect(page.locator(".entry .state")).to_have_text([FINISHED] * 4)
    assert text_of(page)
    page.wait_for_function(GONE)
    assert jobs(with_jobs) == []


def test_a_key_that_is_refused_after_a_reload_is_asked_for_and_the_job_goes_on(
    opened: Opener, with_jobs: Service
) -> None:
    right = "right-0123456789"

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == f"Bearer {right}":
            return route.continue_()
        error = {
            "message": "A valid key is needed.",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
        }
        route.fulfill(status=401, json={"error": error})

    page = opened(before=hold)
    choose(page)
    begun(page)
    page.unroute(EVENTS)
    page.route("**/v1/**", guard)
    page.reload()
    state_of(page, "Failed")
    shot(page, "job-key")
    assert page.evaluate(NOTED)  # it is not forgotten
    assert len(jobs(with_jobs)) == 1
    expect(page.locator("#key")).to_be_visible()
    page.fill("#key", right)
    page.keyboard.press("Enter")
    state_of(page, FINISHED)
    assert text_of(page) == said(with_jobs)


def test_a_service_that_is_busy_is_asked_again_when_it_says(opened: Opener, with_jobs: Service) -> None:
    """For a job, for a look at it, and for a request."""
    is_full = True  # until the page has said so
    refused = {"/v1/jobs": 1, "/v1/audio/transcriptions": 1, "look": 1}

    def busy(route: Route) -> None:
        path = route.request.url.removeprefix(opened.url)
        path = "look" if path.count("/") > 2 and "audio" not in path else path
        status = 429 if path == "/v1/jobs" and is_full else 503
        if status == 503 and not refused.get(path):
            return route.continue_()
        refused[path] -= status == 503
        error = {"message": "Too many requests.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
        route.fulfill(status=status, headers={"Retry-After": "1"}, json={"error": error})

    page = opened(before=routed("**/v1/**", busy))
    choose(page)
    state_of(page, "The service is busy: soon again")
    shot(page, "busy")
    is_full = False
    state_of(page, FINISHED)
    assert text_of(page) == said(with_jobs)
    page.set_input_files("#files", SHORT)
    expect(page.locator(".entry .state")).to_have_text([FINISHED] * 2)
    assert set(refused.values()) == {0}


def test_a_service_that_wants_nothing_more_today_is_not_asked_again(opened: Opener) -> None:
    def refuse(route: Route) -> None:
        error = {"message": "The limit of the day is reached.", "type": "rate_limit_error"}
        route.fulfill(status=429, headers={"Retry-After": "3600"}, json={"error": error})

    page = opened(before=routed("**/v1/audio/transcriptions", refuse))
    page.set_input_files("#files", SHORT)
    state_of(page, "Failed")
    expect(page.locator("#incomplete-text")).to_have_text("The limit of the day is reached.")


def test_a_service_without_jobs_is_asked_for_none(open_panel: Opener, tmp_path: Path) -> None:
    page = open_panel()
    page.on("request", lambda each: asked.append(each.url))
    asked: list[str] = []
    page.evaluate(LOWER, 0)
    page.set_input_files("#files", SHORT)
    state_of(page, FINISHED)
    assert not [each for each in asked if "/jobs" in each]
