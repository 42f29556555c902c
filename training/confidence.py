"""How far the probabilities of words can be trusted, and the map that makes them so.

    python -m training.confidence [--write]

Sentences of the evaluation split are spoken in quiet, in white noise and in the babble of four others, at 20
to 5 dB. A line between log-odds is fitted on one set of recordings and judged on another one, with other
sentences, and on voices that the model has never heard. ``--write`` puts the line into the folder of the demo
model, and the plot into docs/.
"""

import argparse
import asyncio
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeAlias

import matplotlib
import numpy as np
import soundfile
from numpy.typing import NDArray

from medasr_service import settings
from medasr_service.cli import model
from medasr_service.decoding.confidence import Confidence, log_odds
from medasr_service.evaluation import scoring, summary
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.manifest import CONFIDENCE
from medasr_service.text.transcript import Word
from medasr_service.transcriber import Options, Transcriber
from training.evaluation import Recording, Texts, speak_short
from training.features import add_noise
from training.voices import SAMPLE_RATE, UNSEEN_ENGINE, UNSEEN_VARIANT, VOICES, Voice, Waveform, present

Floats: TypeAlias = NDArray[np.float64]

CONDITIONS = ("quiet", *(f"{kind} {snr} dB" for kind in ("white noise", "babble") for snr in (20, 15, 10, 5)))
SPEAKERS = 4  # of babble
PLOT = Path(__file__).parent.parent / "docs" / "confidence.png"
NEWTON_STEPS = 50
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
OPTIONS = Options(chunk_length_s=20.0, stride_length_s=2.0, formatting="raw")


@dataclass(frozen=True)
class Judged:
    """A word that was written, with the posterior of its least certain piece."""

    condition: str
    posterior: float
    right: bool


def babble(waveform: Waveform, others: Sequence[Waveform], snr_db: float, rng: Random) -> Waveform:
    """Other speakers at `snr_db` below the mean power, each as loud as the next."""
    noise = np.zeros(len(waveform))
    for other in rng.sample(list(others), SPEAKERS):
        start = rng.randrange(len(other))
        noise += np.resize(np.roll(other, -start), len(waveform)) / np.sqrt((other**2).mean())
    power = float((waveform**2).mean() / (noise**2).mean())
    noisy: Waveform = (waveform + noise * np.sqrt(power) * 10 ** (-snr_db / 20)).astype(np.float32)
    return noisy


def disturb(recording: Recording, others: Sequence[Waveform], condition: str, rng: Random) -> Waveform:
    """The recording under one of CONDITIONS."""
    if condition == "quiet":
        return recording.waveform
    snr_db = float(condition.split()[-2])
    if condition.startswith("white"):
        return add_noise(recording.waveform, snr_db, rng, coloured=rng.random() < 0.3)
    return babble(recording.waveform, others, snr_db, rng)


async def judge(voices: Sequence[Voice], each: int, seed: int, transcriber: Transcriber) -> list[Judged]:
    """The words of `each` recordings of every voice, under conditions drawn at random."""
    rng = Random(seed)
    texts = Texts(seed, [])
    recordings = [one for voice in voices for one in speak_short(voice, each, texts, rng)]
    pool = [one.waveform for one in recordings]
    judged = []
    for recording in recordings:
        condition = rng.choice(CONDITIONS)
        judged += await _words(recording, disturb(recording, pool, condition, rng), condition, transcriber)
    return judged


async def _words(
    recording: Recording, waveform: Waveform, condition: str, transcriber: Transcriber
) -> list[Judged]:
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    file.seek(0)
    words = (await transcriber.transcribe(file, OPTIONS)).words
    score = scoring.score(recording.text, " ".join(word.text for word in words), {})
    probabilities, right = summary.judged([(word.text, posterior(word)) for word in words], score)
    return [Judged(condition, p, bool(r)) for p, r in zip(probabilities, right, strict=True)]


def posterior(word: Word) -> float:
    """What the network says of the least certain piece of a word."""
    return math.exp(min(token.logprob for token in word.tokens))


