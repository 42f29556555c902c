"""Decoding strangers' bytes where a crash costs one request: in a process for each recording.

The service hands the recording over as a descriptor and takes samples back, a block a turn: nothing is
decoded ahead of who listens, and a process ends in the moment in which nobody waits for it any more.
"""

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import TypeAdapter, ValidationError

import medasr_service
from medasr_service import errors
from medasr_service.audio import messages, plain, stream
from medasr_service.audio.messages import GO_ON, Kind
from medasr_service.audio.reader import in_thread
from medasr_service.audio.stream import AudioInfo
from medasr_service.audio.turns import Turns
from medasr_service.errors import InvalidAudio, MedASRError, NotReady
from medasr_service.model.geometry import Waveform

CPU_BASE_S = (
    30  # what a recording may cost, and more for its length: real ones take a fiftieth of it and less
)
SLOWEST = 4  # seconds of sound that a second of CPU time must decode
LEAST_BYTES_PER_S = 250  # of a recording; silence in FLAC has 350
MAX_PROCESSES = 32  # alive at a time, of some 7 MB each; the others wait in line, clips first
MAX_LONG = 24  # of them, so that hours of sound never have all
CLIP_BYTES = 1 << 20  # longer files are long
BYTES_PER_S = 1 << 20  # in line, for so many bytes a recording stands a second behind
PLAIN_BYTES = 4 << 20  # of PCM: some 20 ms of work
PLAIN_RATES = range(8_000, 48_001)
ANSWER_S = 120.0  # for one turn, on a machine that is busy; CPU time is bounded there
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "PYTHONHOME")  # no key among them
_INFO = TypeAdapter(AudioInfo)
_REFUSALS = {
    each.__name__: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, InvalidAudio)
}
CRASHED = "The recording cannot be read: it breaks its decoder, or takes too much time or memory."

log = logging.getLogger("bentoml.medasr")


class Decoders:
    """``places``: how many recordings are decoded at a time; the others take turns with them.

    Processes start with the first recording, or with ``start``.
    """

    def __init__(self, places: int = 2) -> None:
        self._turns = Turns(places)
        self._alive, self._long = Turns(MAX_PROCESSES), Turns(MAX_LONG)
        self._source: _Source | None = None
        self._lock = threading.Lock()
        # a recording that was inspected is most often streamed next, by the same process
        self._inspected: weakref.WeakKeyDictionary[BinaryIO, _Process] = weakref.WeakKeyDictionary()

    def start(self) -> None:
        """Loads the decoders, while the caller goes on."""
        with self._lock:
            if self._source is None or self._source.has_ended:
                self._source = _Source()

    def close(self) -> None:
        """Ends all of them."""
        with self._lock:
            if self._source is not None:
                self._source.close()
                self._source = None

    async def inspect(self, file: BinaryIO, **options: Any) -> AudioInfo:
        """As stream.inspect. Raises NotReady where the decoders themselves are gone."""
        if _is_plain(file):
            with _own(file) as own:
                async with self._turns.turn(0.0):
                    return await in_thread(stream.inspect, own, **options)
        process = await self._new_process(file, options["max_duration_s"])
        try:
            kind, body = await process.ask(self._turns, messages.call("inspect", options))
            while kind == Kind.MORE:
                kind, body = await process.ask(self._turns, GO_ON)
            info = _read(kind, Kind.INFO, body)
        except BaseException:
            process.close()
            raise
        self._inspected[file] = process
        return info

    async def stream(self, file: BinaryIO, **options: Any) -> AsyncGenerator[Waveform, None]:
        """As stream.stream."""
        if _is_plain(file):
            with _own(file) as own:
                blocks = stream.stream(own, **options)
                while True:
                    async with self._turns.turn(0.0):
                        block = await in_thread(next, blocks, None)
                    if block is None:
                        return
                    yield block
        process = self._inspected.pop(file, None)
        process = process or await self._new_process(file, options["max_duration_s"])
        try:
            kind, body = await process.ask(self._turns, messages.call("stream", options))
            while kind == Kind.BLOCK:
                yield np.frombuffer(body, np.float32)
                kind, body = await process.ask(self._turns, GO_ON)
            if kind != Kind.END:
                raise _error(kind, body)
        finally:
            process.close()

    async def _new_process(self, file: BinaryIO, max_duration_s: float) -> "_Process":
        """Waits until there is a place for it, which it gives back at its end."""
        size = _size(file)
        taken: list[Turns] = []
        try:
            for places in (self._long, self._alive) if size > CLIP_BYTES else (self._alive,):
                await places.take(size / BYTES_PER_S)
                taken.append(places)
            longest_s = min(max_duration_s, size / LEAST_BYTES_PER_S)
            process = self._start_process(file, CPU_BASE_S + round(longest_s / SLOWEST))
        except BaseException:
            _leave(taken)
            raise
        loop = asyncio.get_running_loop()
        process.at_end.append(lambda: _leave_later(loop, taken))
        return process

    def _start_process(self, file: BinaryIO, cpu_s: int) -> "_Process":
        recording = _descriptor(file)
        try:
            return self._make_process(recording, cpu_s)
        finally:
            os.close(recording)

    def _make_process(self, recording: int, cpu_s: int) -> "_Process":
        for _ in range(2):  # the source may have been killed since it was last asked
            self.start()
            source = self._source
            if source is not None and (process := source.process(recording, cpu_s)):
                return process
            with self._lock:
                if source is not None and self._source is source:
                    source.close()
                    self._source = None
        raise NotReady("The decoders cannot be started.", reason="no_decoder")


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process that is started here never hears of Ctrl-C, not even while it begins: its parent ends it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Source:
    """The process from which the others are made."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        root = str(Path(medasr_service.__file__).parent.parent)
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        threads = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        with theirs, _without_interrupts():
            self._process = subprocess.Popen(  # noqa: S603  # this very program
                [sys.executable, "-P", "-m", "medasr_service.audio.worker", str(theirs.fileno())],
                env={**kept, **threads, "PYTHONPATH": root},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.close = weakref.finalize(self, _end, self._control, self._process)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def process(self, recording: int, cpu_s: int) -> "_Process | None":
        """A new one for this recording; None where there is no source any more."""
        channel, its_channel = socket.socketpair()
        lifeline, its_lifeline = socket.socketpair()
        with its_channel, its_lifeline:
            descriptors = [its_channel.fileno(), its_lifeline.fileno(), recording]
            try:
                socket.send_fds(self._control, [b"j"], descriptors)
            except OSError:
                channel.close()
                lifeline.close()
                return None
        return _Process(channel, lifeline, self, cpu_s)


class _Process:
    """A decoder process as its recording's request sees it."""

    def __init__(self, channel: socket.socket, lifeline: socket.socket, source: _Source, cpu_s: int) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._source = source
        self._spent_s = 0.0
        self._cpu_s = cpu_s
        self.at_end: list[Callable[[], None]] = []
        self.close = weakref.finalize(self, _close, channel, lifeline, self.at_end)

    async def ask(self, turns: Turns, message: bytes) -> tuple[Kind, bytearray]:
        """The answer to one message, in turn. Raises InvalidAudio where the process breaks at it."""
        try:
            async with turns.turn(self._spent_s), asyncio.timeout(ANSWER_S):
                await asyncio.get_running_loop().sock_sendall(self._channel, message)
                kind, size, self._spent_s = messages.HEADER.unpack(await self._receive(messages.HEADER.size))
                if size > messages.MAX_FRAME_BYTES or self._spent_s > self._cpu_s:
                    raise EOFError
                return Kind(kind), await self._receive(size)
        except (EOFError, OSError, TimeoutError, ValueError) as error:
            self.close()
            if self._source.has_ended:
                raise NotReady(
                    "The decoders were stopped. Send the recording again.", reason="no_decoder"
                ) from None
            log.warning("a decoder process broke at a recording (%s)", type(error).__name__)
            raise InvalidAudio(CRASHED, reason="crashed") from None

    async def _receive(self, size: int) -> bytearray:
        loop, data, received = asyncio.get_running_loop(), bytearray(size), 0
        while received < size:
            part = await loop.sock_recv_into(self._channel, memoryview(data)[received:])
            if not part:
                raise EOFError
            received += part
        return data


