"""Uploads: in memory, or in a file without a name; and how many are taken at a time."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import httpx
import numpy as np
import psutil
import pytest
import soundfile
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message

from medasr_service.api import memory
from medasr_service.api.app import create_app
from medasr_service.api.pace import KIB, SLOW_AFTER_S, Patience
from medasr_service.api.served import Served
from medasr_service.api.spool import MIB, RESERVE_BYTES, Room, holds_largest, try_spool
from medasr_service.api.uploads import BodyLimit
from medasr_service.audio import stream as audio
from medasr_service.audio.stream import AudioInfo
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Infer, Transcriber
from tests.audio.test_stream import encode, sound
from tests.conftest import http_scope

ROUTE = "/v1/audio/transcriptions"
BOUNDARY = "a-boundary"
SMALL = encode(sound(1.0))
LARGE = encode(sound(20.0, 48_000), 48_000)  # 1.8 MiB

MakeApp = Callable[..., FastAPI]


def open_files(folder: Path) -> list[str]:
    """Links of this process's open files that lie, or lay, in the folder."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            link = str(descriptor.readlink())
        except FileNotFoundError:  # that of the listing itself
            continue
        if link.startswith(f"{folder}/"):
            links.append(link)
    return links


@pytest.fixture
def make_app(demo: Checkpoint, vocabulary: Vocabulary) -> MakeApp:
    """The application over an ``infer`` of the test's; keywords are settings."""

    def make(infer: Infer, **settings: Any) -> FastAPI:
        configured = Settings(**settings)
        app = create_app(configured)
        transcriber = Transcriber(infer, vocabulary, demo.geometry, configured)
        app.state.served = Served(demo, transcriber, configured.max_concurrent_requests)
        app.state.served.engine = "test"
        return app

    return make


@pytest.fixture
def quiet(demo: Checkpoint, vocabulary: Vocabulary) -> Infer:
    """A model that hears nothing."""

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        shapes = [(demo.geometry.frames(len(waveform)), len(vocabulary.pieces)) for waveform in waveforms]
        emissions = [np.full(shape, -20, np.float32) for shape in shapes]
        for emission in emissions:
            emission[:, vocabulary.blank] = 0
        return emissions

    return infer


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def form(data: bytes, *, size: int = 65_536) -> Iterator[bytes]:
    """A multipart form of one file, in the chunks of a network."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="patient.wav"\r\n\r\n'
    yield head.encode()
    for at in range(0, len(data), size):
        yield data[at : at + size]
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


async def post_chunks(
    app: Any,
    chunks: Iterator[bytes],
    before_each: Callable[[], None] = lambda: None,
    *,
    hangs_up: asyncio.Event | None = None,
) -> int | None:
    """The status of the answer; a client whose chunks end before the form's end is gone."""
    sent: list[Message] = []

    complete = False

    async def receive() -> Message:
        nonlocal complete
        before_each()
        if complete:
            await (hangs_up or asyncio.Event()).wait()  # without, the client waits for the answer
            return {"type": "http.disconnect"}
        chunk = next(chunks, None)
        if chunk is None:
            return {"type": "http.disconnect"}
        complete = chunk.endswith(b"--\r\n")
        return {"type": "http.request", "body": chunk, "more_body": not complete}

    async def send(message: Message) -> None:
        sent.append(message)

    content_type = f"multipart/form-data; boundary={BOUNDARY}".encode()
    scope = http_scope(headers=[(b"content-type", content_type)])
    await app(scope, receive, send)
    return sent[0]["status"] if sent else None


@pytest.mark.parametrize(
    ("data", "spool_mb", "spooled"),
    [
        pytest.param(SMALL, 1, False, id="a small one in memory"),
        pytest.param(LARGE, 2, False, id="one just under the limit in memory"),
        pytest.param(LARGE, 1, True, id="a large one in a file"),
        pytest.param(SMALL, 0, True, id="any in a file where nothing is to stay in memory"),
    ],
)
async def test_an_upload_is_spooled_beyond_the_limit(
    make_app: MakeApp, quiet: Infer, tmp_path: Path, data: bytes, spool_mb: int, spooled: bool
) -> None:
    seen: list[list[str]] = []

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        seen.append(open_files(tmp_path))
        return await quiet(waveforms)

    app = make_app(infer, spool_mb=spool_mb, spool_dir=tmp_path)
    async with connected(app) as client:
        response = await client.post(ROUTE, files={"file": ("patient.wav", data)})
    assert response.status_code == 200, response.text
    assert seen
    assert all(len(links) == spooled for links in seen)
    assert all(link.endswith("(deleted)") for links in seen for link in links)
    assert open_files(tmp_path) == []


