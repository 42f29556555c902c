"""The engine alone against others that run MedASR: 60 s of speech, the same weights, two threads, in turns.

    pip install sherpa-onnx transcribe-cpp gguf
    TRANSCRIBE_CPP=CLONE python -m benchmarks.rivals

CLONE is one of transcribe.cpp, whose converter is nowhere else, and whose transcribe-quantize is to be built.
Who is not installed is left out. sherpa-onnx and transcribe.cpp read a recording in one forward and compute
features of their own; the 8-bit model of the one rounds activations by one range for a whole tensor, that of
the other by blocks of 32. Here: windows as served, features, stitching and decoding included.

That all hear is seen by 20 s that each reads with two models: the demo model, whose words can be read, and
the one that is timed. Its weights are random, so that features that differ a little make another text.
"""

import argparse
import asyncio
import importlib
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from rapidfuzz.distance import Levenshtein
from transformers import AutoModelForCTC

from benchmarks import random_checkpoint
from benchmarks.speech import dictation, flac
from benchmarks.speed import CHECKPOINT, refuse_unlike
from medasr_service import engines
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.digests import sha256
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Options, Transcriber

FOLDER = CHECKPOINT.with_name("rivals")
SECONDS, CHECKED_S, THREADS, RATE = 60, 20, 2, 16_000  # CHECKED_S: one window, for those who have windows
CONVERTER, QUANTIZER = "scripts/convert-medasr.py", "build/bin/transcribe-quantize"  # in the clone
GGUF = "medasr-F32.gguf"  # as the converter calls it


@dataclass(frozen=True, slots=True)
class Recording:
    """Ours reads the file, the others take the samples."""

    samples: Waveform
    file: bytes

    @classmethod
    def of(cls, seconds: float) -> "Recording":
        samples = dictation(seconds, 0, np.random.default_rng(1))
        return cls(samples, flac(samples))


Hear: TypeAlias = Callable[[Recording], str]


@dataclass(frozen=True, slots=True)
class Product:
    """``kind`` is the precision of ours that it is compared with; ``load`` makes a checkpoint's folder hear.
    ``modules``, and ``file`` in the clone of transcribe.cpp, are what it needs, ``how`` is how to get them.
    """

    name: str
    kind: str
    load: Callable[[Path], Hear]
    modules: tuple[str, ...] = ()
    file: str = ""
    how: str = ""

    @property
    def installed(self) -> bool:
        there = all(importlib.util.find_spec(module) for module in self.modules)
        return there and (not self.file or (clone() / self.file).is_file())


@dataclass(frozen=True, slots=True)
class Result:
    """The shares of letters that are as in our fp32, of the demo model and of the timed one."""

    product: Product
    seconds: list[float]
    alike_demo: float
    alike_timed: float


def clone() -> Path:
    return Path(os.environ.get("TRANSCRIBE_CPP") or "transcribe.cpp")


def ours(precision: str, folder: Path) -> Hear:
    config = Settings.model_validate({"model": str(folder), "precision": precision, "threads": THREADS})
    found = checkpoint.resolve(config)
    engine = engines.load(found, config)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        return await asyncio.to_thread(engine.infer, waveforms)

    transcriber = Transcriber(infer, Vocabulary.load(found.folder), found.geometry, config)
    options = Options.defaults(config)
    return lambda audio: asyncio.run(transcriber.transcribe(io.BytesIO(audio.file), options)).raw_text


def sherpa(model: str, folder: Path) -> Hear:
    import sherpa_onnx

    made = once(folder, "sherpa-onnx", export)
    recognizer = sherpa_onnx.OfflineRecognizer.from_medasr_ctc(
        model=str(made / model), tokens=str(made / "tokens.txt"), num_threads=THREADS
    )

    def hear(audio: Recording) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(RATE, audio.samples)
        recognizer.decode_stream(stream)
        return str(stream.result.text)

    return hear


def transcribe(preset: str, folder: Path) -> Hear:
    import transcribe_cpp

    made = once(folder, "transcribe.cpp-F32", convert)
    if preset != "F32":
        made = once(folder, f"transcribe.cpp-{preset}", partial(quantize, made / GGUF, preset))
    model = transcribe_cpp.Model(made / GGUF, backend="cpu")
    session = model.session(n_threads=THREADS)
    return lambda audio: str(session.run(audio.samples.data).text)


OURS = tuple(Product(precision, precision, partial(ours, precision)) for precision in ("fp32", "int8"))
_SHERPA = (("sherpa_onnx",), "", "pip install sherpa-onnx")
_PACKAGES = "pip install transcribe-cpp gguf; TRANSCRIBE_CPP names a clone of transcribe.cpp"
_BUILD = "cmake -B build -DTRANSCRIBE_BUILD_TOOLS=ON; cmake --build build --target transcribe-quantize"
RIVALS = (
    Product("sherpa-onnx fp32", "fp32", partial(sherpa, "model.onnx"), *_SHERPA),
    Product("sherpa-onnx int8", "int8", partial(sherpa, "model.int8.onnx"), *_SHERPA),
    Product(
        "transcribe.cpp F32",
        "fp32",
        partial(transcribe, "F32"),
        ("transcribe_cpp", "gguf"),
        CONVERTER,
        f"{_PACKAGES}, for its {CONVERTER}",
    ),
    Product(
        "transcribe.cpp Q8_0",
        "int8",
        partial(transcribe, "Q8_0"),
        ("transcribe_cpp", "gguf"),
        QUANTIZER,
        f"{_PACKAGES}, in which you run {_BUILD}",
    ),
)


