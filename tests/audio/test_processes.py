"""A decoder that breaks costs one recording, and nobody else anything."""

import asyncio
import io
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from medasr_service.audio import processes, worker
from medasr_service.audio import stream as audio
from medasr_service.audio.processes import Decoders
from medasr_service.audio.turns import Turns
from medasr_service.errors import AudioTooLong, EmptyAudio, InvalidAudio, NotReady, UnsupportedAudio
from tests.audio.test_stream import encode, ffmpeg, sound
from tests.conftest import PATIENCE_S, ROOT, SAMPLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
CLIP = encode(sound(), kind="FLAC")
LIMITS: dict[str, Any] = {"max_duration_s": 10_800, "max_channels": 8}


@pytest.fixture
def own() -> Iterator[Decoders]:
    """Decoders of one test, which may end them."""
    decoders = Decoders()
    yield decoders
    decoders.close()


def source() -> psutil.Process:
    """The process from which the decoders that were started last are made."""
    return max(_sources(), key=lambda each: (each.create_time(), each.pid))


def _sources() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if _comm(each) == "medasr-decoders"]


def decoding() -> list[psutil.Process]:
    """Those made from it: the one that waits for a recording, and those that have one."""
    if not _sources():
        return []
    return [each for each in source().children() if _comm(each) == "medasr-decoder"]


def _comm(process: psutil.Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/comm").read_text().strip()
    except OSError:
        return ""


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def working() -> psutil.Process:
    """The process that has a recording; there is one."""
    found: list[psutil.Process] = []

    def one() -> bool:
        found[:] = [each for each in decoding() if _held(each, "socket:") == 2]
        return len(found) == 1

    await until(one)
    return found[0]


def _held(process: psutil.Process, kind: str) -> int:
    try:
        held = list(Path(f"/proc/{process.pid}/fd").iterdir())
        return sum(str(each.readlink()).startswith(kind) for each in held)
    except OSError:
        return 0


@pytest.fixture(scope="module")
def long() -> bytes:
    """An hour, which no decoder reads in a moment."""
    return encode(np.zeros(3_600 * 8_000, np.int16), 8_000, "FLAC")


async def collect(blocks: AsyncIterator[np.ndarray]) -> np.ndarray:
    return np.concatenate([block async for block in blocks])


@pytest.mark.parametrize(
    "data",
    [
        encode(sound()),
        encode(sound(rate=44_100, channels=2), 44_100, "FLAC", "PCM_24"),
        encode(sound(rate=48_000), 48_000, "OGG", "OPUS"),
        encode(sound(rate=8_000), 8_000, "MP3", "MPEG_LAYER_III"),
    ],
    ids=["wav", "flac", "opus", "mp3"],
)
async def test_another_process_reads_as_this_one(decoders: Decoders, data: bytes) -> None:
    file = io.BytesIO(data)
    assert await decoders.inspect(file, **LIMITS) == audio.inspect(file, **LIMITS)
    theirs = await collect(decoders.stream(file, gain=2.0, **LIMITS))
    ours = np.concatenate(list(audio.stream(file, gain=2.0, **LIMITS)))
    np.testing.assert_array_equal(theirs, ours)


async def test_a_file_on_disk_is_read_where_it_lies(decoders: Decoders) -> None:
    with SAMPLE.open("rb") as file:
        file.seek(100)
        info = await decoders.inspect(file, **LIMITS)
        assert file.tell() == 100  # who has it open may go on reading
        assert info == audio.inspect(file, **LIMITS)


@pytest.mark.parametrize(
    ("data", "limits", "error"),
    [
        (b"", {}, EmptyAudio),
        (b"no sound", {}, UnsupportedAudio),
        (encode(sound(2.0)), {"max_duration_s": 1}, AudioTooLong),
        (encode(sound(0.05)), {}, InvalidAudio),
    ],
    ids=["empty", "unknown", "too long", "too short"],
)
async def test_a_refusal_comes_through_as_it_is(
    decoders: Decoders, data: bytes, limits: dict[str, Any], error: type[InvalidAudio]
) -> None:
    with pytest.raises(error) as here:
        audio.inspect(io.BytesIO(data), **{**LIMITS, **limits})
    with pytest.raises(error) as there:
        await decoders.inspect(io.BytesIO(data), **{**LIMITS, **limits})
    assert there.value.message == here.value.message


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGXCPU])
async def test_a_crash_costs_one_recording(own: Decoders, long: bytes, number: int) -> None:
    task = asyncio.create_task(own.inspect(io.BytesIO(long), **LIMITS))
    (await working()).send_signal(number)
    with pytest.raises(InvalidAudio, match="breaks its decoder"):
        await task
    assert (await own.inspect(io.BytesIO(CLIP), **LIMITS)).duration == 1.5


