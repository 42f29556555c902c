"""Keywords on sentences with terms that are in no grammar: how many are found, and what it costs.

``python -m training.keyword_names``: clinicians' names and drugs in sentences of dictation, spoken by the
trained voices; then the test set of training/noisy_sets.py, in which nobody says them.
"""

import argparse
import time
from pathlib import Path
from random import Random
from typing import Any

from medasr_service import engines, settings
from medasr_service.evaluation import scoring
from medasr_service.model.geometry import Emission
from training import grammar, lm_sweep, noisy_sets
from training.features import record
from training.lm_sweep import Bench
from training.numbers import Word
from training.voices import VOICES, Waveform, present

# ruff: noqa: SIM905 - lists of words read best as sentences
TERMS = {
    "drugs with familiar parts": (
        "pravastatin simvastatin rosuvastatin valsartan candesartan bisoprolol nebivolol carvedilol "
        "enalapril "
        "ramipril cefuroxime clarithromycin erythromycin ampicillin metronidazole lansoprazole prednisolone "
        "nifedipine linezolid pregabalin"
    ).split(),
    "names": (
        "Martin Carter Morrison Harper Mason Palmer Warner Benson Carson Porter Kowalski Marchetti Lindqvist "
        "Okafor Petrova Yamamoto Fitzgerald Castellano Andersson Abernathy"
    ).split(),
}
SENTENCES = {
    "names": ("The patient was seen with %s .", "Discussed with %s today ."),
    "drugs with familiar parts": (
        "Continue %s 20 mg daily .",
        "The patient has been taking %s with good effect .",
    ),
}
SEED = 60_000
SAYINGS = 3  # of each term
SPOKEN = {".": ("{period}", "period"), "mg": ("mg", "milligrams"), "20": ("20", "twenty")}


def recordings() -> list[tuple[str, str, str, Waveform]]:
    """Kind, term, text and waveform."""
    rng = Random(SEED)
    voices, _ = present(VOICES)
    found = []
    for kind, terms in TERMS.items():
        for term in terms * SAYINGS:
            words = tuple(
                Word(*SPOKEN.get(word, (word, word)))
                for word in rng.choice(SENTENCES[kind]).replace("%s", term).split()
            )
            speech = rng.choice(voices).speak([grammar.spoken(words, rng)], rng)[0]
            if speech is not None:
                found.append((kind, term, grammar.written(words), record(speech, rng, noise=False).waveform))
    return found


def has(term: str, text: str) -> bool:
    return f" {term.lower()} " in f" {scoring.normalise(text)} "


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work-dir", type=Path, default=Path("build/noisy-sets"))
    parser.add_argument("--scores", type=float, nargs="*", default=[1.0, 1.5, 2.0, 2.5])
    arguments = parser.parse_args()
    bench = Bench()
    engine = engines.load(bench.checkpoint, settings.load())
    spoken = [(kind, term, text, engine.infer([wave])[0]) for kind, term, text, wave in recordings()]
    others = noisy_sets.build("test", arguments.work_dir)
    terms = [term for group in TERMS.values() for term in group]
    print(f"{len(terms)} keywords; {len(spoken)} recordings with one of them, {len(others)} without\n")
    print(
        f"| decoding | a letter earns | {' | '.join(TERMS)} | wrong terms | WER without terms | ms for 20 s |"
    )
    print("|---|---|" + "---|" * len(TERMS) + "---|---|---|")
    for use_lm in (False, True):
        for score in (None, *arguments.scores):
            print(_row(bench, spoken, others, terms, use_lm=use_lm, score=score), flush=True)


def _row(
    bench: Bench,
    spoken: list[tuple[str, str, str, Emission]],
    others: list[Any],
    terms: list[str],
    *,
    use_lm: bool,
    score: float | None,
) -> str:
    decoder = bench.decoder(**({} if score is None else {"keyword_score": score}))

    def text(emission: Emission) -> str:
        search = decoder.search(use_lm=use_lm, keywords=terms if score else ())
        return bench.text(search.push(emission, final=True))

    heard = [(kind, term, text(emission)) for kind, term, _, emission in spoken]
    began = time.process_time()
    plain = [text(one.emission) for one in others]
    cost_ms = 20_000 * (time.process_time() - began) / sum(one.seconds for one in others)
    found = [
        f"{sum(has(term, out) for kind, term, out in heard if kind == group)}"
        f" of {sum(kind == group for kind, _, _ in heard)}"
        for group in TERMS
    ]
    wrong = sum(has(term, out) for term in terms for out in plain)
    wrong += sum(has(term, out) for _, said, out in heard for term in terms if term != said)
    return (
        f"| {'lm' if use_lm else 'greedy'} | {score or 'no keywords'} | {' | '.join(found)} "
        f"| {wrong} | {lm_sweep.wer(others, plain):.2f} % | {cost_ms:.0f} |"
    )


if __name__ == "__main__":
    main()
