"""Where the time of one request goes: 20 s of speech, the full size, alone on the machine.

    python -m benchmarks.request_profile

The forward pass and the features are timed in this process, the operators by ONNX Runtime's own profiler, the
whole request over HTTP; what lies between is the hop between the two processes and HTTP itself.
"""

import argparse
import asyncio
import io
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks import random_checkpoint
from benchmarks.speech import dictation, flac
from benchmarks.speed import CHECKPOINT, REPORT, running
from medasr_service import engines
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines.cpu import quota
from medasr_service.engines.frontend import LogMel
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Options, Transcriber

SECONDS, ROUNDS = 20, 9
PRODUCTS = {"MatMul", "FusedMatMul", "Gemm", "MatMulIntegerToFloat", "Conv", "FusedConv"}


def median_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def products_share(found: Checkpoint, model: Path, waveform: Waveform) -> float:
    """Of the time of all operators, that of matrix products and convolutions."""
    features = LogMel(found.feature_extractor)(waveform)[None]
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = quota()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for _ in range(3):
            session.run(None, {"features": features, "lengths": np.array([features.shape[1]])})
        events = json.loads(Path(session.end_profiling()).read_text())
    last = max(event["ts"] for event in events if event["name"] == "model_run")
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["ts"] >= last and event["name"].endswith("kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    return sum(spent[name] for name in PRODUCTS) / spent.total()


def profile(precision: str) -> list[str]:
    config = Settings.model_validate({"model": str(CHECKPOINT), "precision": precision})
    found = checkpoint.resolve(config)
    model = engines.prepare(found, config)
    engine = engines.load(found, config)
    waveform = dictation(SECONDS, 0, np.random.default_rng(1))[: SECONDS * 16_000]
    audio, mel = flac(waveform), LogMel(found.feature_extractor)
    features_s = median_s(lambda: mel(waveform))
    infer_s = median_s(lambda: engine.infer([waveform]))
    share = products_share(found, model, waveform)

    [emission] = engine.infer([waveform])

    async def known(_: list[Waveform]) -> list[Emission]:
        return [emission]

    transcriber = Transcriber(known, Vocabulary.load(found.folder), found.geometry, config)
    options = Options.defaults(config)
    around_s = median_s(lambda: asyncio.run(transcriber.transcribe(io.BytesIO(audio), options)))
    with running(precision) as service:
        request_s = median_s(lambda: service.send(audio))
    rows = {
        "matrix products and convolutions": share * (infer_s - features_s),
        "the other operators": (1 - share) * (infer_s - features_s),
        "features": features_s,
        "reading the audio, decoding, formatting": around_s,
        "HTTP, and the hop between the processes": request_s - infer_s - around_s,
    }
    lines = [f"| {name} | {1000 * s:.0f} ms | {100 * s / request_s:.1f} % |" for name, s in rows.items()]
    return [f"| **{precision}**: one request | {1000 * request_s:.0f} ms | 100 % |", *lines]


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    REPORT.mkdir(parents=True, exist_ok=True)
    random_checkpoint.make(CHECKPOINT)
    lines = [
        "| of one request with 20 s | time | share |",
        "|---|---|---|",
        *profile("fp32"),
        *profile("int8"),
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
