"""One engine and its shards: recordings to rows, rows to a part."""

import asyncio
import hashlib
import logging
import os
import stat
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, cast

from medasr_service import engines
from medasr_service.archive import fingerprints, places
from medasr_service.archive.batches import Batches
from medasr_service.archive.claims import Claims
from medasr_service.archive.fingerprints import Fingerprint
from medasr_service.archive.places import Place, SourceFailed, place
from medasr_service.archive.report import Tally
from medasr_service.archive.rows import FORMATS, Json, Part, Row
from medasr_service.archive.sources import Recording
from medasr_service.audio.processes import Decoders
from medasr_service.errors import MedASRError, ModelUnavailable, NotReady, UnsupportedAudio, UploadTooLarge
from medasr_service.model import checkpoint
from medasr_service.settings import Settings
from medasr_service.text import annotated, formats
from medasr_service.transcriber import Options, Transcriber

SUFFIXES = {"text": ".txt", "srt": ".srt", "vtt": ".vtt"}
IN_FLIGHT = 8  # recordings at a time: their windows meet in batches
SHARDS = 2  # at a time: the end of one is the beginning of the next
SAVE_S = 60.0  # what a part has by then is written, and a crash costs no more
CHANGED, MISSING, UNREADABLE, FAILED = "changed", "not_found", "unreadable", "failed"
NOTHING = Tally()
log = logging.getLogger("bentoml.medasr")
SUSPICIOUS = 8  # recordings of which none can be read: it is not them


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker of a run has to know. ``beside``: formats to write beside each recording."""

    config: Settings
    options: Options
    target: str  # the folder of the parts, as a URL
    format: str
    fingerprint: Fingerprint
    run: str
    beside: tuple[str, ...] = ()
    retry_failed: bool = False

    @property
    def folder(self) -> Place:
        return place(self.target)

    @property
    def work(self) -> Place:
        return self.folder.at(".work")

    def part(self, shard: str) -> Place:
        return self.folder.at(f"part-{shard}{FORMATS[self.format].suffix}")

    def read(self, shard: str) -> Part:
        content = places.read(self.part(shard))
        return Part() if content is None else FORMATS[self.format].read(content)

    def pending(self, recordings: Iterable[Recording], part: Part) -> list[Recording]:
        """Those without a row, those that have changed since, and failures where they are tried again."""
        found = []
        for each in recordings:
            row = part.rows.get(each.name)
            if row is None or row.version != each.version or (row.code and self.retry_failed):
                found.append(each)
        return found


@dataclass(frozen=True, slots=True)
class Task:
    """A shard, and those of its recordings that are in the source; ``pending`` of them are to be done."""

    shard: str
    recordings: tuple[Recording, ...]
    pending: int


@dataclass(frozen=True, slots=True)
class Done:
    """Of a shard, in this run; ``taken``: by another run, nothing was done."""

    shard: str
    tally: Tally = NOTHING
    taken: bool = False


class Worker:
    """Loads the model. Raises ModelUnavailable."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._claims = Claims(job.work, job.run)
        found = checkpoint.resolve(job.config)
        if fingerprints.of(found, job.config, job.options) != job.fingerprint:  # on another machine
            raise ModelUnavailable("this machine has another model, or another version of medasr-service")
        self._decoders = Decoders()
        batches = Batches(lambda waveforms: self._engine.infer(waveforms))
        self._transcriber = Transcriber.of(found, batches.infer, job.config, self._decoders)
        self._transcriber.check(job.options)
        self._decoders.start()
        engines.prepare(found, job.config)
        self._engine = engines.load(found, job.config)

    def close(self) -> None:
        self._decoders.close()

    async def work(
        self, tasks: Iterable[Task], on_row: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[Done, None]:
        """A few shards at a time, in order of their ends."""
        places_ = asyncio.Semaphore(IN_FLIGHT)
        coming = iter(tasks)
        running: set[asyncio.Task[Done]] = set()
        try:
            while True:
                while len(running) < SHARDS and (task := next(coming, None)) is not None:
                    running.add(asyncio.create_task(self._shard(task, places_, on_row)))
                if not running:
                    return
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for each in ended:
                    yield each.result()
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _shard(self, task: Task, places_: asyncio.Semaphore, on_row: Callable[[], None]) -> Done:
        if not await asyncio.to_thread(self._claims.take, task.shard):
            return Done(task.shard, taken=True)
        try:
            return await self._claimed(task, places_, on_row)
        finally:
            self._claims.give_back(task.shard)

    async def _claimed(self, task: Task, places_: asyncio.Semaphore, on_row: Callable[[], None]) -> Done:
        part = await asyncio.to_thread(self._job.read, task.shard)
        rows, new, saved_at = dict(part.rows), list[Row](), time.monotonic()
        saving = asyncio.Lock()

        async def one(recording: Recording) -> None:
            nonlocal saved_at
            async with places_:
                row = await self._row(recording)
            rows[row.file] = row
            new.append(row)
            on_row()
            async with saving:
                if time.monotonic() - saved_at > SAVE_S:
                    await asyncio.to_thread(self._write, task.shard, tuple(rows.values()))
                    saved_at = time.monotonic()

        pending = self._job.pending(task.recordings, part)
        try:
            async with asyncio.TaskGroup() as group:
                for recording in sorted(pending, key=lambda each: -places.size_of(each.version)):
                    group.create_task(one(recording))
            await asyncio.to_thread(_refuse_where_the_source_is_gone, pending, new)
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        except asyncio.CancelledError:  # what is there is kept
            if new:
                self._write(task.shard, tuple(rows.values()))
            raise
        if new or part.damaged:
            await asyncio.to_thread(self._write, task.shard, tuple(rows.values()))
        return Done(task.shard, Tally.of(new))

    def _write(self, shard: str, rows: Sequence[Row]) -> None:
        places.write(self._job.part(shard), FORMATS[self._job.format].part(rows))

    async def _row(self, recording: Recording) -> Row:
        """Whatever happens to a recording is its row; only what cannot be written ends the run."""
        at, version = place(recording.url), recording.version
        try:
            version = await asyncio.to_thread(places.version, at)
            content = await self._heard(at, version)
            if await asyncio.to_thread(places.version, at) != version:
                content = _failure(CHANGED, "The recording was changed while it was read.")
        except places.TargetFailed:
            raise
        except Exception as error:  # of file systems, each has its own
            content = _failure_of(error)
        return Row(recording.name, version, {"fingerprint": self._job.fingerprint.id, **content})

    async def _heard(self, at: Place, version: str) -> Json:
        with await asyncio.to_thread(self._open, at, version) as file:
            sha256 = await asyncio.to_thread(_sha256, file)
            try:
                transcript = await self._transcriber.transcribe(file, self._job.options)
            except NotReady:  # the decoders were killed: others of this moment, too
                transcript = await self._transcriber.transcribe(file, self._job.options)
        for each in self._job.beside:
            beside = at.of(at.path + SUFFIXES[each])
            await asyncio.to_thread(places.write, beside, formats.write(transcript, each).encode())
        low = self._job.config.low_confidence
        doubts = sum(part.doubtful for part in annotated.parts(transcript.words, low))
        return {"sha256": sha256, "doubts": doubts, **formats.to_verbose_json(transcript, words=True)}

    def _open(self, at: Place, version: str) -> BinaryIO:
        """A store's into memory: decoding needs to return to the start, and no disk shall have it."""
        if at.is_local:
            if not stat.S_ISREG(os.stat(at.path).st_mode):  # noqa: PTH116
                raise UnsupportedAudio("This is not a file.")
            return open(at.path, "rb")  # noqa: PTH123
        most = self._job.config.max_upload_mb
        if places.size_of(version) > most << 20:
            raise UploadTooLarge(
                f"The recording has more than {most} MB, which is the limit (max_upload_mb)."
            )
        return BytesIO(at.fs.cat_file(at.path))


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    file.seek(0)
    return digest


def _failure(code: str, reason: str) -> Json:
    return {"error": reason, "code": code}


def _failure_of(error: Exception) -> Json:
    """Neither a name nor a text is in it."""
    if isinstance(error, MedASRError):
        return _failure(error.code or FAILED, error.message)
    if isinstance(error, FileNotFoundError):
        return _failure(MISSING, "There is no such recording.")
    if isinstance(error, OSError):
        return _failure(
            UNREADABLE, f"The recording cannot be read: {error.strerror or type(error).__name__}."
        )
    log.error("a recording could not be transcribed (%s)", type(error).__name__)
    return _failure(FAILED, f"The recording could not be transcribed ({type(error).__name__}).")


def _refuse_where_the_source_is_gone(pending: Sequence[Recording], rows: Sequence[Row]) -> None:
    """Where none can be read, and none can even be asked about, it is not the recordings."""
    if len(rows) < SUSPICIOUS or not all(row.code in (UNREADABLE, FAILED) for row in rows):
        return
    try:
        places.version(place(pending[0].url))
    except FileNotFoundError:
        return
    except Exception as error:  # each file system has its own
        raise SourceFailed(f"The recordings cannot be read any more: {places.reason(error)}") from None