async def test_a_crash_while_the_model_listens_costs_one_recording(own: Decoders, long: bytes) -> None:
    async with aclosing(own.stream(io.BytesIO(long), gain=1.0, **LIMITS)) as blocks:
        await anext(blocks)
        (await working()).kill()
        with pytest.raises(InvalidAudio):
            await anext(blocks)
    assert (await own.inspect(io.BytesIO(CLIP), **LIMITS)).duration == 1.5


async def test_who_loses_its_source_is_told_to_come_again(own: Decoders, long: bytes) -> None:
    """Nothing is known against the recording."""
    task = asyncio.create_task(own.inspect(io.BytesIO(long), **LIMITS))
    await working()
    source().kill()
    with pytest.raises(NotReady):
        await task
    assert (await own.inspect(io.BytesIO(CLIP), **LIMITS)).duration == 1.5


async def test_plain_samples_need_no_process(own: Decoders) -> None:
    """No decoder sees them; all else goes to a process, and so do the same samples in numbers."""
    file = io.BytesIO(encode(sound()))
    assert await own.inspect(file, **LIMITS) == audio.inspect(file, **LIMITS)
    assert len(await collect(own.stream(file, gain=1.0, **LIMITS))) == 24_000
    assert own._source is None
    await own.inspect(io.BytesIO(encode(np.zeros(processes.PLAIN_BYTES, np.int16))), **LIMITS)
    assert own._source is not None


async def test_a_process_ends_as_soon_as_nobody_waits_for_it(own: Decoders, long: bytes) -> None:
    task = asyncio.create_task(own.inspect(io.BytesIO(long), **LIMITS))
    process = await working()
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: not process.is_running())


async def test_a_process_that_hangs_ends_as_soon_as_nobody_waits_for_it(own: Decoders, long: bytes) -> None:
    """As in a library that never comes back."""
    task = asyncio.create_task(own.inspect(io.BytesIO(long), **LIMITS))
    process = await working()
    process.suspend()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    process.resume()  # the signal of the kernel is there before it computes any more
    await until(lambda: not process.is_running())


async def test_a_process_ends_with_the_file_that_nobody_streamed(own: Decoders) -> None:
    file = io.BytesIO(CLIP)
    await own.inspect(file, **LIMITS)
    process = await working()
    del file
    await until(lambda: not process.is_running())


async def test_nothing_is_decoded_ahead_of_who_listens(own: Decoders, long: bytes) -> None:
    async with aclosing(own.stream(io.BytesIO(long), gain=1.0, **LIMITS)) as blocks:
        await anext(blocks)
        process = await working()
        await until(lambda: process.status() == psutil.STATUS_SLEEPING)  # it waits to be asked for more
        cpu = process.cpu_times()
        await asyncio.sleep(0.2)
        assert process.cpu_times() == cpu


async def test_a_clip_passes_by_hours_of_sound(own: Decoders, long: bytes) -> None:
    hours = [asyncio.create_task(own.inspect(io.BytesIO(long), **LIMITS)) for _ in range(8)]
    await until(lambda: len(decoding()) == 9)
    for _ in range(3):
        await own.inspect(io.BytesIO(CLIP), **LIMITS)
    assert not any(task.done() for task in hours)
    for task in hours:
        task.cancel()
    await asyncio.wait(hours)


class CountedTurns(Turns):
    """What the recordings had cost so far that were given a turn, one after another."""

    given: list[float]

    async def take(self, spent_s: float) -> None:
        await super().take(spent_s)
        self.given.append(spent_s)


async def test_what_hostile_files_cost_others_is_counted_in_turns_and_ends_with_them(own: Decoders) -> None:
    """Silence of 8 channels at 384 kHz: a few kilobytes, each block of it work. Not by the clock: turns
    are bounded in CPU time, and a clip has its own behind one of each that waits.
    """
    own._turns = turns = CountedTurns(2)
    turns.given = []
    hostile = encode(np.zeros((10 * 384_000, 8), np.int16), 384_000, "FLAC")
    before_s = _spent_by_copies_s()
    tasks = [asyncio.create_task(own.inspect(io.BytesIO(hostile), **LIMITS)) for _ in range(6)]
    await until(lambda: sum(spent_s > 0.02 for spent_s in turns.given) > 12)
    given = len(turns.given)
    await own.inspect(io.BytesIO(CLIP), **LIMITS)
    others = [spent_s for spent_s in turns.given[given:] if spent_s > 0.02]
    assert len(others) <= 2 * len(tasks), turns.given[given:]
    assert not any(task.done() for task in tasks)
    processes_then = decoding()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    given = len(turns.given)
    await until(lambda: sum(each.is_running() for each in processes_then) <= 1)  # the one that waits ahead
    assert len(turns.given) == given  # nobody works for who has hung up
    assert _spent_by_copies_s() - before_s < given * (worker.TURN_S + 0.05)


