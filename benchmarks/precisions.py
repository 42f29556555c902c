"""The ladder of precisions: how far each is from fp32 on the demo model, how fast it is at the full size.

    python -m benchmarks.precisions

Agreement: the bundled clips at three speeds, quiet and with white noise at 20 and 10 dB. Noise makes the
model unsure, and easy to tip. Speed: one window of 20 s, and eight of 3 s in one batch, seconds of audio per
second. What is not ours is made by ONNX Runtime's own tools from the same fp32 graph.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
import soxr
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, matmul_nbits_quantizer, quantize_dynamic
from rapidfuzz.distance import Levenshtein

from benchmarks import random_checkpoint
from benchmarks.speech import clips
from benchmarks.speed import CHECKPOINT
from medasr_service import engines
from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines.cpu import quota
from medasr_service.engines.frontend import LogMel
from medasr_service.model import checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings

Features: TypeAlias = NDArray[np.float32]
Run: TypeAlias = Callable[[Features], Emission]
"""Features [batch, frames, bins] to log-posteriors."""
SPEEDS, SNRS_DB = (0.9, 1.0, 1.12), (None, 20, 10)
REFERENCE = "fp32"


def widened(exact: Path, file: Path) -> Path:
    """The graph with weights that it keeps in half precision as fp32, where a quantiser looks for them."""
    model = onnx.load(exact)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in weights]:
        tensor = weights[node.input[0]]
        values = numpy_helper.to_array(tensor).astype(np.float32)
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
    onnx.save(model, file, save_as_external_data=True, location=f"{file.name}.data")
    return file


def weights_only(block: int, level: int) -> Callable[[Path, Path], None]:
    def make(exact: Path, file: Path) -> None:
        quantizer = matmul_nbits_quantizer.MatMulNBitsQuantizer(
            onnx.load(exact),
            bits=8,
            block_size=block,
            is_symmetric=True,
            accuracy_level=level,
            algo_config=matmul_nbits_quantizer.DefaultWeightOnlyQuantConfig(
                block_size=block, is_symmetric=True, accuracy_level=level, bits=8
            ),
        )
        quantizer.process()
        quantizer.model.save_model_to_file(str(file), True)

    return make


def dynamic(kind: Any, *, per_channel: bool) -> Callable[[Path, Path], None]:
    return lambda exact, file: quantize_dynamic(
        exact,
        file,
        weight_type=kind,
        per_channel=per_channel,
        op_types_to_quantize=["MatMul"],
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # behind operators of ONNX Runtime's own
    )


OTHERS = {
    "8-bit weights, fp32 sums (MatMulNBits, block 128)": weights_only(128, 0),
    "8-bit weights, activations by block of 32 (MatMulNBits)": weights_only(32, 4),
    "8-bit weights, activations by block of 128 (MatMulNBits)": weights_only(128, 4),
    "ONNX Runtime dynamic, by tensor, weights by channel (QInt8)": dynamic(QuantType.QInt8, per_channel=True),
    "ONNX Runtime dynamic, by tensor (QUInt8)": dynamic(QuantType.QUInt8, per_channel=False),
}


def onnx_run(file: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = quota(), 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(features: Features) -> Emission:
        lengths = np.full(len(features), features.shape[1])
        return np.asarray(session.run(None, {"features": features, "lengths": lengths})[0])

    return run


def torch_run(folder: Path) -> Run:
    import torch
    from transformers import AutoModelForCTC

    model = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32).eval()

    def run(features: Features) -> Emission:
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = model(input_features=torch.from_numpy(features), attention_mask=mask).logits
        return np.asarray(logits.float().log_softmax(dim=-1))

    return run


def candidates(model: str, scratch: Path) -> Iterator[tuple[str, Run]]:
    """Each precision of a checkpoint, one after the other: the full size does not fit many times over."""

    def artefact(precision: str) -> Path:
        config = Settings.model_validate({"model": model, "precision": precision})
        return engines.prepare(checkpoint.resolve(config), config)

    exact = artefact("fp32")
    yield REFERENCE, onnx_run(exact)
    yield "**int8** (ours: by frame, weights by channel)", onnx_run(artefact("int8"))
    yield "bf16, torch", torch_run(checkpoint.resolve(Settings(model=model)).folder)
    wide = widened(exact, scratch / "wide.onnx")
    for number, (name, make) in enumerate(OTHERS.items()):
        file = scratch / f"{number}.onnx"
        make(wide, file)
        yield name, onnx_run(file)


def pieces(rng: np.random.Generator) -> Iterator[Waveform]:
    for waveform, _ in clips():
        for speed in SPEEDS:
            paced = soxr.resample(waveform, 16_000 * speed, 16_000)
            for snr in SNRS_DB:
                level = 0 if snr is None else np.sqrt((paced**2).mean() / 10 ** (snr / 10))
                yield (paced + level * rng.standard_normal(len(paced))).astype(np.float32)


def rate(run: Run, batch: int, seconds: int) -> float:
    """Seconds of audio per second: the median of seven."""
    features = np.random.default_rng(0).standard_normal((batch, seconds * 100, 128)).astype(np.float32)
    times = []
    for _ in range(8):
        began = time.perf_counter()
        run(features)
        times.append(time.perf_counter() - began)
    return batch * seconds / statistics.median(times[1:])


def agreement(exact: Sequence[Emission], got: Sequence[Emission], vocabulary: Vocabulary) -> str:
    ids = [[[t.id for t in ctc.greedy(each, vocabulary)] for each in side] for side in (exact, got)]
    total = sum(map(len, ids[0]))
    edits = [Levenshtein.distance(a, b) for a, b in zip(*ids, strict=True)]
    frames = np.concatenate(
        [a.argmax(axis=1) == b.argmax(axis=1) for a, b in zip(exact, got, strict=True)]
    ).mean()
    moved = np.mean(
        [np.abs(np.exp(a) - np.exp(b)).sum(axis=1).mean() for a, b in zip(exact, got, strict=True)]
    )
    return f"{100 * frames:.2f} % | {sum(edits)} of {total} | {100 * moved:.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agreement-only", action="store_true", help="no speed, no full size")
    only = parser.parse_args().agreement_only
    found = checkpoint.resolve(Settings())
    mel, vocabulary = LogMel(found.feature_extractor), Vocabulary.load(found.folder)
    features = [mel(waveform)[None] for waveform in pieces(np.random.default_rng(0))]
    rows: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        exact: list[Emission] = []
        for name, run in candidates("demo", Path(folder)):
            got = [run(each)[0] for each in features]
            exact = exact or got
            if name != REFERENCE and all(map(np.array_equal, got, exact)):
                raise SystemExit(f"{name} rounded nothing")
            rows[name] = agreement(exact, got, vocabulary)
    columns = "| precision | frames that agree | pieces that differ | probability moved |"
    if only:
        print(columns, "|---|---|---|---|", *(f"| {name} | {row} |" for name, row in rows.items()), sep="\n")
        return
    print(f"{columns} 20 s | 8 x 3 s |\n|---|---|---|---|---|---|")
    random_checkpoint.make(CHECKPOINT)
    with tempfile.TemporaryDirectory() as folder:
        for name, run in candidates(str(CHECKPOINT), Path(folder)):
            print(f"| {name} | {rows[name]} | {rate(run, 1, 20):.0f} | {rate(run, 8, 3):.0f} |", flush=True)


if __name__ == "__main__":
    main()