async def test_a_spooled_upload_never_has_a_name(make_app: MakeApp, quiet: Infer, tmp_path: Path) -> None:
    listings: list[list[Path]] = []
    opened: set[str] = set()

    def look() -> None:
        listings.append(list(tmp_path.iterdir()))
        opened.update(open_files(tmp_path))

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        look()
        return await quiet(waveforms)

    app = make_app(infer, spool_mb=1, spool_dir=tmp_path)
    assert await post_chunks(app, form(LARGE), look) == 200
    assert len(listings) > len(LARGE) // 65_536
    assert not any(listings)
    assert opened
    assert all(link.endswith("(deleted)") for link in opened)
    assert open_files(tmp_path) == []


async def test_a_spooled_upload_is_read_as_one_in_memory(
    make_client: Callable[..., TestClient], tmp_path: Path
) -> None:
    fields = {"response_format": "verbose_json"}
    spooling = make_client(spool_mb=1, spool_dir=tmp_path)
    answers = [
        client.post(ROUTE, files={"file": ("a.wav", LARGE)}, data=fields).json()
        for client in (spooling, make_client(spool_mb=16))
    ]
    assert answers[0] == answers[1]
    assert answers[0]["duration"] == pytest.approx(soundfile.info(io.BytesIO(LARGE)).duration, abs=1e-3)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(3 * MIB), id="not audio"),
        pytest.param(LARGE[: -MIB // 2], id="truncated"),
    ],
)
async def test_a_refused_upload_is_closed(
    make_app: MakeApp, quiet: Infer, tmp_path: Path, data: bytes
) -> None:
    app = make_app(quiet, spool_mb=1, spool_dir=tmp_path)
    async with connected(app) as client:
        response = await client.post(ROUTE, files={"file": ("a.wav", data)})
        assert 400 <= response.status_code < 500
        response = await client.post(ROUTE, files={"file": ("a.wav", LARGE)}, data={"language": "de"})
        assert response.status_code == 400
    assert open_files(tmp_path) == []


async def test_an_upload_over_the_limit_is_closed(make_app: MakeApp, quiet: Infer, tmp_path: Path) -> None:
    app = make_app(quiet, spool_mb=1, spool_dir=tmp_path, max_upload_mb=2)
    assert await post_chunks(BodyLimit(app, 2, Patience(30)), form(bytes(8 * MIB))) == 413
    assert open_files(tmp_path) == []


