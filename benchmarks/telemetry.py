"""What it costs to be seen: CPU time of a request with counters, line, keys, audit and spans, and without.

    python -m benchmarks.telemetry                # some minutes; the full size is exported first
    python -m benchmarks.telemetry --sizes demo --rounds 20

What is recorded costs the same whatever the model is. So it is measured where the model costs nothing: it
answers from memory, and all else is done. Then it is set against what a request costs with the model, of each
size. At the full size the two are also compared as they are, by turns: nothing was forgotten; the noise of
that is larger than the cost.

One process; the counters lie in mapped files, as in the service, the log is JSON into nothing. All kinds take
turns, so that a machine that slows down slows all. The noise is what nothing is measured to cost.
"""

import argparse
import asyncio
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()  # before anything imports prometheus_client

import httpx
import numpy as np
from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from starlette.types import ASGIApp

from benchmarks import random_checkpoint
from benchmarks.speech import dictation, flac
from loadtests.server import free_port
from medasr_service import engines
from medasr_service.accounts import keys_file
from medasr_service.accounts.keys import digest
from medasr_service.api.app import create_app
from medasr_service.api.keys import KeyCheck
from medasr_service.api.observed import Observed
from medasr_service.api.request_ids import RequestIds
from medasr_service.api.served import Served
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.serving import batches
from medasr_service.serving.accounting import Accounting
from medasr_service.serving.admission import Admission
from medasr_service.settings import DEMO_MODEL, Settings
from medasr_service.telemetry import logs, traces
from medasr_service.transcriber import Transcriber

