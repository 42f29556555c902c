"""What a step does where something fails, and what is swept away when."""

import asyncio
import errno
import io
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medasr_service.errors import NoRoom, RateLimited
from medasr_service.jobs.jobs import Jobs
from medasr_service.jobs.record import Asked, Failure, Job
from medasr_service.jobs.sealed import Seal
from medasr_service.jobs.steps import MAX_TRIES, Steps
from medasr_service.jobs.store import WORK, Store, StoreAway, new_place
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.telemetry import metrics
from medasr_service.transcriber import Options, Transcriber
from tests.conftest import CLIPS, PATIENCE_S
from tests.jobs import kills
from tests.jobs.conftest import MASTER

MODEL = ("medasr-demo", "as it is")


@pytest.fixture
def place(store: Store, options: Options) -> str:
    """Of a job that was just taken."""
    name = new_place()
    store.write(name, "sound", [CLIPS[0].path.read_bytes()])
    store.write(name, "record", Asked(options=options, fields={}).written())
    return name


def steps(store: Store, transcriber: Transcriber, **settings: Any) -> Steps:
    return Steps(store, transcriber, Settings(**settings), io.BytesIO, MODEL, Book())


async def heard(doing: Steps, place: str) -> dict[str, Any]:
    await doing("prepare", [place])
    number = 0
    while not (await doing("hear", [place, number]))["done"]:
        number += 1
    return dict(await doing("finish", [place]))