@pytest.mark.parametrize("sent", [0, 1, 5])
async def test_an_upload_that_stops_coming_gives_its_place_back(
    make_app: MakeApp, quiet: Infer, tmp_path: Path, sent: int
) -> None:
    """The client stays, and sends nothing more."""
    app = make_app(quiet, spool_mb=0, spool_dir=tmp_path, max_concurrent_requests=1)
    guarded = BodyLimit(app, 512, Patience(0.05))
    chunks = list(form(LARGE))[:sent]
    answer: list[Message] = []

    async def receive() -> Message:
        if not chunks:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": chunks.pop(0), "more_body": True}

    async def send(message: Message) -> None:
        answer.append(message)

    content_type = f"multipart/form-data; boundary={BOUNDARY}".encode()
    async with asyncio.timeout(30):
        await guarded(http_scope(headers=[(b"content-type", content_type)]), receive, send)
    start, body = answer
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    error = json.loads(body["body"])["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "upload_stalled")
    assert "0.05 s" in error["message"]
    assert open_files(tmp_path) == []
    assert await post_chunks(guarded, form(SMALL)) == 200


class Clock:
    """A clock that goes where a test sets it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_an_upload_that_trickles_is_given_up(make_app: MakeApp, quiet: Infer, tmp_path: Path) -> None:
    """A byte each 29 s never lets the idle timeout of 30 s run out."""
    clock = Clock()
    app = make_app(quiet, spool_dir=tmp_path, max_concurrent_requests=1)
    guarded = BodyLimit(app, 512, Patience(30, 4), clock)
    pieces = 0

    def wait() -> None:
        nonlocal pieces
        pieces += 1
        clock.now += 29

    assert await post_chunks(guarded, form(SMALL, size=1), wait) == 408
    assert pieces <= 3
    assert await post_chunks(guarded, form(SMALL)) == 200


async def test_an_upload_as_fast_as_it_must_be_is_read_to_its_end(make_app: MakeApp, quiet: Infer) -> None:
    """However long it takes in all."""
    clock, began = Clock(), 1_000.0

    def wait() -> None:
        clock.now += 0.99

    guarded = BodyLimit(make_app(quiet), 512, Patience(5, 4), clock)
    assert await post_chunks(guarded, form(LARGE, size=4 * KIB), wait) == 200
    assert clock.now - began > 400


async def test_clients_that_send_nothing_do_not_keep_others_out(make_app: MakeApp, quiet: Infer) -> None:
    """Headers alone, or a few bytes, take every place; whoever comes then has that of who sent least."""
    clock = Clock()
    app = make_app(quiet, max_concurrent_requests=4)
    guarded = BodyLimit(app, 512, Patience(30, 4), clock)
    waiting, statuses = [asyncio.Event() for _ in range(4)], []

    async def hold(client: int) -> None:
        """Sends ``client`` bytes, and no more."""
        sent: list[Message] = []

        async def receive() -> Message:
            if waiting[client].is_set() or not client:
                waiting[client].set()
                await asyncio.Event().wait()
            waiting[client].set()
            return {"type": "http.request", "body": f"--{BOUNDARY}"[:client].encode(), "more_body": True}

        async def send(message: Message) -> None:
            sent.append(message)

        content_type = f"multipart/form-data; boundary={BOUNDARY}".encode()
        await guarded(http_scope(headers=[(b"content-type", content_type)]), receive, send)
        statuses.append((client, sent[0]["status"], json.loads(sent[1]["body"])["error"]["message"]))

    holders = [asyncio.create_task(hold(client)) for client in range(4)]
    async with asyncio.timeout(30):
        for event in waiting:
            await event.wait()
        assert await post_chunks(guarded, form(SMALL)) == 429  # they have only just come
        clock.now += SLOW_AFTER_S + 0.1
        gate = Gate(quiet)
        app.state.served.transcriber = make_app(gate).state.served.transcriber
        first = asyncio.create_task(post_chunks(guarded, form(SMALL)))
        await gate.entered.wait()
        second = asyncio.create_task(post_chunks(guarded, form(SMALL)))
        await holders[0]
        await holders[1]
        gate.open.set()
        assert [await first, await second] == [200, 200]
    assert [(client, status) for client, status, _ in statuses] == [(0, 408), (1, 408)]
    assert all("another one has its place" in message for _, _, message in statuses)
    for holder in holders[2:]:
        holder.cancel()
    await asyncio.gather(*holders, return_exceptions=True)
    assert app.state.served._active == 0


async def test_no_upload_that_is_read_whole_gives_its_place(make_app: MakeApp, quiet: Infer) -> None:
    clock, gate = Clock(), Gate(quiet)
    guarded = BodyLimit(make_app(gate, max_concurrent_requests=1), 512, Patience(30, 4), clock)
    first = asyncio.create_task(post_chunks(guarded, form(SMALL)))
    await gate.entered.wait()
    clock.now += 3_600
    assert await post_chunks(guarded, form(SMALL)) == 429
    gate.open.set()
    assert await first == 200


async def test_a_request_that_takes_long_is_no_stalled_upload(make_app: MakeApp, quiet: Infer) -> None:
    gate = Gate(quiet)
    answer = asyncio.create_task(post_chunks(BodyLimit(make_app(gate), 512, Patience(0.01)), form(SMALL)))
    await gate.entered.wait()
    await asyncio.sleep(0.05)  # five times what an upload may pause
    gate.open.set()
    assert await answer == 200


async def test_what_all_uploads_hold_in_memory_is_bounded_together(
    make_app: MakeApp, quiet: Infer, tmp_path: Path
) -> None:
    assert MIB < len(LARGE) < 2 * MIB
    on_disk: list[int] = []
    both = asyncio.Barrier(2)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        if len(on_disk) < 2:
            on_disk.append(0)
            await both.wait()
            on_disk.append(len(open_files(tmp_path)))
        return await quiet(waveforms)

    app = make_app(infer, spool_memory_mb=2, spool_dir=tmp_path)
    async with connected(app) as client:
        send = [client.post(ROUTE, files={"file": ("a.wav", LARGE)}) for _ in range(2)]
        assert [answer.status_code for answer in await asyncio.gather(*send)] == [200, 200]
    assert on_disk[2:] == [1, 1]  # the one stays in memory, the other has no room there
    assert app.state.upload_room.free == 2 * MIB


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"memory.max": "1073741824\n"}, 1 << 30),
        ({"memory/memory.limit_in_bytes": "536870912\n"}, 1 << 29),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
)
def test_memory_is_limited_by_the_container_or_the_machine(
    tmp_path: Path, limits: dict[str, str], expected: int | None
) -> None:
    for name, text in limits.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.limit_bytes(tmp_path) == (expected or psutil.virtual_memory().total)


def test_a_small_container_holds_few_uploads_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medasr_service.api.spool.limit_bytes", lambda: 600 * MIB)
    assert Room.of(Settings()).free == 600 * MIB // 16
    monkeypatch.setattr("medasr_service.api.spool.limit_bytes", lambda: 1 << 40)
    assert Room.of(Settings()).free == 64 * 16 * MIB  # as much as all of them can use
    assert Room.of(Settings(spool_memory_mb=0)).free == 0


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which every write fails, as the kernel fails it."""

    def rollover(spool: Any) -> None:
        spool._file.seek(0)
        held = spool._file.read()
        spool._file.close()
        spool._file = Path("/dev/full").open("r+b")  # noqa: SIM115
        spool._rolled = True
        spool._file.write(held)

    monkeypatch.setattr("medasr_service.api.spool.Spool.rollover", rollover)


def nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimpleNamespace(f_frsize=1, f_blocks=1 << 30, f_bavail=RESERVE_BYTES + MIB)
    monkeypatch.setattr("medasr_service.api.spool.os.fstatvfs", lambda _: disk)


@pytest.mark.parametrize("fill", [full, nearly_full])
async def test_an_upload_for_which_the_disk_has_no_room_is_told_to_come_again(
    make_app: MakeApp,
    quiet: Infer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fill: Callable[[pytest.MonkeyPatch], None],
) -> None:
    fill(monkeypatch)
    app = make_app(quiet, spool_mb=1, spool_dir=tmp_path, max_concurrent_requests=1)
    async with connected(app) as client:
        response = await client.post(ROUTE, files={"file": ("a.wav", LARGE)})
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("service_unavailable", "no_room")
        assert str(tmp_path) not in response.text
        assert (await client.post(ROUTE, files={"file": ("a.wav", SMALL)})).status_code == 200
    assert open_files(tmp_path) == []
    assert open_files(Path("/dev/full")) == []


def test_a_disk_that_is_smaller_than_the_largest_upload_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full(monkeypatch)
    assert holds_largest(Settings(spool_dir=tmp_path, max_upload_mb=512))
    assert not holds_largest(Settings(spool_dir=tmp_path, max_upload_mb=1_000))


async def test_a_client_that_goes_away_leaves_nothing_open(
    make_app: MakeApp, quiet: Infer, tmp_path: Path
) -> None:
    app = make_app(quiet, spool_mb=1, spool_dir=tmp_path, max_concurrent_requests=1)
    chunks = list(form(LARGE))[:-3]
    try:
        status = await post_chunks(app, iter(chunks))
    except Exception as error:  # nobody is there to be answered; how that is said is the framework's
        status = None
        del error
    assert status is None or status >= 400
    assert open_files(tmp_path) == []
    async with connected(app) as client:  # its place is free again
        response = await client.post(ROUTE, files={"file": ("a.wav", SMALL)})
    assert response.status_code == 200, response.text


async def test_a_recording_is_closed_only_after_its_last_read(
    make_app: MakeApp, quiet: Infer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on, done = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    closed_while_read: list[bool] = []

    def slow_inspect(file: BinaryIO, **_: object) -> AudioInfo:  # in a thread, which cannot be cancelled
        loop.call_soon_threadsafe(reading.set)
        go_on.wait(timeout=30)
        closed_while_read.append(file.closed)
        done.set()
        return AudioInfo(duration=1.0, peak=0.5)

    monkeypatch.setattr(audio, "inspect", slow_inspect)
    served = asyncio.create_task(post_chunks(make_app(quiet), form(SMALL), hangs_up=reading))
    await reading.wait()
    for _ in range(100):  # all that the application does before the thread is done
        await asyncio.sleep(0)
    go_on.set()
    await served
    await asyncio.to_thread(done.wait, 30)
    assert closed_while_read == [False]


class Gate:
    """An ``infer`` that says when it is asked, and waits to be let go."""

    def __init__(self, infer: Infer) -> None:
        self._infer = infer
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, waveforms: list[Waveform]) -> list[Emission]:
        self.entered.set()
        await self.open.wait()
        return await self._infer(waveforms)


async def test_a_transcription_too_many_is_told_to_come_again(make_app: MakeApp, quiet: Infer) -> None:
    gate = Gate(quiet)
    app = make_app(gate, max_concurrent_requests=1)
    async with connected(app) as client:
        first = asyncio.create_task(client.post(ROUTE, files={"file": ("a.wav", SMALL)}))
        await gate.entered.wait()
        second = await client.post(ROUTE, files={"file": ("b.wav", SMALL)})
        health = await client.get("/health")
        gate.open.set()
        third = await client.post(ROUTE, files={"file": ("c.wav", SMALL)}) if (await first) else None
    assert second.status_code == 429
    assert second.headers["retry-after"].isdigit()
    assert int(second.headers["retry-after"]) >= 1
    error = second.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("rate_limit_error", None, "busy")
    assert health.status_code == 200
    assert first.result().status_code == 200
    assert third is not None
    assert third.status_code == 200


async def test_a_transcription_too_many_is_refused_before_its_upload_is_read(
    make_app: MakeApp, quiet: Infer
) -> None:
    gate = Gate(quiet)
    app = make_app(gate, max_concurrent_requests=1)
    reads = 0

    def count() -> None:
        nonlocal reads
        reads += 1

    async with connected(app) as client:
        first = asyncio.create_task(client.post(ROUTE, files={"file": ("a.wav", SMALL)}))
        await gate.entered.wait()
        assert await post_chunks(app, form(LARGE), count) == 429
        gate.open.set()
        assert (await first).status_code == 200
    assert reads == 0


async def test_two_transcriptions_go_on_at_the_same_time(make_app: MakeApp, quiet: Infer) -> None:
    waiting = 0
    both = asyncio.Event()

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()  # neither would end, were they taken one after the other
        return await quiet(waveforms)

    async with connected(make_app(infer, max_concurrent_requests=2)) as client, asyncio.timeout(30):
        posts = (client.post(ROUTE, files={"file": ("a.wav", SMALL)}) for _ in range(2))
        assert [response.status_code for response in await asyncio.gather(*posts)] == [200, 200]


@pytest.mark.parametrize("bad", [b"", b"not audio", SMALL[:-1_000]])
async def test_a_refused_request_gives_its_place_back(make_app: MakeApp, quiet: Infer, bad: bytes) -> None:
    async with connected(make_app(quiet, max_concurrent_requests=1)) as client:
        for _ in range(2):
            assert 400 <= (await client.post(ROUTE, files={"file": ("a.wav", bad)})).status_code < 429
        assert (await client.post(ROUTE, files={"file": ("a.wav", SMALL)})).status_code == 200


async def test_a_failing_model_gives_the_place_back(make_app: MakeApp, quiet: Infer) -> None:
    failures = 1

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("the model is broken")
        return await quiet(waveforms)

    async with connected(make_app(infer, max_concurrent_requests=1)) as client:
        failed = await client.post(ROUTE, files={"file": ("a.wav", SMALL)})
        assert failed.status_code == 500
        assert "broken" not in failed.text
        assert (await client.post(ROUTE, files={"file": ("a.wav", SMALL)})).status_code == 200


async def test_before_the_model_has_run_the_answer_is_to_wait(make_app: MakeApp, quiet: Infer) -> None:
    app = make_app(quiet)
    app.state.served.engine = ""
    async with connected(app) as client:
        response = await client.post(ROUTE, files={"file": ("a.wav", SMALL)})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["code"] == "not_ready"


async def test_a_service_that_leaves_finishes_what_is_under_way_and_takes_nothing_new(
    make_app: MakeApp, quiet: Infer
) -> None:
    gate = Gate(quiet)
    app = make_app(gate)
    async with connected(app) as client, asyncio.timeout(30):
        first = asyncio.create_task(client.post(ROUTE, files={"file": ("a.wav", SMALL)}))
        await gate.entered.wait()
        drained = asyncio.create_task(app.state.served.drain())
        await asyncio.sleep(0)
        second = await client.post(ROUTE, files={"file": ("b.wav", SMALL)})
        health = await client.get("/health")
        assert not drained.done()
        gate.open.set()
        assert (await first).status_code == 200
        await drained
    assert second.status_code == 503
    assert int(second.headers["retry-after"]) >= 1
    assert second.json()["error"]["code"] == "draining"
    assert (health.status_code, health.json()["status"]) == (503, "draining")


async def test_an_idle_service_leaves_at_once(make_app: MakeApp, quiet: Infer) -> None:
    async with asyncio.timeout(5):
        await make_app(quiet).state.served.drain()


def test_a_folder_for_uploads_that_is_not_there_is_found_at_once(tmp_path: Path) -> None:
    try_spool(Settings(spool_dir=tmp_path))
    try_spool(Settings())
    with pytest.raises(FileNotFoundError):
        try_spool(Settings(spool_dir=tmp_path / "none"))