def fit(judged: Sequence[Judged]) -> Confidence:
    """The line between log-odds that makes the words most likely, by Newton's method with halved steps."""
    odds = np.array([[log_odds(each.posterior), 1.0] for each in judged])
    sign = np.array([1.0 if each.right else -1.0 for each in judged])
    line = np.array([1.0, 0.0])

    def loss(line: Floats) -> float:
        return float(np.logaddexp(0, -sign * (odds @ line)).mean())

    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(odds @ line)))
        gradient = odds.T @ (p - (sign > 0)) / len(sign)
        curvature = (odds * (p * (1 - p))[:, None]).T @ odds / len(sign)
        step = np.linalg.solve(curvature, gradient)
        while loss(line - step) > loss(line) and np.abs(step).max() > 1e-9:
            step /= 2
        line = line - step
    return Confidence(round(float(line[0]), 4), round(float(line[1]), 4))


def mapped(judged: Sequence[Judged], line: Confidence) -> tuple[Floats, Floats]:
    """Probabilities under a line, and what was right."""
    probabilities = np.array([line.probability(each.posterior) for each in judged])
    return probabilities, np.array([float(each.right) for each in judged])


def error(judged: Sequence[Judged], line: Confidence) -> float:
    found = summary.calibration_error(summary.reliability(*mapped(judged, line)))
    assert found is not None
    return found


def show(name: str, judged: Sequence[Judged], line: Confidence) -> None:
    """Prints the tables of one set."""
    print(f"\n{name}: {len(judged):,} words\n")
    print("| probability | words | mean probability | right |\n|---|---|---|---|")
    for each in summary.reliability(*mapped(judged, line)):
        print(
            f"| {each.low:.1f} to {each.high:.1f} | {each.words:,} | {each.probability:.3f}"
            f" | {each.accuracy:.3f} |"
        )
    print(
        "\n| condition | words | right | error as the network says | error as mapped |\n|---|---|---|---|---|"
    )
    for condition in ("all", *CONDITIONS):
        some = [each for each in judged if condition in ("all", each.condition)]
        if some:
            right = np.mean([each.right for each in some])
            print(
                f"| {condition} | {len(some):,} | {right:.3f} | {error(some, Confidence()):.3f}"
                f" | {error(some, line):.3f} |"
            )


def thresholds(judged: Sequence[Judged], line: Confidence) -> None:
    """Prints what marking words below a threshold would show, in quiet and in all conditions."""
    print(
        "\n| marked below | in | words marked | of them wrong | wrong words marked |\n|---|---|---|---|---|"
    )
    for threshold in THRESHOLDS:
        for condition in ("quiet", "all"):
            some = [each for each in judged if condition in ("all", each.condition)]
            probabilities, right = mapped(some, line)
            low, wrong = probabilities < threshold, right == 0
            shares = [100 * each.mean() for each in (low, wrong[low], low[wrong])]
            print(f"| {threshold} | {condition} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |")


def plot(judged: Sequence[Judged], line: Confidence, file: Path) -> None:
    """The share of right words over their probability, before and after."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.2, 4.4), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="as sure as it is right")
    for name, each, style in (("as the network says", Confidence(), "s--"), ("as mapped", line, "o-")):
        bins = summary.reliability(*mapped(judged, each))
        label = f"{name} (error {error(judged, each):.3f})"
        axes.plot([b.probability for b in bins], [b.accuracy for b in bins], style, label=label)
    axes.set(xlabel="probability of a word", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=50, help="of each voice in each set")
    parser.add_argument("--write", action="store_true", help="keep the line and the plot")
    options = parser.parse_args()
    config = settings.load()
    transcriber = model.load(config)
    trained, unseen = present(VOICES)[0], present([UNSEEN_ENGINE, UNSEEN_VARIANT])[0]

    def words(voices: Sequence[Voice], seed: int) -> list[Judged]:
        return asyncio.run(judge(voices, options.recordings, seed, transcriber))

    fitting, held_out, strangers = words(trained, 21), words(trained, 22), words(unseen, 23)
    line = fit(fitting)
    print(
        f"{checkpoint.resolve(config).id}: slope {line.slope}, intercept {line.intercept},"
        f" from {len(fitting):,} words"
    )
    show("other sentences, the same voices", held_out, line)
    show("voices never trained on", strangers, line)
    thresholds(held_out, line)
    if options.write:
        content = {"slope": line.slope, "intercept": line.intercept, "words": len(fitting)}
        (DEMO_FOLDER / CONFIDENCE).write_text(json.dumps(content, indent=2) + "\n")
        PLOT.parent.mkdir(exist_ok=True)
        plot(held_out, line, PLOT)


if __name__ == "__main__":
    main()
