"""What the counters, the account and the line of a request cost: CPU time with and without them, by turns.

    python -m benchmarks.telemetry

One process, the demo model, its shortest clip and its sample; the counters lie in mapped files, as in the
service, and the log is JSON into nothing. "without": no metric is written, no request has an account.
"""

import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()  # before anything imports prometheus_client

import httpx
from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from medasr_service import engines
from medasr_service.api.app import create_app
from medasr_service.api.observed import Observed
from medasr_service.api.served import Served
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.serving.admission import Admission
from medasr_service.settings import Settings
from medasr_service.telemetry import logs
from medasr_service.transcriber import Transcriber

ROUTE = "/v1/audio/transcriptions"
WARM_UP, ROUNDS = 10, 60


class Engine:
    """A worker of the admission, in this process."""

    is_there = True

    def __init__(self, settings: Settings) -> None:
        self._engine = engines.load(checkpoint.resolve(settings), settings)

    async def attempt(self, waveforms: list[Waveform]) -> list[Emission] | None:
        return self._engine.infer(waveforms)


def application(settings: Settings) -> FastAPI:
    found = checkpoint.resolve(settings)
    admission = Admission([Engine(settings)], engines.MAX_GROUP_SAMPLES, found.geometry.sample_rate)
    app = create_app(settings)
    app.state.served = Served(found, Transcriber.of(found, admission.infer, settings), 64)
    app.state.served.engine = "benchmark"
    return app


@contextmanager
def nothing_recorded() -> Iterator[None]:
    def nothing(*_: object, **__: object) -> None: ...

    async def passed_by(self: Observed, *message: object) -> None:
        await self._app(*message)  # type: ignore[arg-type]

    with ExitStack() as stack:
        for kind, names in ((Counter, ("inc",)), (Gauge, ("inc", "dec", "set")), (Histogram, ("observe",))):
            for name in names:
                stack.enter_context(patch.object(kind, name, nothing))
        stack.enter_context(patch.object(MetricWrapperBase, "labels", lambda self, *_: self))
        stack.enter_context(patch.object(Observed, "__call__", passed_by))
        yield


async def cpu_s(client: httpx.AsyncClient, recording: bytes) -> float:
    started = time.process_time()
    answer = await client.post(ROUTE, files={"file": recording})
    answer.raise_for_status()
    return time.process_time() - started


async def main() -> None:
    logging.getLogger("bentoml").addHandler(logging.StreamHandler(Path(os.devnull).open("w")))  # noqa: SIM115
    logging.getLogger("bentoml").setLevel(logging.INFO)
    logs.shape(["bentoml"], "json")
    transport = httpx.ASGITransport(application(Settings(threads=1)))
    clips = sorted((DEMO_FOLDER / "clips").glob("*.flac"), key=lambda clip: clip.stat().st_size)
    async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as client:
        for recording in (clips[0], DEMO_FOLDER / "sample.wav"):
            sound = recording.read_bytes()
            for _ in range(WARM_UP):
                await cpu_s(client, sound)
            recorded, silent = [], []
            for _ in range(ROUNDS):
                recorded.append(await cpu_s(client, sound))
                with nothing_recorded():
                    silent.append(await cpu_s(client, sound))
            differences = [with_it - without for with_it, without in zip(recorded, silent, strict=True)]
            cost, whole = statistics.median(differences), statistics.median(silent)
            print(
                f"{recording.name}: {1000 * whole:.1f} ms of CPU time a request without, "
                f"{1000 * cost:+.2f} ms with ({cost / whole:+.2%}); median of {ROUNDS} pairs"
            )


if __name__ == "__main__":
    asyncio.run(main())
