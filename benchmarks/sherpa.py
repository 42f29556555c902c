"""The engine alone against sherpa-onnx's MedASR: 60 s of speech, the same weights, two threads, one run.

    pip install sherpa-onnx
    python -m benchmarks.sherpa

sherpa-onnx reads a recording in one forward and computes its own features; its 8-bit model rounds activations
by one range for a whole tensor. Here: windows as served, features, stitching and decoding included.
"""

import argparse
import asyncio
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModelForCTC

from benchmarks import random_checkpoint
from benchmarks.speech import dictation, flac
from benchmarks.speed import CHECKPOINT
from medasr_service import engines
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model import checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Options, Transcriber

FOLDER = CHECKPOINT.with_name("sherpa")
SECONDS, THREADS, RATE = 60, 2, 16_000


class _Logits(torch.nn.Module):
    """What sherpa-onnx expects of a MedASR model: features and mask to logits and their number."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = self.model._get_subsampling_output_length(mask.sum(-1)).to(torch.int64)
        return self.model(x, mask.bool()).logits, lengths


def export() -> tuple[Path, Path, Path]:
    """model.onnx, model.int8.onnx and tokens.txt of the random checkpoint, made once."""
    exact, rounded, tokens = (FOLDER / name for name in ("model.onnx", "model.int8.onnx", "tokens.txt"))
    if tokens.exists():
        return exact, rounded, tokens
    FOLDER.mkdir(parents=True, exist_ok=True)
    model = AutoModelForCTC.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()
    axes = {0: torch.export.Dim("N", min=1), 1: torch.export.Dim("T", min=16)}
    with torch.inference_mode():
        program = torch.onnx.export(
            _Logits(model),
            (torch.zeros(2, 400, 128), torch.ones(2, 400, dtype=torch.int64)),
            dynamo=True,
            dynamic_shapes=(axes, axes),
            input_names=["x", "mask"],
            output_names=["logits", "logits_len"],
            opset_version=20,
            verbose=False,
        )
    assert program is not None
    program.save(str(exact))
    graph = onnx.load(exact)
    size = model.config.vocab_size
    for key, value in {"model_type": "medasr_ctc", "version": "1", "vocab_size": size}.items():
        graph.metadata_props.add(key=key, value=str(value))
    onnx.save(graph, exact)
    quantize_dynamic(exact, rounded, op_types_to_quantize=["MatMul"], weight_type=QuantType.QUInt8)
    vocabulary = json.loads((CHECKPOINT / "tokenizer.json").read_text())["model"]["vocab"]
    pieces = ["<blk>", *(piece for piece, _ in vocabulary[1:size])]
    pieces += [f"<{i}>" for i in range(len(pieces), size)]
    tokens.write_text("".join(f"{piece} {i}\n" for i, piece in enumerate(pieces)))
    return exact, rounded, tokens


def theirs(model: Path, tokens: Path, waveform: Waveform) -> Callable[[], object]:
    import sherpa_onnx

    recognizer = sherpa_onnx.OfflineRecognizer.from_medasr_ctc(
        model=str(model), tokens=str(tokens), num_threads=THREADS
    )

    def run() -> None:
        stream = recognizer.create_stream()
        stream.accept_waveform(RATE, waveform)
        recognizer.decode_stream(stream)

    return run


def ours(precision: str, waveform: Waveform) -> Callable[[], object]:
    config = Settings.model_validate({"model": str(CHECKPOINT), "precision": precision, "threads": THREADS})
    found = checkpoint.resolve(config)
    engine = engines.load(found, config)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        return await asyncio.to_thread(engine.infer, waveforms)

    transcriber = Transcriber(infer, Vocabulary.load(found.folder), found.geometry, config)
    audio, options = flac(waveform), Options.defaults(config)
    return lambda: asyncio.run(transcriber.transcribe(io.BytesIO(audio), options))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    random_checkpoint.make(CHECKPOINT)
    exact, rounded, tokens = export()
    waveform = dictation(SECONDS, 0, np.random.default_rng(1))
    runs = {
        "sherpa-onnx fp32": theirs(exact, tokens, waveform),
        "fp32": ours("fp32", waveform),
        "sherpa-onnx int8": theirs(rounded, tokens, waveform),
        "int8": ours("int8", waveform),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if turn:  # the first is warm-up
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    print("| 60 s, engine alone | seconds (range) | RTFx | against sherpa-onnx |\n|---|---|---|---|")
    for name, each in seconds.items():
        other = medians.get(f"sherpa-onnx {name}")
        ratio = f"{other / medians[name]:.2f} x" if other else ""
        spread = f"{medians[name]:.2f} ({min(each):.2f}-{max(each):.2f})"
        print(f"| {name} | {spread} | {SECONDS / medians[name]:.1f} | {ratio} |")


if __name__ == "__main__":
    main()