ROOT = Path(__file__).parent.parent
ROUTE = "/v1/audio/transcriptions"
FULL = ROOT / "build" / "random-checkpoint"
SIZES = {"demo": DEMO_MODEL, "full": str(FULL)}
NOTHING, AGAIN = "nothing", "nothing, again"
LINE, KEYS, SPANS = "counters, account, line", "and keys, limits, usage, audit", "and spans"
RECORDED = (LINE, KEYS, SPANS)
SETTLED_S = 0.01  # in which the audit writes what it does behind an answer
KEY = "0123456789abcdef"
RECEIVER = """
import sys, http.server as s
class H(s.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"])); self.send_response(200); self.end_headers()
    def log_message(self, *_): ...
s.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""


class Engine:
    """A worker of the admission, in this process; ``remembers`` what it has heard once."""

    is_there = True

    def __init__(self, settings: Settings) -> None:
        found = checkpoint.resolve(settings)
        self._rate = found.geometry.sample_rate
        self._engine = engines.load(found, settings)
        self._known: dict[tuple[int, ...], list[Emission]] = {}
        self.remembers = False

    async def attempt(self, waveforms: list[Waveform]) -> list[Emission] | None:
        lengths = tuple(map(len, waveforms))
        with batches.counted(lengths, self._rate):
            if not self.remembers or lengths not in self._known:
                self._known[lengths] = self._engine.infer(waveforms)
            return self._known[lengths]


def application(settings: Settings, engine: Engine) -> FastAPI:
    found = checkpoint.resolve(settings)
    admission = Admission([engine], engines.MAX_GROUP_SAMPLES, found.geometry.sample_rate)
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


class Bench:
    """A model of one size, behind all that there is to record, and behind nothing."""

    def __init__(self, model: str, folder: Path) -> None:
        keys_file.add(
            folder / "keys.toml",
            keys_file.section(
                "ward", digest(KEY).hex(), requests_per_minute=1_000_000, audio_seconds_per_hour=100_000_000
            ),
        )
        files = {"api_keys_file": "keys.toml", "audit": "audit.jsonl", "usage_file": "usage.jsonl"}
        self._settings = Settings(threads=1, model=model, audit_required=True).model_copy(
            update={name: folder / file for name, file in files.items()}
        )
        self.engine = Engine(self._settings)
        self._plain = application(self._settings, self.engine)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        accounting = Accounting.of(self._settings)
        assert accounting.audit
        kept = [asyncio.create_task(each) for each in accounting.kept()]
        checked = KeyCheck(self._plain, settings=self._settings, **vars(accounting))
        seen: ASGIApp = RequestIds(Observed(checked, told=[accounting.audit.end]))
        async with self._client(self._plain) as self._alone, self._client(seen) as self._seen:
            yield
        for each in kept:
            each.cancel()
        accounting.close()

    def _client(self, app: ASGIApp) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://service",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=600,
        )

    async def cpu_s(self, recorded: str, recording: bytes) -> float:
        client = self._seen if recorded in (KEYS, SPANS) else self._alone
        spans = nullcontext() if recorded == SPANS else patch.object(traces, "_tracer", None)
        with nothing_recorded() if recorded in (NOTHING, AGAIN) else nullcontext(), spans:
            started = time.process_time()
            answer = await client.post(ROUTE, files={"file": recording})
            answer.raise_for_status()
            await asyncio.sleep(SETTLED_S)
            return time.process_time() - started

    async def rounds(self, kinds: Sequence[str], recording: bytes, number: int) -> dict[str, list[float]]:
        for kind in kinds:
            await self.cpu_s(kind, recording)
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for i in range(number):
            for kind in (*kinds[i % len(kinds) :], *kinds[: i % len(kinds)]):
                found[kind].append(await self.cpu_s(kind, recording))
        if SPANS in kinds:  # they are sent by the hundred
            started = time.process_time()
            traces._provider.force_flush()
            sent_s = (time.process_time() - started) / number
            found[SPANS] = [each + sent_s for each in found[SPANS]]
        return found


def difference(found: dict[str, list[float]], kind: str) -> tuple[float, float]:
    """Median of the pairs, and half of the interval in which it is, 19 of 20 times (a bootstrap's)."""
    pairs = np.subtract(found[kind], found[NOTHING])
    medians = np.median(np.random.default_rng(0).choice(pairs, (2000, len(pairs))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(pairs)), float(high - low) / 2


def recordings(size: str) -> dict[str, bytes]:
    if size == "full":
        speech = dictation(20, 0, np.random.default_rng(2))
        return {"5 s": flac(speech[: 5 * 16_000]), "20 s": flac(speech)}
    clip = min((DEMO_FOLDER / "clips").glob("*.flac"), key=lambda clip: clip.stat().st_size)
    return {"4 s": clip.read_bytes(), "51 s": (DEMO_FOLDER / "sample.wav").read_bytes()}


async def measure(size: str, rounds: int) -> None:
    """A line of the table for each recording."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(SIZES[size], Path(folder))
        async with bench.open():
            for length, recording in recordings(size).items():
                bench.engine.remembers = False
                few = max(3, rounds // 10)
                whole = await bench.rounds((NOTHING, SPANS) if size == "full" else (NOTHING,), recording, few)
                request_s = statistics.median(whole[NOTHING])
                bench.engine.remembers = True
                found = await bench.rounds((NOTHING, AGAIN, *RECORDED), recording, rounds)
                cells = [f"{size}, {length}", f"{1000 * request_s:,.1f} ms"]
                for kind in (AGAIN, *RECORDED):
                    cost_s, noise_s = difference(found, kind)
                    share = f"**{cost_s / request_s:.2%}**".replace("%", " %")
                    cells.append(f"{1000 * cost_s:.2f} ± {1000 * noise_s:.2f} ms, {share}")
                if size == "full":
                    cost_s, noise_s = difference(whole, SPANS)
                    cells.append(f"{cost_s / request_s:+.2%} ± {noise_s / request_s:.2%}".replace("%", " %"))
                print(f"| {' | '.join(cells)} |", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    arguments = parser.parse_args()
    if "full" in arguments.sizes:
        random_checkpoint.make(FULL)
    logging.getLogger("bentoml").addHandler(logging.StreamHandler(Path(os.devnull).open("w")))  # noqa: SIM115
    logging.getLogger("bentoml").setLevel(logging.INFO)
    logs.shape(["bentoml"], "json")
    port = free_port()
    receiver = subprocess.Popen([sys.executable, "-c", RECEIVER, str(port)])
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "100000000"
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = os.environ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "100000"
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
    traces.start("benchmark")
    try:
        titles = ["recording", "CPU time of a request", "noise", *RECORDED, "all, with the model"]
        print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}", flush=True)
        for size in arguments.sizes:
            await measure(size, arguments.rounds)
    finally:
        traces.stop()
        receiver.terminate()


if __name__ == "__main__":
    asyncio.run(main())