def once(folder: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
    """The folder with what ``make`` writes of these weights; one that exists is complete."""
    made = FOLDER / f"{folder.name}-{sha256(folder / 'model.safetensors')[:12]}-{name}"
    if not made.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
            part = Path(scratch) / made.name
            part.mkdir()
            make(folder, part)
            part.replace(made)
    return made


class _Logits(torch.nn.Module):
    """What sherpa-onnx expects of a MedASR model: features and mask to logits and their number."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = self.model._get_subsampling_output_length(mask.sum(-1)).to(torch.int64)
        return self.model(x, mask.bool()).logits, lengths


def export(folder: Path, made: Path) -> None:
    """model.onnx, model.int8.onnx and tokens.txt."""
    exact, rounded, tokens = (made / name for name in ("model.onnx", "model.int8.onnx", "tokens.txt"))
    model = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32).eval()
    axes = {0: torch.export.Dim("N", min=1), 1: torch.export.Dim("T", min=16)}
    with torch.inference_mode():
        program = torch.onnx.export(
            _Logits(model).eval(),
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
    names = ["<blk>", *(piece for piece, _ in vocabulary(folder)[1:size])]
    names += [f"<{i}>" for i in range(len(names), size)]
    tokens.write_text("".join(f"{piece} {i}\n" for i, piece in enumerate(names)))


def vocabulary(folder: Path) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return found


def convert(folder: Path, made: Path) -> None:
    """GGUF, by transcribe.cpp's own converter, which reads the files as google/medasr has them."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        for name in ("config.json", "model.safetensors"):
            (source / name).symlink_to((folder / name).resolve())
        processor = json.loads((folder / "processor_config.json").read_text())["feature_extractor"]
        (source / "preprocessor_config.json").write_text(json.dumps(processor))
        pieces: Any = importlib.import_module("sentencepiece.sentencepiece_model_pb2")
        kinds = pieces.ModelProto.SentencePiece
        special = {"<unk>": kinds.UNKNOWN, "<pad>": kinds.CONTROL, "</s>": kinds.CONTROL}
        model = pieces.ModelProto()
        for piece, score in vocabulary(folder):
            model.pieces.add(piece=piece, score=score, type=special.get(piece, kinds.NORMAL))
        (source / "spiece.model").write_bytes(model.SerializeToString())
        command = [sys.executable, str(clone() / CONVERTER), str(source), "--repo-id", "medasr"]
        subprocess.run([*command, "--outdir", str(made)], check=True, stdout=subprocess.DEVNULL)


def quantize(exact: Path, preset: str, _: Path, made: Path) -> None:
    command = [str(clone() / QUANTIZER), str(exact), str(made / GGUF), "--quant", preset]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def letters(text: str) -> str:
    """Without spaces, which products set differently."""
    return "".join(text.split())


def compare(products: Sequence[Product], rounds: int) -> list[Result]:
    """The first of the products is what the others' letters are compared with."""
    random_checkpoint.make(CHECKPOINT)
    heard, timed = Recording.of(CHECKED_S), Recording.of(SECONDS)
    demo = {each.name: letters(each.load(DEMO_FOLDER)(heard)) for each in products}
    loaded = {each.name: each.load(CHECKPOINT) for each in products}
    full = {name: letters(hear(heard)) for name, hear in loaded.items()}
    seconds: dict[str, list[float]] = {name: [] for name in loaded}
    written: dict[str, list[int]] = {name: [] for name in loaded}
    for turn in range(rounds + 1):
        for name, hear in loaded.items():
            began = time.perf_counter()
            text = hear(timed)
            if turn:  # the first is warm-up
                seconds[name].append(time.perf_counter() - began)
            written[name].append(len(letters(text)))
    of_each = {f"{SECONDS} s of {name}": {name: counts} for name, counts in written.items()}
    of_demo = {"demo model": {name: [len(text)] for name, text in demo.items()}}
    refuse_unlike({**of_demo, **of_each}, at_least=1)
    alike = [
        {
            name: Levenshtein.normalized_similarity(texts[products[0].name], text)
            for name, text in texts.items()
        }
        for texts in (demo, full)
    ]
    return [Result(each, seconds[each.name], alike[0][each.name], alike[1][each.name]) for each in products]


def table(results: Sequence[Result]) -> str:
    """A rival has the ratio of ours to it, ours that to the best rival of its kind."""
    medians = {each.product: statistics.median(each.seconds) for each in results}
    lines = [
        f"| {SECONDS} s, engine alone | seconds (range) | RTFx | ours is faster by |"
        f" letters as fp32, {CHECKED_S} s: demo model / timed |",
        "|---|---|---|---|---|",
    ]
    for each in results:
        product, taken = each.product, medians[each.product]
        own = next(t for p, t in medians.items() if p in OURS and p.kind == product.kind)
        ratio = f"{taken / own:.2f} x"
        if product in OURS:
            rivals = [t for p, t in medians.items() if p not in OURS and p.kind == product.kind]
            ratio = f"**{min(rivals) / own:.2f} x** (the best of them)" if rivals else ""
        spread = f"{taken:.2f} ({min(each.seconds):.2f}-{max(each.seconds):.2f})"
        alike = f"{100 * each.alike_demo:.1f} % / {100 * each.alike_timed:.1f} %"
        lines.append(f"| {product.name} | {spread} | {SECONDS / taken:.1f} | {ratio} | {alike} |")
    return "\n".join(lines) + "\n"


def left_out(products: Sequence[Product]) -> str:
    """One line for each that is not installed."""
    return "".join(f"{each.name} is left out: {each.how}\n" for each in products if not each.installed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rivals = [each for each in RIVALS if each.installed]
    texts = (table(compare((*OURS, *rivals), rounds)) if rivals else "", left_out(RIVALS))
    print("\n".join(filter(None, texts)), end="")


if __name__ == "__main__":
    main()
