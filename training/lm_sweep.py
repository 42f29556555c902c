"""The language model's parameters, swept on held-out recordings in noise, and what they give on others.

``python -m training.lm_sweep`` synthesises the sets once (some minutes; see training/noisy_sets.py), sweeps
on ``dev``, and reports the defaults of the service on ``test``: word errors, and every number, negation or
side that greedy decoding had right and the language model lost.
"""

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jiwer

from medasr_service.decoding import beam, ctc, language_model
from medasr_service.decoding.beam import BeamDecoder
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.evaluation import scoring
from medasr_service.model import checkpoint
from medasr_service.settings import Settings
from training import noisy_sets
from training.noisy_sets import Heard

SNR_DB = 10
GRIDS: list[dict[str, list[Any]]] = [
    {"lm_weight": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0]},
    {"word_score": [-0.5, -0.25, 0.25, 0.5, 1.0]},
    {"beam_size": [4, 8, 16, 32, 64]},
    {"beam_size_token": [4, 8, 16, 32]},
    {"beam_threshold": [6.0, 9.0, 12.0, 16.0, 25.0]},
    {"lm_numbers": [False, True]},
    {"sure_posterior": [0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0]},
]
WATCHED = {"no", "not", "denies", "without", "right", "left", "bilateral"}  # besides numbers


class Bench:
    """Both decoders over the same posteriors."""

    def __init__(self) -> None:
        self.checkpoint = checkpoint.resolve(Settings())
        self.vocabulary = Vocabulary.load(self.checkpoint.folder)

    def decoder(self, **settings: Any) -> BeamDecoder:
        decoder = language_model.load(self.checkpoint, self.vocabulary, Settings(**settings))
        assert decoder is not None
        return decoder

    def greedy(self, heard: list[Heard]) -> list[str]:
        return [self.text(ctc.greedy(one.emission, self.vocabulary)) for one in heard]

    def searched(self, heard: list[Heard], decoder: BeamDecoder) -> tuple[list[str], float]:
        """The texts, and milliseconds of one core for 20 s of audio."""
        began = time.process_time()
        texts = [self.text(decoder.decode(one.emission)) for one in heard]
        spent = time.process_time() - began
        return texts, 1000 * 20 * spent / sum(one.seconds for one in heard)

    def text(self, tokens: list[Any]) -> str:
        return " ".join(word.text for word in ctc.words(tokens, self.checkpoint.geometry))


def wer(heard: list[Heard], texts: list[str]) -> float:
    return 100 * scoring.word_error_rate([one.text for one in heard], texts)


def right(reference: str, text: str) -> Counter[tuple[int, str]]:
    """The words of the reference, with their places, that the text has."""
    words = scoring.normalise(reference).split()
    found = jiwer.process_words(scoring.normalise(reference), scoring.normalise(text))
    places = [
        i
        for chunk in found.alignments[0]
        if chunk.type == "equal"
        for i in range(chunk.ref_start_idx, chunk.ref_end_idx)
    ]
    return Counter((i, words[i]) for i in places)


def lost(heard: list[Heard], greedy: list[str], searched: list[str]) -> list[tuple[Heard, list[str]]]:
    """The clips in which the search lost words that greedy decoding had right."""
    rows = []
    for one, before, after in zip(heard, greedy, searched, strict=True):
        gone = right(one.text, before) - right(one.text, after)
        if gone:
            rows.append((one, [word for _, word in sorted(gone)]))
    return rows


def digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def sweep(bench: Bench, heard: list[Heard]) -> None:
    print(f"dev: {len(heard)} clips, greedy WER {wer(heard, bench.greedy(heard)):.2f} %\n")
    print("| parameter | value | WER | ms of one core for 20 s |\n|---|---|---|---|")
    for grid in GRIDS:
        for name, values in grid.items():
            for value in values:
                texts, cost_ms = bench.searched(heard, bench.decoder(**{name: value}))
                mark = " (default)" if value == getattr(Settings(), name) else ""
                print(f"| {name} | {value}{mark} | {wer(heard, texts):.2f} % | {cost_ms:.0f} |", flush=True)
    for pause in (6, 9, 12, 15, 10**6):
        beam.PAUSE_FRAMES, kept = pause, beam.PAUSE_FRAMES
        texts, cost_ms = bench.searched(heard, bench.decoder())
        beam.PAUSE_FRAMES = kept
        mark = " (default)" if pause == kept else ""
        print(f"| pause, frames | {pause}{mark} | {wer(heard, texts):.2f} % | {cost_ms:.0f} |", flush=True)


def report(bench: Bench, heard: list[Heard]) -> None:
    print("\n| test set | clips | greedy | LM | fewer errors | clips in which LM lost a right word |")
    print("|---|---|---|---|---|---|")
    gone: list[tuple[Heard, list[str]]] = []
    changed = 0
    for snr_db in noisy_sets.NOISE_DB:
        part = [one for one in heard if one.snr_db == snr_db]
        greedy, (searched, _) = bench.greedy(part), bench.searched(part, bench.decoder())
        before, after = wer(part, greedy), wer(part, searched)
        rows = lost(part, greedy, searched)
        gone += rows
        changed += sum(digits(a) != digits(b) for a, b in zip(greedy, searched, strict=True))
        name = "quiet" if snr_db is None else f"white noise at {snr_db} dB"
        print(
            f"| {name} | {len(part)} | {before:.2f} % | {after:.2f} % | {100 * (1 - after / before):.0f} % "
            f"| {len(rows)} ({sum(len(words) for _, words in rows)} words) |"
        )
    print(f"\nClips in which the language model changed a digit: {changed} of {len(heard)}")
    print("\nNumbers, negations and sides among the words lost:")
    for one, words in gone:
        if watched := [word for word in words if word in WATCHED or any(map(str.isdigit, word))]:
            print(f"- {', '.join(watched)} ({one.voice}, {one.snr_db or 'no noise'} dB): {one.text}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work-dir", type=Path, default=Path("build/noisy-sets"))
    parser.add_argument("--report-only", action="store_true", help="no sweep")
    arguments = parser.parse_args()
    bench = Bench()
    if not arguments.report_only:
        dev = noisy_sets.build("dev", arguments.work_dir)
        sweep(bench, [one for one in dev if one.snr_db == SNR_DB])
    report(bench, noisy_sets.build("test", arguments.work_dir))


if __name__ == "__main__":
    main()
