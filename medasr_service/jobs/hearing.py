"""One job's recording on its way through the model: begun, gone on with, in parts.

What the model says of a window is written down before anything is made of it. Whoever goes on with a
recording asks the model only for what is not written down; all behind that, from windows to segments, is done
once more, and since it depends on nothing else, is what it would have been: nothing is lost, nothing comes
twice.
"""

import asyncio
import hashlib
import io
import zlib
from contextlib import aclosing, suppress
from typing import Any, BinaryIO

import numpy as np

from medasr_service.audio.reader import in_thread
from medasr_service.audio.stream import AudioInfo
from medasr_service.jobs.record import SEGMENTS, Asked, Heard, Inspected
from medasr_service.jobs.store import Store
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.text.transcript import Segment
from medasr_service.transcriber import Infer, Transcriber

WINDOWS_PER_PART = 2


class Forgotten(Exception):
    """It was given up while somebody waited for it."""


class Remembered:
    """``infer`` that asks the model once for each window of a recording, whatever happens in between.

    What is written down counts only for the same sound and the same ``model``.
    """

    def __init__(self, infer: Infer, store: Store, place: str, model: str) -> None:
        self._infer = infer
        self._store = store
        self._place = place
        self._model = model
        self._count = 0

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        """Windows come in order, whenever they are answered."""
        name, self._count = f"window-{self._count}", self._count + 1
        about = await in_thread(self._about, waveforms)
        if (found := await in_thread(self._load, name, about)) is not None:
            return found
        emissions = await self._infer(waveforms)
        await in_thread(self._save, name, about, emissions)
        return emissions

    def _about(self, waveforms: list[Waveform]) -> str:
        heard = hashlib.sha256(self._model.encode())
        for each in waveforms:
            heard.update(each.tobytes())
        return heard.hexdigest()

    def _load(self, name: str, about: str) -> list[Emission] | None:
        kept = self._store.load(self._place, name, about=about)
        if kept is None:
            return None
        with np.load(io.BytesIO(zlib.decompress(kept)), allow_pickle=False) as arrays:
            return [arrays[each] for each in arrays]

    def _save(self, name: str, about: str, emissions: list[Emission]) -> None:
        file = io.BytesIO()
        np.savez(file, *emissions)
        self._store.write(self._place, name, [zlib.compress(file.getbuffer(), 1)], about=about)


class Hearing:
    """A job that is under way in this process; ``file`` is its sound, which is closed with it."""

    def __init__(
        self, transcriber: Transcriber, store: Store, place: str, model: tuple[str, str], file: BinaryIO
    ) -> None:
        name, fingerprint = model
        remembered = Remembered(transcriber.infer, store, place, fingerprint)
        self._transcriber = transcriber.through(remembered.infer)
        self._store = store
        self._place = place
        self._model = name
        self._file = file
        self._segments: list[Segment] = []  # all
        self._written = 0  # of them, in parts
        self._windows = 0
        self._seconds = 0.0
        self._duration = 0.0
        self._parts: asyncio.Queue[tuple[list[Segment], float]] = asyncio.Queue()
        self._ready = asyncio.Condition()
        self._progress: list[float] = []  # seconds heard at the end of each part that is written
        self._over = False
        self._task: asyncio.Task[None] | None = None

    async def inspect(self, asked: Asked) -> Inspected:
        """Raises InvalidAudio and its children."""
        warned = await in_thread(self._transcriber.check, asked.options)
        info = await self._transcriber.inspect(self._file, asked.options.damaged)
        return Inspected(info=info, warned=warned)

    def begin(self, asked: Asked, found: Inspected) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(asked, found))

    async def part(self, number: int) -> dict[str, Any]:
        """Waits until so many parts are written. Raises whatever ended the work before."""
        assert self._task
        async with self._ready:
            await self._ready.wait_for(lambda: len(self._progress) > number or self._over)
        if self._over:
            await asyncio.wait([self._task])
            if self._task.cancelled():
                raise Forgotten
            self._task.result()
        return {
            "parts": min(number + 1, len(self._progress)),
            "seconds": round(self._progress[min(number, len(self._progress) - 1)], 3),
            "duration": round(self._duration, 3),
            "done": self._over and number + 1 >= len(self._progress),
        }

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task
        await in_thread(self._file.close)

    async def _run(self, asked: Asked, found: Inspected) -> None:
        self._duration = found.info.duration
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write_parts())
                await self._hear(asked, found.info)
                self._end_part()
                await self._parts.join()
                writing.cancel()
            transcript = self._transcriber.joined(self._segments, found.info, found.warned)
            heard = Heard(transcript=transcript, model=self._model)
            await in_thread(self._store.write, self._place, "result", heard.written())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            async with self._ready:
                self._over = True
                self._ready.notify_all()

    async def _hear(self, asked: Asked, info: AudioInfo) -> None:
        stream = self._transcriber.stream(self._file, info, asked.options, on_window=self._on_window)
        async with aclosing(stream):
            async for segment in stream:
                self._segments.append(segment)

    def _on_window(self, seconds: float) -> None:
        if self._windows and self._windows % WINDOWS_PER_PART == 0:
            self._end_part()
        self._windows += 1
        self._seconds = seconds

    def _end_part(self) -> None:
        self._parts.put_nowait((self._segments[self._written :], self._seconds))
        self._written = len(self._segments)

    async def _write_parts(self) -> None:
        while True:
            segments, seconds = await self._parts.get()
            name, content = f"part-{len(self._progress)}", SEGMENTS.dump_json(segments)
            if await in_thread(self._store.load, self._place, name) != content:
                await in_thread(self._store.write, self._place, name, [content])
            async with self._ready:
                self._progress.append(seconds)
                self._ready.notify_all()
            self._parts.task_done()
