"""What decoding a recording in a process of its own costs, beside doing so in a thread of the service.

    python -m benchmarks.decoders                                   # the demo's engine
    MEDASR_MODEL=build/random-checkpoint python -m benchmarks.decoders    # at full size

CPU time of this process, of the decoders' source and of all their processes, also of their ends; both ways
take turns, and figures are medians. The share is of the CPU time that the engine takes for the same sound.
"""

import argparse
import asyncio
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import soundfile

from benchmarks.speech import dictation
from medasr_service import engines
from medasr_service.audio.processes import Decoders
from medasr_service.audio.reader import InThreads, Reader
from medasr_service.model.checkpoint import resolve
from medasr_service.settings import Settings

RATE = 16_000
WINDOW_S = 20
ENDS_S = 0.1  # until the last process is gone
FILES = (("WAV", "PCM_16", 5), ("WAV", "PCM_16", 51), ("FLAC", "PCM_16", 5), ("MP3", "MPEG_LAYER_III", 5),
         ("MP3", "MPEG_LAYER_III", 51))  # fmt: skip


def file_of(samples: np.ndarray, kind: str, coding: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=coding)
    return file.getvalue()


def cpu_s() -> float:
    me = psutil.Process()
    spent = sum(me.cpu_times()[:2])
    return spent + sum(sum(child.cpu_times()[:4]) for child in me.children())


async def read(reader: Reader, data: bytes, times: int) -> tuple[float, float]:
    """CPU and wall seconds for one."""
    await asyncio.sleep(ENDS_S)
    cpu, began = cpu_s(), time.perf_counter()
    for _ in range(times):
        file = io.BytesIO(data)
        info = await reader.inspect(file, max_duration_s=10_800, max_channels=8)
        options: dict[str, Any] = {"max_duration_s": 10_800, "max_channels": 8}
        async for _ in reader.stream(file, gain=info.gain(max_gain=30.0), **options):
            pass
    wall = time.perf_counter() - began
    await asyncio.sleep(ENDS_S)
    return (cpu_s() - cpu) / times, wall / times


def engine_s(infer: Callable[[list[np.ndarray]], object], samples: np.ndarray) -> float:
    """CPU seconds, window by window."""
    windows = [samples[at : at + WINDOW_S * RATE] for at in range(0, len(samples), WINDOW_S * RATE)]
    spent = []
    for _ in range(3):
        began = time.process_time()
        for window in windows:
            infer([window])
        spent.append(time.process_time() - began)
    return min(spent)


async def main(rounds: int, times: int) -> None:
    decoders, threads = Decoders(), InThreads()
    settings = Settings()
    engine = engines.load(resolve(settings), settings)
    print("| file | threads: CPU, wall | processes: CPU, wall | more CPU | of the engine's |")
    print("|---|---|---|---|---|")
    for kind, coding, seconds in FILES:
        samples = dictation(seconds, 0, np.random.default_rng(1)).astype(np.float32)
        data = file_of(samples, kind, coding)
        ways: dict[str, list[tuple[float, float]]] = {"threads": [], "processes": []}
        await read(decoders, data, 3)
        for _ in range(rounds):
            ways["threads"].append(await read(threads, data, times))
            ways["processes"].append(await read(decoders, data, times))
        (cpu, wall), (its_cpu, its_wall) = (
            [statistics.median(column) * 1e3 for column in zip(*way, strict=True)] for way in ways.values()
        )
        model = engine_s(engine.infer, samples) * 1e3
        print(
            f"| {kind} {seconds} s | {cpu:.1f}, {wall:.1f} ms | {its_cpu:.1f}, {its_wall:.1f} ms | "
            f"{its_cpu - cpu:.1f} ms | {(its_cpu - cpu) / model:.1%} of {model:.0f} ms |",
            flush=True,
        )
    decoders.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=20)
    given = parser.parse_args()
    asyncio.run(main(given.rounds, given.times))
