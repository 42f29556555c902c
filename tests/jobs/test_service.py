"""Jobs of the service as it is started: taken, followed, answered, told of, ended, and killed under."""

import json
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from medasr_service.accounts.keys import digest
from tests.conftest import CLIPS, PATIENCE_S, ROOT, Service, found
from tests.jobs import kills
from tests.jobs.conftest import Web, reply
from tests.jobs.kills import long_recording

pytestmark = pytest.mark.e2e

MINE, OTHERS = "the-key-of-one-ward", "the-key-of-another"
SECRET = "whsec_" + "bm9ib2R5IHNpZ25zIGFueXRoaW5nIHdpdGggdGhpcw=="
HERE = "127.0.0.1/32"
LONG = long_recording(8)
NAME = "jane-doe-1961.wav"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys and the audit."""
    folder = tmp_path_factory.mktemp("accounts")
    lines = [
        f'[{name}]\nsha256 = "{digest(key).hex()}"\naudio_seconds_per_hour = 100000\n'
        for name, key in (("mine", MINE), ("others", OTHERS))
    ]
    (folder / "keys.toml").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def started(start_service: Callable[..., Service], folder: Path, accounts: Path) -> Service:
    service = start_service(
        **kills.settings(folder),
        MEDASR_API_KEYS_FILE=str(accounts / "keys.toml"),
        MEDASR_AUDIT=str(accounts / "audit.jsonl"),
        MEDASR_JOB_URL_HOSTS=HERE,
        MEDASR_JOB_WEBHOOK_HOSTS=HERE,
        MEDASR_JOB_WEBHOOK_SECRET=SECRET,
    )
    service.wait_until_ready()
    return service


def client(service: Service, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=service.url, headers=headers, timeout=PATIENCE_S)


@pytest.fixture
def mine(started: Service) -> Iterator[httpx.Client]:
    with client(started, MINE) as found:
        yield found


@pytest.fixture
def others(started: Service) -> Iterator[httpx.Client]:
    with client(started, OTHERS) as found:
        yield found


def submitted(asking: httpx.Client, recording: bytes = b"", headers: Any = None, **fields: Any) -> str:
    """Where the job is."""
    if recording:
        files = {"file": (NAME, recording)}
        answer = asking.post("/v1/jobs", files=files, data=fields, headers=headers)
    else:
        answer = asking.post("/v1/jobs", json=fields, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return str(answer.headers["location"])


def ended(asking: httpx.Client, job: str, *states: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while (shown := asking.get(job).json())["status"] not in (states or ("succeeded", "failed", "cancelled")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(shown)


FIELDS: list[dict[str, Any]] = [
    {},
    {"include[]": "logprobs"},
    {"response_format": "text"},
    {"response_format": "srt", "formatting": "raw"},
    {"response_format": "vtt"},
    {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]},
    {"response_format": "verbose_json", "chunk_length_s": "5", "stride_length_s": "1"},
    {"decoding": "lm", "keywords[]": ["furosemide", "xyz"]},
]


def test_the_result_is_what_the_request_is_answered_with(mine: httpx.Client) -> None:
    recording = long_recording(2)
    jobs = [submitted(mine, recording, **fields) for fields in FIELDS]
    for job, fields in zip(jobs, FIELDS, strict=True):
        direct = mine.post("/v1/audio/transcriptions", files={"file": recording}, data=fields)
        assert ended(mine, job)["status"] == "succeeded"
        result = mine.get(f"{job}/result")
        assert (result.status_code, result.content) == (200, direct.content)
        assert result.headers["content-type"] == direct.headers["content-type"]
    direct = mine.post("/v1/audio/transcriptions", files={"file": recording}, data={"response_format": "vtt"})
    assert mine.get(f"{jobs[5]}/result", params={"response_format": "vtt"}).content == direct.content


def test_a_job_says_how_far_it_is_and_its_events_come_once(mine: httpx.Client) -> None:
    job = submitted(mine, LONG)
    seen, states = [], set()
    with mine.stream("GET", f"{job}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
                shown = mine.get(job).json()
                states.add(shown["status"])
                progress = shown["progress"]
                assert progress["duration"] is None or progress["seconds"] <= progress["duration"] + 0.001
    assert states >= {"succeeded"}
    assert "".join(each.get("delta", "") for each in seen) == seen[-1]["text"]
    assert seen[-1]["type"] == "transcript.text.done"
    direct = mine.post("/v1/audio/transcriptions", files={"file": LONG}).json()
    assert seen[-1]["text"] == direct["text"]
    last = len(seen) - 1
    for after in (0, last - 1):
        again = mine.get(f"{job}/events", headers={"Last-Event-ID": str(after)}).text
        assert f"id: {after + 1}\n" in again
        assert f"id: {after}\n" not in again
        assert again.count("event: ") == last - after
    assert mine.get(f"{job}/events", headers={"Last-Event-ID": str(last)}).status_code == 204
    shown = mine.get(job).json()
    assert shown["progress"]["seconds"] == shown["progress"]["duration"]
    assert shown["expires_at"] - shown["finished_at"] == 24 * 3600


def test_another_key_s_job_is_as_if_it_were_not(mine: httpx.Client, others: httpx.Client) -> None:
    job = submitted(mine, CLIPS[0].path.read_bytes())
    unknown = f"/v1/jobs/job_{'0' * 32}"
    ways = [("GET", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")]
    for method, path in ways:
        foreign, missing = others.request(method, job + path), mine.request(method, unknown + path)
        assert (foreign.status_code, foreign.json()["error"]["code"]) == (404, "job_not_found")
        assert foreign.json() == missing.json()
    assert ended(mine, job)["status"] == "succeeded"
    assert others.get("/v1/jobs").json()["data"] == []
    assert mine.get("/v1/jobs/..%2f..%2fetc").status_code == 404


def test_a_list_has_pages(others: httpx.Client) -> None:
    clip = CLIPS[0].path.read_bytes()
    jobs = [submitted(others, clip).rpartition("/")[2] for _ in range(5)]
    found, after = [], None
    while True:
        page = others.get("/v1/jobs", params={"limit": 2, **({"after": after} if after else {})}).json()
        found += [each["id"] for each in page["data"]]
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert found == jobs[::-1]
    for job in jobs:
        assert others.delete(f"/v1/jobs/{job}").json()["deleted"]
    assert others.get("/v1/jobs").json() == {
        **{"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    }


def test_the_same_request_twice_is_one_job(mine: httpx.Client, others: httpx.Client) -> None:
    clip, key = CLIPS[1].path.read_bytes(), {"Idempotency-Key": "order-17"}
    first = submitted(mine, clip, key, response_format="text")
    assert submitted(mine, clip, key, response_format="text") == first
    foreign = submitted(others, clip, key, response_format="text")
    assert foreign != first
    assert submitted(mine, clip, response_format="text") != first
    for body, fields in ((clip, {"response_format": "srt"}), (CLIPS[2].path.read_bytes(), {})):
        answer = mine.post("/v1/jobs", files={"file": body}, data=fields, headers=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert ended(mine, first)["status"] == "succeeded"
    assert ended(others, foreign)["status"] == "succeeded"  # and is charged: not during a test of that
    assert others.delete(foreign).status_code == 200


def place_of(folder: Path, before: set[Path]) -> Path:
    [place] = {path for path in folder.iterdir() if path.is_dir()} - before
    return place


def places(folder: Path) -> set[Path]:
    return {path for path in folder.iterdir() if path.is_dir()}


@pytest.mark.parametrize("when", ["queued", "running", "succeeded"])
def test_what_is_deleted_is_gone_at_once(mine: httpx.Client, folder: Path, when: str) -> None:
    before = places(folder)
    job = submitted(mine, LONG, formatting="raw")
    place = place_of(folder, before)
    if when != "queued":
        ended(mine, job, when)
    assert mine.delete(job).status_code == 200
    assert not place.exists()
    for path in ("", "/result", "/events"):
        assert mine.get(job + path).status_code == 404
    text = {"response_format": "text"}
    after = submitted(mine, CLIPS[0].path.read_bytes(), **text)  # a place among those at work is free again
    assert ended(mine, after)["status"] == "succeeded"
    assert not place.exists()


def test_what_is_cancelled_is_shown_and_has_no_sound(mine: httpx.Client, folder: Path) -> None:
    before = places(folder)
    job = submitted(mine, LONG)
    ended(mine, job, "running")
    assert mine.post(f"{job}/cancel").json()["status"] == "cancelled"
    assert {path.name for path in place_of(folder, before).iterdir()} == {"record", "ending"}
    for path in ("/result", "/events"):
        answer = mine.get(job + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "job_cancelled")
    assert mine.post(f"{job}/cancel").json()["status"] == "cancelled"
    assert mine.delete(job).status_code == 200


def test_a_recording_that_cannot_be_heard_fails_as_its_request_does(mine: httpx.Client) -> None:
    for recording in (b"no sound at all", LONG[:5000]):
        direct = mine.post("/v1/audio/transcriptions", files={"file": recording})
        job = submitted(mine, recording)
        shown = ended(mine, job)
        assert shown["status"] == "failed"
        assert shown["error"] == direct.json()["error"]
        result = mine.get(f"{job}/result")
        assert (result.status_code, result.json()) == (direct.status_code, direct.json())
        assert mine.get(f"{job}/events").json() == direct.json()


def test_what_can_be_refused_at_once_is(mine: httpx.Client) -> None:
    clip = {"file": CLIPS[0].path.read_bytes()}
    url = "http://127.0.0.1:9/a.wav"
    asked: list[tuple[dict[str, Any], str | None, int]] = [
        ({"files": clip, "data": {"language": "de"}}, "language", 400),
        ({"files": clip, "data": {"model": "whisper-1"}}, "model", 400),
        ({"files": clip, "data": {"chunk_length_s": "1000"}}, "chunk_length_s", 400),
        ({"files": clip, "data": {"webhook_url": "https://example.org/"}}, "webhook_url", 400),
        ({"files": {"other": b""}}, "file", 400),
        ({"files": {"file": b""}}, "file", 400),
        ({"json": {"response_format": "text"}}, "url", 400),
        ({"json": {"url": url, "response_format": "xml"}}, "response_format", 400),
        ({"json": {"url": ["a"]}}, "url", 400),
        ({"json": {"url": "http://169.254.169.254/latest/meta-data"}}, "url", 400),
        ({"json": {"url": "https://example.org/a.wav"}}, "url", 400),
        ({"json": [1]}, None, 400),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, None, 400),
        ({"content": b"x" * (2 << 20), "headers": {"content-type": "application/json"}}, None, 400),
        ({"files": clip, "headers": {"Idempotency-Key": "x" * 256}}, None, 400),
    ]
    before = mine.get("/v1/jobs", params={"limit": 1}).json()["first_id"]
    for request, param, status in asked:
        answer = mine.post("/v1/jobs", **request)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert mine.get("/v1/jobs", params={"limit": 1}).json()["first_id"] == before
    assert mine.get("/v1/jobs", params={"limit": 0}).status_code in (400, 422)


def test_a_job_fetches_its_recording(mine: httpx.Client, web: Web) -> None:
    clip = CLIPS[3].path.read_bytes()
    web.answer = lambda handler: reply(handler, 200, clip)
    job = submitted(mine, url=f"{web.url}/{NAME}", response_format="verbose_json", keywords=["lasix"])
    assert ended(mine, job)["status"] == "succeeded"
    fields = {"response_format": "verbose_json", "keywords[]": "lasix"}
    direct = mine.post("/v1/audio/transcriptions", files={"file": clip}, data=fields)
    assert mine.get(f"{job}/result").content == direct.content


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (404, {}, "url_unusable"),
        (302, {"Location": "http://169.254.169.254/latest/meta-data"}, "url_not_allowed"),
        (200, {"Content-Length": str(10 << 30)}, "upload_too_large"),
        (200, {"Content-Length": "0"}, "empty_audio"),
    ],
)
def test_a_url_that_is_no_recording_fails_and_says_why(
    mine: httpx.Client, web: Web, status: int, headers: dict[str, str], code: str
) -> None:
    web.answer = lambda handler: reply(handler, status, b"", False, **headers)
    job = submitted(mine, url=f"{web.url}/a.wav")
    shown = ended(mine, job)
    assert (shown["status"], shown["error"]["code"], shown["error"]["param"]) == ("failed", code, "url")


def left_s(asking: httpx.Client) -> int:
    """Of the sound that the key may have."""
    [said] = re.findall(r'"audio";r=(\d+)', asking.get("/v1/models").headers["ratelimit"])
    return int(said)


def jobs_audited(accounts: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (accounts / "audit.jsonl").read_text().splitlines())
    return [each for each in lines if each["event"] == "job" and each["key"] == "others"]


def test_the_sound_of_a_job_is_charged_once_to_the_key_that_asked_and_audited(
    mine: httpx.Client, others: httpx.Client, web: Web, accounts: Path
) -> None:
    """Uploaded or fetched; not what fails, nor what comes twice."""
    clip, seconds = CLIPS[3].path.read_bytes(), len(CLIPS[3].waveform) / 16_000
    web.answer = lambda handler: reply(handler, 200, clip if handler.path == "/a.wav" else b"no sound")
    left, mine_left, audited = left_s(others), left_s(mine), len(jobs_audited(accounts))
    key = {"Idempotency-Key": "charged-once"}
    jobs = [submitted(others, clip, key), submitted(others, clip, key)]
    jobs += [submitted(others, url=f"{web.url}/a.wav"), submitted(others, url=f"{web.url}/b.wav")]
    jobs += [submitted(others, b"no sound at all")]
    for job in jobs:
        ended(others, job)
    assert left - 2 * seconds - 2 < left_s(others) <= left - 2 * seconds + 1
    assert left_s(mine) == mine_left
    deadline = time.monotonic() + PATIENCE_S
    while len(found := jobs_audited(accounts)[audited:]) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    told = sorted((each["outcome"], each["audio_s"]) for each in found)
    assert [outcome for outcome, _ in told] == ["ok", "ok", "unsupported_format", "unsupported_format"]
    assert [heard for _, heard in told] == pytest.approx([seconds, seconds, 0, 0], abs=0.01)
    for job in set(jobs):
        others.delete(job)


def test_who_is_to_be_told_is_told_until_he_has_heard_it(mine: httpx.Client, web: Web) -> None:
    answers = iter([500])
    web.answer = lambda handler: reply(handler, next(answers, 200))
    good = submitted(mine, CLIPS[0].path.read_bytes(), webhook_url=f"{web.url}/told")
    assert ended(mine, good)["status"] == "succeeded"
    bad = submitted(mine, b"no sound", webhook_url=f"{web.url}/told")
    assert ended(mine, bad)["status"] == "failed"
    deadline = time.monotonic() + PATIENCE_S
    while len(web.received) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    told: dict[str, list[tuple[str, str]]] = {}
    for each in web.received:
        event = openai.OpenAI(api_key="x", webhook_secret=SECRET).webhooks.unwrap(
            each.body.decode(), each.headers
        )
        body: Any = event.to_dict()
        told.setdefault(body["data"]["id"], []).append((body["type"], each.headers["webhook-id"]))
    first, again = told[good.rpartition("/")[2]], told[bad.rpartition("/")[2]]
    assert {kind for kind, _ in (*first, *again)} == {
        "transcription.job.succeeded",
        "transcription.job.failed",
    }
    assert len(set(first)) == len(set(again)) == 1  # one event, however often it is told


def test_nothing_that_was_said_or_sent_can_be_read_where_jobs_lie(
    mine: httpx.Client, started: Service, folder: Path
) -> None:
    job = submitted(mine, LONG, response_format="text")
    ended(mine, job, "running")
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert ended(mine, job)["status"] == "succeeded"
    text = mine.get(f"{job}/result").text
    words = {word for word in text.split() if len(word) > 6}
    assert len(words) > 5
    kept += b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    kept += started.log.read_bytes()
    for secret in (*words, NAME, MINE, OTHERS, SECRET, kills.KEY, "RIFF", "webhook_url", HERE):
        assert secret.encode() not in kept, secret
    names = {path.name for path in folder.rglob("*")}
    assert not [name for name in names if "jane" in name or ".wav" in name]


def test_the_lines_for_the_openai_package_are_right(
    started: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "jobs.md").read_text()
    [program] = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "ward-round.m4a").write_bytes(CLIPS[0].path.read_bytes())
    monkeypatch.chdir(tmp_path)
    program = program.replace("http://127.0.0.1:8400", started.url).replace('"..."', f'"{MINE}"')
    found: dict[str, Any] = {}
    exec(program, found)
    with client(started, MINE) as asking:
        direct = asking.post(
            "/v1/audio/transcriptions",
            files={"file": CLIPS[0].path.read_bytes()},
            data={"response_format": "text"},
        )
    assert found["text"] == direct.text


def test_health_says_that_there_are_jobs(mine: httpx.Client, service: Service) -> None:
    assert mine.get("/health").json()["jobs"] is True
    assert httpx.get(f"{service.url}/health").json()["jobs"] is False
    assert httpx.get(f"{service.url}/v1/jobs").status_code == 404


def test_whatever_process_is_killed_nothing_is_lost_and_nothing_comes_twice(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    """One kill of each kind; each night fifty of them, in longer recordings. With PostgreSQL the service as a
    whole is killed in test_machines.
    """

    def start() -> Service:
        return start_service(**kills.settings(tmp_path))

    kinds = [each for each in kills.KINDS if each != "all" or not found("postgresql")]
    kills.run(start, len(kinds), random.Random(5), clips=6, longest_s=0.5, kinds=kinds)


def test_a_service_that_is_stopped_does_not_wait_for_its_jobs(started: Service, mine: httpx.Client) -> None:
    """The next one goes on with them, as after a kill. The last test here: nobody is there behind it."""
    job = submitted(mine, long_recording(60))
    ended(mine, job, "running")
    begun = time.monotonic()
    started.process.send_signal(signal.SIGTERM)
    started.process.wait(PATIENCE_S)
    assert time.monotonic() - begun < 60  # not the ten minutes that are for requests under way
