"""What decoding costs beside the forward pass, and what a big language model costs in memory.

python -m benchmarks.decoding --model build/random-checkpoint: milliseconds of one core for a 20 s chunk of
the demo model's posteriors, quiet and in white noise, where the search has most to do, beside the forward
pass of the model given. python -m benchmarks.decoding --memory 450: a KenLM file of so many MB in two
processes.
"""

import argparse
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from medasr_service import engines
from medasr_service.decoding import ctc, language_model
from medasr_service.decoding.ctc import WORD_START, Vocabulary
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.settings import Settings
from training import kenlm

CHUNK_S, RUNS = 20, 7
KEYWORDS = [
    f"{a}{b}{c}" for a in ("Ko", "Ma", "Pe", "San") for b in ("wal", "ri", "ter") for c in ("ski", "na")
]


def noisy_chunk(snr_db: float | None) -> np.ndarray:
    waveform = soundfile.read(DEMO_FOLDER / "sample.wav", dtype="float32", frames=CHUNK_S * 16_000)[0]
    if snr_db is not None:
        noise = np.random.default_rng(1).normal(0, waveform.std() * 10 ** (-snr_db / 20), len(waveform))
        waveform = (waveform + noise).astype(np.float32)
    return np.asarray(waveform)


def median_ms(work: Callable[[], Any]) -> float:
    work()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def cost(model: str) -> None:
    demo = checkpoint.resolve(Settings(model="demo"))
    vocabulary = Vocabulary.load(demo.folder)
    decoder = language_model.load(demo, vocabulary, Settings(model="demo"))
    scored = language_model.load(demo, vocabulary, Settings(model="demo", word_score=0.5))
    assert decoder
    assert scored
    engine = engines.load(demo, Settings(model="demo"))
    served = Settings(model=model)
    full = engines.load(checkpoint.resolve(served), served)
    chunk = noisy_chunk(None)
    forward_ms = median_ms(lambda: full.infer([chunk]))
    print(f"forward pass of {model}, {CHUNK_S} s: {forward_ms:.0f} ms\n")
    print(
        "| decoding | quiet, ms | of the forward pass | 10 dB, ms | of the forward pass |\n"
        "|---|---|---|---|---|"
    )
    emissions = [engine.infer([noisy_chunk(snr_db)])[0] for snr_db in (None, 10)]
    for name, decode in {
        "greedy": lambda e: ctc.greedy(e, vocabulary),
        "lm": decoder.decode,
        "lm, word_score not 0": scored.decode,
        f"greedy, {len(KEYWORDS)} keywords": lambda e: decoder.search(use_lm=False, keywords=KEYWORDS).push(
            e, final=True
        ),
        "greedy, 500 keywords": lambda e: decoder.search(
            use_lm=False, keywords=[f"{name}{chr(97 + i)}" for name in KEYWORDS for i in range(21)][:500]
        ).push(e, final=True),
    }.items():
        spent = [median_ms(lambda e=e, decode=decode: decode(e)) for e in emissions]  # type: ignore[misc]
        print("| " + name + "".join(f" | {ms:.1f} | {100 * ms / forward_ms:.1f} %" for ms in spent) + " |")


def write_big(file: Path, megabytes: int) -> None:
    """A KenLM 6-gram over the demo model's pieces; its longer n-grams are keys that nothing matches."""
    vocabulary = Vocabulary.load(DEMO_FOLDER)
    texts = [p for i, p in enumerate(vocabulary.pieces) if i not in vocabulary.silent]
    words = ["<unk>", "<s>", "</s>", *(p.replace(WORD_START, "#") for p in texts)]
    words = list(dict.fromkeys(words))
    grams = int(megabytes * 1e6 / (5 * 16 * kenlm.SPARE))
    rng = np.random.default_rng(1)
    with file.open("wb") as out:
        out.write(kenlm.binary_head(words, [len(words), *[grams] * 5]))
        weights = np.zeros((len(words) + 1, 2), "<f4")
        weights[:, 0] = rng.uniform(1, 4, len(weights))
        out.write(weights.tobytes())
        for kind in [kenlm.MIDDLE] * 4 + [kenlm.LONGEST]:
            table = np.zeros(kenlm.buckets(grams), kind)
            rows = rng.random(len(table)) < 1 / kenlm.SPARE
            table["key"][rows] = rng.integers(1, 2**63, rows.sum(), np.uint64)
            table["logprob"][rows] = 1
            out.write(table.tobytes())
        out.write(b"".join(word.encode() + b"\0" for word in words))


def _hold(file: str, ready: Any, leave: Any, report: Any) -> None:
    lm = language_model.read(Path(file), Vocabulary.load(DEMO_FOLDER))
    ready.wait()  # both have it
    smaps = Path("/proc/self/smaps").read_text()
    part = smaps[smaps.index(file) :]
    sizes = dict(
        re.findall(r"^(\w+): +(\d+) kB", part, re.M)[::-1]
    )  # the first of each name is this mapping's
    found = {key: int(sizes[key]) for key in ("Rss", "Pss", "Private_Dirty")}
    report.put({**found, "rights": smaps[: smaps.index(file)].splitlines()[-1].split()[1]})
    leave.wait()
    del lm


def memory(megabytes: int) -> None:
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "big.kenlm"
        write_big(file, megabytes)
        ready, leave, report = context.Barrier(2), context.Barrier(2), context.Queue()
        processes = [context.Process(target=_hold, args=(str(file), ready, leave, report)) for _ in range(2)]
        for process in processes:
            process.start()
        print(f"{file.stat().st_size / 1e6:.0f} MB, two processes; in MB:")
        print("| process | mapping | resident | its share | copied |\n|---|---|---|---|---|")
        for i in range(2):
            row = report.get()
            print(
                f"| {i + 1} | {row['rights']} | "
                + " | ".join(f"{row[k] / 1000:.0f}" for k in ("Rss", "Pss", "Private_Dirty"))
                + " |"
            )
        for process in processes:
            process.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="build/random-checkpoint")
    parser.add_argument("--memory", type=int, metavar="MB")
    arguments = parser.parse_args()
    memory(arguments.memory) if arguments.memory else cost(arguments.model)