def _spent_by_copies_s() -> float:
    """CPU time of all processes made from the source, that have ended."""
    times = source().cpu_times() if _sources() else None
    return times.children_user + times.children_system if times else 0.0


async def test_many_recordings_wait_in_line_for_few_processes_and_clips_pass_by(
    long: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 4)
    monkeypatch.setattr(processes, "MAX_LONG", 3)
    monkeypatch.setattr(processes, "CLIP_BYTES", len(long) - 1)
    decoders = Decoders()
    await decoders.inspect(io.BytesIO(CLIP), **LIMITS)
    hours = [asyncio.create_task(decoders.inspect(io.BytesIO(long), **LIMITS)) for _ in range(8)]
    await until(lambda: len(decoding()) == 4)  # and the one that waits ahead
    for _ in range(6):
        assert (await decoders.inspect(io.BytesIO(CLIP), **LIMITS)).duration == 1.5
        assert len(decoding()) <= 5
    assert not any(task.done() for task in hours)
    for task in hours:
        task.cancel()
    await asyncio.wait(hours)
    again = [decoders.inspect(io.BytesIO(CLIP), **LIMITS) for _ in range(12)]
    assert len(await asyncio.gather(*again)) == 12  # all places were given back
    decoders.close()


async def test_all_processes_end_when_the_service_is_killed() -> None:
    program = """
import asyncio, io, sys
from medasr_service.audio.processes import Decoders
from tests.audio.test_processes import LIMITS, encode, np

async def main():
    decoders = Decoders()
    long = io.BytesIO(encode(np.zeros(3_600 * 8_000, np.int16), 8_000, "FLAC"))
    blocks = decoders.stream(long, gain=1.0, **LIMITS)
    await anext(blocks)
    print("decodes", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    service = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert service.stdout
    with service.stdout:
        await asyncio.to_thread(service.stdout.readline)
    started = psutil.Process(service.pid).children(recursive=True)
    assert len(started) == 3  # the source, the one that decodes, the one that waits
    service.kill()
    service.wait()
    await until(lambda: not any(each.is_running() for each in started))


DENIED: dict[str, str] = {
    "a file": "open('/etc/hosts')",
    "a connection": "socket.socket()",
    "a process": "os.fork()",
    "a program": "os.execv('/bin/true', ['true'])",
    "a signal": "os.kill(os.getppid(), 0)",
    "the limits of others": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
    "memory": "bytearray(700 << 20)",
}


@pytest.mark.parametrize("what", DENIED)
def test_a_confined_process_is_denied(what: str) -> None:
    program = f"""
import os, resource, socket
from medasr_service.audio import sandbox
sandbox.confine(10)
try:
    {DENIED[what]}
except (OSError, MemoryError):
    os._exit(7)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 7


def test_a_confined_process_ends_where_it_computes_too_long() -> None:
    program = "from medasr_service.audio import sandbox\nsandbox.confine(1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert -done.returncode in (signal.SIGXCPU, signal.SIGKILL)


async def test_a_decoder_knows_no_key_and_holds_nothing_of_others(
    monkeypatch: pytest.MonkeyPatch, long: bytes
) -> None:
    monkeypatch.setenv("MEDASR_API_KEYS", "a-key-of-sixteen-letters")
    decoders = Decoders()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        async with aclosing(decoders.stream(io.BytesIO(long), gain=1.0, **LIMITS)) as blocks:
            await anext(blocks)
            process = await working()
            assert "MEDASR_API_KEYS" not in process.environ()
            assert _held(process, "socket:") == 2  # its channel, and what shows that somebody waits
            assert process.num_fds() == 6  # and the recording, and three times nothing
    decoders.close()


async def test_a_recording_beside_pictures_and_text_is_read(decoders: Decoders, tmp_path: Path) -> None:
    """PyAV loads what it needs for a track when it meets the first of its kind; decoders can load nothing."""
    text = tmp_path / "text.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nA line\n")
    more = [
        "-f",
        "lavfi",
        "-i",
        "color=s=16x16:d=1.5",
        "-i",
        str(text),
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
    ]
    data = ffmpeg(encode(sound()), "mp4", *more, "-c:v", "mpeg4", "-c:a", "aac", "-c:s", "mov_text")
    info = await decoders.inspect(io.BytesIO(data), **LIMITS)
    assert info.duration == pytest.approx(1.5, abs=0.1)