async def test_a_disk_that_is_full_for_a_while_costs_nothing(
    make_transcriber: Callable[..., Transcriber],
    store: Store,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doing, write = steps(store, make_transcriber()), store.write
    for full in ("info", "window-0", "part-0", "result"):

        def no_room(where: str, name: str, *rest: Any, full: str = full, **about: Any) -> None:
            if name == full:
                raise NoRoom
            write(where, name, *rest, **about)

        monkeypatch.setattr(store, "write", no_room)
        with pytest.raises(NoRoom):
            await heard(doing, place)
        assert not store.has(place, "failure")
    monkeypatch.setattr(store, "write", write)
    assert (await heard(doing, place))["failed"] is None
    assert store.has(place, "result")
    for gone in ("sound", "info", "window-0", "part-0"):
        assert not store.has(place, gone)


async def test_what_fails_for_no_reason_is_tried_again_and_then_a_failure_that_tells_nothing(
    make_transcriber: Callable[..., Transcriber], store: Store, place: str
) -> None:
    async def broken(_: list[Waveform]) -> list[Emission]:
        raise RuntimeError("a secret of the house")

    doing = steps(store, make_transcriber().through(broken))
    await doing("prepare", [place])
    for _ in range(MAX_TRIES - 1):
        with pytest.raises(RuntimeError):
            await doing("hear", [place, 0])
    assert (await doing("hear", [place, 0]))["done"]
    assert (await doing("finish", [place]))["failed"] == "server_error"
    kept = store.load(place, "failure")
    assert kept
    assert "secret" not in kept.decode()
    assert Failure.model_validate_json(kept).error().status == 500


class Book:
    """A ledger that a test can read; beyond ``most`` seconds a charge is refused."""

    def __init__(self, most: float = float("inf")) -> None:
        self.most = most
        self.charged: Counter[str | None] = Counter()
        self.outcomes: list[tuple[str, str, bool]] = []

    async def charge(self, key: str | None, audio_s: float) -> None:
        if self.charged[key] + audio_s > self.most:
            raise RateLimited("enough", 60)
        self.charged[key] += audio_s  # type: ignore[assignment]  # seconds

    async def give_back(self, key: str | None, audio_s: float) -> None:
        self.charged[key] -= audio_s  # type: ignore[assignment]

    def ended(self, asked: Asked, outcome: str, audio_s: float) -> None:
        self.outcomes.append((asked.audit, outcome, audio_s > 0))


DURATION_S = len(CLIPS[0].waveform) / 16_000


def away(*_: object, **__: object) -> None:
    """A store that cannot be reached."""
    raise OSError(errno.ESTALE, "Stale file handle")


def again(store: Store, place: str) -> str:
    """Another job with the same recording."""
    other = new_place()
    for name in ("sound", "record"):
        kept = store.load(place, name)
        if kept is None:
            kept = CLIPS[0].path.read_bytes()
        store.write(other, name, [kept])
    return other


@pytest.fixture
def ward_s(store: Store, options: Options) -> str:
    """A job of the key ward-3."""
    name = new_place()
    store.write(name, "sound", [CLIPS[0].path.read_bytes()])
    store.write(name, "record", Asked(options=options, fields={}, key="ward-3", audit="17").written())
    return name


def charging(store: Store, transcriber: Transcriber, book: Book) -> Steps:
    return Steps(store, transcriber, Settings(), io.BytesIO, MODEL, book)


async def test_each_second_is_charged_once_whatever_is_done_again(
    make_transcriber: Callable[..., Transcriber],
    store: Store,
    ward_s: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book, write = Book(), store.write
    doing = charging(store, make_transcriber(), book)

    def no_room(where: str, name: str, *rest: Any, **about: Any) -> None:
        if name == "info":
            raise NoRoom
        write(where, name, *rest, **about)

    with monkeypatch.context() as full:
        full.setattr(store, "write", no_room)
        with pytest.raises(NoRoom):
            await doing("prepare", [ward_s])
    assert book.charged["ward-3"] == 0
    await doing("prepare", [ward_s])
    again = charging(store, make_transcriber(), book)  # another process, which goes on
    await heard(again, ward_s)
    assert book.charged["ward-3"] == pytest.approx(DURATION_S, abs=0.01)
    assert book.outcomes == [("17", "ok", True)]
    assert store.has(ward_s, "result")


async def test_a_job_that_fails_is_given_its_seconds_back_and_one_that_is_refused_has_none(
    make_transcriber: Callable[..., Transcriber], store: Store, ward_s: str, options: Options
) -> None:
    book = Book()
    await charging(store, make_transcriber(), book)("prepare", [ward_s])
    doing = charging(store, make_transcriber(), book)
    for _ in range(2):  # the engine may ask for the same step twice
        assert (await doing("give_up", [ward_s]))["failed"] == "server_error"
        assert book.charged["ward-3"] == pytest.approx(0)
    assert book.outcomes[0] == ("17", "server_error", True)
    junk = new_place()
    store.write(junk, "sound", [b"no sound at all"])
    store.write(junk, "record", Asked(options=options, fields={}, key="ward-4").written())
    await heard(doing, junk)
    assert book.charged["ward-4"] == 0
    assert book.outcomes[-1] == ("", "unsupported_format", False)


async def test_a_store_that_is_away_at_the_end_costs_no_second_line_and_gives_back_once(
    make_transcriber: Callable[..., Transcriber],
    store: Store,
    ward_s: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book = Book()
    doing = charging(store, make_transcriber(), book)
    await doing("prepare", [ward_s])

    for question in ("rm", "glob"):  # before anything is gone, and after the sound is
        with monkeypatch.context() as outage:
            outage.setattr(store._files, question, away)
            for _ in range(2):
                with pytest.raises(StoreAway):
                    await doing("give_up", [ward_s])
    assert book.outcomes == []
    assert book.charged["ward-3"] == pytest.approx(DURATION_S, abs=0.01)
    assert (await doing("give_up", [ward_s]))["failed"] == "server_error"
    assert book.outcomes == [("17", "server_error", True)]
    assert book.charged["ward-3"] == pytest.approx(0)
    assert not store.has(ward_s, "sound")


async def test_beyond_the_limit_of_its_key_a_job_is_not_heard_and_costs_nothing(
    make_transcriber: Callable[..., Transcriber], store: Store, ward_s: str
) -> None:
    book = Book(most=DURATION_S / 2)
    doing = charging(store, make_transcriber(), book)
    assert (await doing("prepare", [ward_s]))["done"]
    assert (await doing("finish", [ward_s]))["failed"] == "rate_limit_exceeded"
    assert book.charged["ward-3"] == 0
    assert book.outcomes == [("17", "rate_limit_exceeded", False)]


async def test_what_a_client_ends_stays_charged_as_a_request_that_is_hung_up_on(
    make_transcriber: Callable[..., Transcriber], store: Store, ward_s: str
) -> None:
    book = Book()
    doing = charging(store, make_transcriber(), book)
    await doing("prepare", [ward_s])
    await doing.end(ward_s)
    assert book.charged["ward-3"] == pytest.approx(DURATION_S, abs=0.01)
    assert book.outcomes == [("17", "cancelled", True)]


async def test_a_job_that_is_cancelled_while_its_end_is_tried_again_has_one_line(
    make_transcriber: Callable[..., Transcriber], store: Store, ward_s: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever machine its client has asked."""
    for at, machine in enumerate(("this one", "another")):
        book = Book()
        doing = charging(store, make_transcriber(), book)
        ending = doing if machine == "this one" else charging(store, make_transcriber(), book)
        place = ward_s if not at else again(store, ward_s)
        await doing("prepare", [place])
        with monkeypatch.context() as outage:
            outage.setattr(store._files, "cat_file", away)
            with pytest.raises(StoreAway):
                await doing("finish", [place])
        await ending.end(place)
        store.remove(place, *WORK, "result")
        await doing("finish", [place])
        assert book.outcomes == [("17", "cancelled", True)]
        assert book.charged["ward-3"] == pytest.approx(DURATION_S, abs=0.01)


async def test_who_goes_on_with_an_end_says_the_same_again_and_the_same_process_says_it_once(
    make_transcriber: Callable[..., Transcriber], store: Store, ward_s: str
) -> None:
    book = Book()
    doing = charging(store, make_transcriber(), book)
    await heard(doing, ward_s)
    for _ in range(2):  # the engine has died meanwhile
        await doing("finish", [ward_s])
    assert book.outcomes == [("17", "ok", True)]
    await charging(store, make_transcriber(), book)("finish", [ward_s])  # all have
    assert book.outcomes == [("17", "ok", True)] * 2


async def test_a_job_that_was_deleted_elsewhere_is_not_tried_for_hours_and_leaves_nothing(
    make_transcriber: Callable[..., Transcriber], store: Store, ward_s: str
) -> None:
    book = Book()
    doing = charging(store, make_transcriber(), book)
    store.remove(ward_s)
    for step in (("prepare", [ward_s]), ("hear", [ward_s, 0])):
        assert (await doing(*step))["done"]
    assert store.places() == []
    for name in ("finish", "give_up"):
        assert not (await doing(name, [ward_s]))["webhook"]
    assert await doing("post", [ward_s, "job_1", False, 1.0]) == "failed"
    assert store.places() == []
    assert book.outcomes == []


async def test_a_process_that_leaves_while_it_charges_gives_back_only_what_is_charged_again(
    make_transcriber: Callable[..., Transcriber], store: Store, ward_s: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, write = Book(), store.write
    written, leaving = threading.Event(), threading.Event()

    def slow(where: str, name: str, *rest: Any, **about: Any) -> None:
        write(where, name, *rest, **about)
        if name == "info":
            written.set()
            assert leaving.wait(PATIENCE_S)

    monkeypatch.setattr(store, "write", slow)
    step = asyncio.create_task(charging(store, make_transcriber(), book)("prepare", [ward_s]))
    assert await asyncio.to_thread(written.wait, PATIENCE_S)
    step.cancel()
    await asyncio.sleep(0)
    leaving.set()
    await asyncio.gather(step, return_exceptions=True)
    await heard(charging(store, make_transcriber(), book), ward_s)
    assert book.charged["ward-3"] == pytest.approx(DURATION_S, abs=0.01)


async def test_what_is_ended_on_another_machine_leaves_no_text_behind_on_this_one(
    make_transcriber: Callable[..., Transcriber], store: Store, place: str
) -> None:
    doing = steps(store, make_transcriber())
    await doing("prepare", [place])
    store.remove(place, *WORK)  # as the other machine does
    store.write(place, "sound", [CLIPS[0].path.read_bytes()])  # what this one had open
    number = 0
    while not (await doing("hear", [place, number]))["done"]:
        number += 1
    assert store.has(place, "result")
    await doing("forget", [place])
    for gone in ("sound", "part-0", "window-0", "result"):
        assert not store.has(place, gone)


async def test_sound_that_was_changed_on_the_disk_is_not_heard(
    make_transcriber: Callable[..., Transcriber], store: Store, place: str
) -> None:
    path = Path(str(store.folder)) / place / "sound"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    doing = steps(store, make_transcriber())
    assert (await doing("prepare", [place]))["done"]
    assert (await doing("finish", [place]))["failed"] == "recording_lost"


@pytest.mark.parametrize("moment", ["sound is opened", "info is written"])
async def test_a_step_that_is_under_way_has_ended_when_its_client_has_ended_the_job(
    make_transcriber: Callable[..., Transcriber],
    store: Store,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """So that nothing is written anew behind what is removed."""
    doing, reached, go_on = steps(store, make_transcriber()), threading.Event(), threading.Event()
    read, write = store.read, store.write

    def held() -> None:
        reached.set()
        assert go_on.wait(PATIENCE_S)

    def reading(where: str, name: str, **about: Any) -> Any:
        if name == "sound" and moment == "sound is opened":
            held()
        return read(where, name, **about)

    def writing(where: str, name: str, *rest: Any, **about: Any) -> None:
        if name == "info" and moment == "info is written":
            held()
        write(where, name, *rest, **about)

    monkeypatch.setattr(store, "read", reading)
    monkeypatch.setattr(store, "write", writing)
    step = asyncio.create_task(doing("prepare", [place]))
    await asyncio.to_thread(reached.wait, PATIENCE_S)
    ending = asyncio.create_task(doing.end(place))
    await asyncio.sleep(0)
    assert not ending.done()
    go_on.set()
    await ending
    store.remove(place)
    assert (await step)["done"]
    assert store.places() == []


async def test_a_job_whose_client_has_ended_it_is_not_gone_on_with(
    make_transcriber: Callable[..., Transcriber], store: Store, place: str
) -> None:
    doing = steps(store, make_transcriber())
    await doing("prepare", [place])
    await doing.end(place)
    store.remove(place)
    assert (await doing("hear", [place, 0]))["done"]
    assert store.places() == []


class Engine:
    """In the place of the other process: what it is asked, and what it says."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    async def call(self, name: str, *arguments: Any) -> Any:
        self.asked.append((name, *arguments))
        if name == "cancel":
            self.answers["job"] = {**self.answers["job"], "state": "cancelled", "ended": 2.0}
        return self.answers[name]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def jobs(make_transcriber: Callable[..., Transcriber], tmp_path: Path, book: Book) -> Jobs:
    settings = Settings(jobs=True, jobs_dir=str(tmp_path / "jobs"), jobs_key=kills.KEY, jobs_ttl_h=2)
    return Jobs(settings, make_transcriber(), io.BytesIO, MODEL, ledger=book)


async def test_a_job_is_gone_when_its_time_is_over_and_so_is_what_nobody_knows_of(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    store = Store(str(tmp_path / "jobs"), Seal([MASTER]))
    day = 24 * 3600
    over, known, unknown, fresh = (new_place(now - ago) for ago in (day, day, day, 60))
    for place in (over, known, unknown, fresh):
        store.write(place, "result", [b"text"])
    engine = Engine(sweep=[over], places=[known])
    monkeypatch.setattr(jobs, "_worker", engine)
    await jobs.sweep(now)
    assert set(store.places()) == {known, fresh}
    [(_, before, _), _] = engine.asked
    assert before == now - 2 * 3600
    job = Job("job_1", "succeeded", now - 60, now - 50, now, 1.0, 1.0, 1, over)
    assert jobs.expires_s(job) == now + 2 * 3600


def row(place: str, state: str) -> dict[str, Any]:
    """As the engine tells of a job of the client ``me``."""
    times = {"created": 1.0, "started": None, "ended": 2.0 if state == "cancelled" else None}
    heard_of = {"seconds": 0.0, "duration": None, "parts": 0}
    owner = Seal([MASTER]).names("owner", "me")[0]
    return {"id": "job_1", "state": state, "place": place, "owner": owner, **times, **heard_of}


@pytest.mark.parametrize("asked_for", ["cancel", "delete"])
async def test_who_asks_again_where_the_store_was_away_leaves_no_sound_and_one_line_in_the_audit(
    jobs: Jobs, book: Book, monkeypatch: pytest.MonkeyPatch, options: Options, asked_for: str
) -> None:
    store, place = jobs._store, new_place()
    store.write(place, "record", Asked(options=options, fields={}, audit="17").written())
    for name in ("sound", "part-0"):
        store.write(place, name, [b"something"])
    engine = Engine(job=row(place, "running"), cancel=None, delete=None)
    monkeypatch.setattr(jobs, "_worker", engine)
    ask = jobs.cancel if asked_for == "cancel" else jobs.delete
    for question in ("cat_file", "rm"):
        with monkeypatch.context() as outage:
            outage.setattr(store._files, question, away)
            with pytest.raises(StoreAway):
                await ask("me", "job_1")
        assert store.has(place, "sound")
        assert ("delete", "job_1") not in engine.asked
    for _ in range(2):
        await ask("me", "job_1")
    assert book.outcomes == [("17", "cancelled", False)]
    left = [name for name in ("sound", "part-0", "record") if store.has(place, name)]
    assert left == (["record"] if asked_for == "cancel" else [])
    assert engine.asked.count(("cancel", "job_1")) == 1


async def test_a_job_whose_end_nobody_wrote_down_is_in_the_audit_when_it_goes(
    jobs: Jobs, book: Book, monkeypatch: pytest.MonkeyPatch, options: Options
) -> None:
    """Its machine died just when it was cancelled; or it waited, and nobody asked again."""
    place = new_place()
    jobs._store.write(place, "record", Asked(options=options, fields={}, audit="17").written())
    monkeypatch.setattr(jobs, "_worker", Engine(sweep=[place], places=[]))
    await jobs.sweep(time.time())
    assert book.outcomes == [("17", "cancelled", False)]
    assert jobs._store.places() == []


async def test_what_clients_have_ended_is_forgotten_when_its_time_is_over(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no step of it ever came here: it waited, or another machine was at work."""
    monkeypatch.setattr(jobs, "_worker", Engine(sweep=[]))
    place = new_place()
    await jobs._steps.end(place)
    await jobs.sweep(time.time())
    assert set(jobs._steps._ended) == {place}
    await jobs.sweep(time.time() + 2 * 3600 + 1)
    assert not jobs._steps._ended


@pytest.mark.parametrize("full", ["sound", "record"])
async def test_a_recording_that_finds_no_room_is_refused_and_leaves_none_of_itself(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Options, full: str
) -> None:
    write, engine = jobs._store.write, Engine()

    def no_room(where: str, name: str, *rest: Any, **about: Any) -> None:
        if name == full:
            raise NoRoom
        write(where, name, *rest, **about)

    monkeypatch.setattr(jobs._store, "write", no_room)
    monkeypatch.setattr(jobs, "_worker", engine)
    with pytest.raises(NoRoom) as refused:
        await jobs.submit("me", Asked(options=options, fields={}), io.BytesIO(b"sound"))
    assert refused.value.status == 503
    assert engine.asked == []
    assert Store(str(tmp_path / "jobs"), Seal([MASTER])).places() == []


async def test_the_metrics_show_how_many_jobs_there_are_in_each_state(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_worker", Engine(count={"queued": 3, "succeeded": 2}))
    await jobs.count()
    shown = {sample.labels["state"]: sample.value for sample in next(iter(metrics.JOBS.collect())).samples}
    assert shown == {"queued": 3, "running": 0, "succeeded": 2, "failed": 0, "cancelled": 0}


async def test_nothing_is_swept_where_the_database_cannot_be_asked(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "jobs"), Seal([MASTER]))
    store.write(new_place(1.0), "result", [b"text"])
    monkeypatch.setattr(jobs, "_worker", Engine(sweep=[]))  # and raises at the next question
    with pytest.raises(KeyError):
        await jobs.sweep(time.time())
    assert len(store.places()) == 1