def _read(kind: Kind, expected: Kind, body: bytearray) -> AudioInfo:
    if kind != expected:
        raise _error(kind, body)
    try:
        return _INFO.validate_json(bytes(body))
    except ValidationError:
        raise InvalidAudio(CRASHED, reason="crashed") from None


def _error(kind: Kind, body: bytearray) -> MedASRError:
    """What a process says instead of an answer."""
    with suppress(ValueError, TypeError):
        if kind == Kind.REFUSED:
            name, message = json.loads(body)
            return _REFUSALS[str(name)](str(message))
        if kind == Kind.FAILED:
            log.error("a decoder process failed: %s", str(json.loads(body))[:100])
    return MedASRError("The service failed; its log says why.")


def _is_plain(file: BinaryIO) -> bool:
    """Whether it takes one turn to read, and no decoder: as with what live sessions send."""
    if _size(file) > PLAIN_BYTES:
        return False
    at = file.tell()
    try:
        samples = plain.survey(file)
    finally:
        file.seek(at)
    return samples is not None and samples.rate in PLAIN_RATES


def _own(file: BinaryIO) -> BinaryIO:
    """The same bytes with a place of its own in them."""
    return os.fdopen(_descriptor(file), "rb")


def _size(file: BinaryIO) -> int:
    try:
        file.flush()
        return os.fstat(file.fileno()).st_size
    except OSError:
        at = file.tell()
        try:
            return file.seek(0, 2)
        finally:
            file.seek(at)


def _descriptor(file: BinaryIO) -> int:
    """The recording as a descriptor of its own, to read only; what has none is copied into memory."""
    try:
        file.flush()
        number = file.fileno()
    except OSError:
        return _copy(file)
    try:
        return os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no /proc
        return os.dup(number)


def _copy(file: BinaryIO) -> int:
    number = os.memfd_create("recording", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(number), "wb") as target:
        file.seek(0)
        shutil.copyfileobj(file, target)
    return number


def _end(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()  # at which it ends
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _close(channel: socket.socket, lifeline: socket.socket, at_end: list[Callable[[], None]]) -> None:
    lifeline.close()
    channel.close()
    for tell in at_end:
        tell()


def _leave(taken: list[Turns]) -> None:
    for places in taken:
        places.give_back()


def _leave_later(loop: asyncio.AbstractEventLoop, taken: list[Turns]) -> None:
    """Also from within the garbage collector, which may come in the middle of anything."""
    try:
        loop.call_soon_threadsafe(_leave, taken)
    except RuntimeError:  # the loop is closed
        _leave(taken)
