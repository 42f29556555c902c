"""medasr verify: whether an engine writes what the reference writes, on the recordings of those who ask.

The reference is transformers' own network in fp32 (the torch engine). Both read every recording on the way
that the service takes, windows, gain and all, one engine after the other.
"""

import argparse
import asyncio
import gc
import sys
from collections.abc import Sequence
from functools import reduce
from operator import add as plus
from typing import Any

import numpy as np
from tqdm import tqdm

from medasr_service import engines
from medasr_service.cli import model, recordings
from medasr_service.cli.console import put, shown, tell
from medasr_service.cli.recordings import Recording
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED, EXIT_STOPPED
from medasr_service.errors import MedASRError, ModelUnavailable, UsageError
from medasr_service.evaluation import agreement, verification
from medasr_service.evaluation.agreement import Best, Counts, Difference, Heard
from medasr_service.evaluation.verification import Verification
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.model.manifest import how_to_make, missing_makers
from medasr_service.settings import Settings, changed
from medasr_service.transcriber import Infer, Options, Transcriber

BUNDLED = DEMO_FOLDER / "clips" / "manifest.jsonl"
REFERENCES = ("torch", "onnx")
BAR = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} recordings, {remaining} left"


class _Ear:
    """Hears what the engine gives to the transcriber: the likeliest piece of each frame of each window."""

    def __init__(self) -> None:
        self._windows: list[Best] = []

    def around(self, infer: Infer) -> Infer:
        async def listening(waveforms: list[Waveform]) -> list[Emission]:
            place = len(self._windows)  # windows are sent in order, and may come back in another
            self._windows += [np.empty(0, np.int16) for _ in waveforms]
            emissions = await infer(waveforms)
            for i, emission in enumerate(emissions):
                self._windows[place + i] = emission.argmax(axis=1).astype(np.int16)
            return emissions

        return listening

    def take(self) -> tuple[Best, ...]:
        windows, self._windows = self._windows, []
        return tuple(windows)


def add(commands: Any) -> None:
    parser = commands.add_parser("verify", help="compare an engine or precision with the reference")
    parser.add_argument(
        "files", nargs="*", metavar="FILE",
        help='recordings, patterns, folders, or .jsonl with lines of {"audio": FILE, "text": TEXT};'
        " the text may be missing; default: the bundled clips",
    )  # fmt: skip
    parser.add_argument("--engine", help="what to verify: onnx or torch; default: as set")
    parser.add_argument("--precision", help="what to verify; default: as set")
    parser.add_argument(
        "--reference", choices=REFERENCES, default=REFERENCES[0],
        help="in fp32; torch (default) is transformers' own network",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, config: Settings) -> int:
    """Exit status 0 when all thresholds are kept, 1 when not or when a recording could not be read."""
    if not options.files and not BUNDLED.is_file():
        raise UsageError("the bundled clips are not here (no image has them): name recordings of your own")
    chosen = recordings.read(options.files or [str(BUNDLED)])
    try:
        found = _verify(chosen, options, config)
    except KeyboardInterrupt:
        tell("stopped; nothing is verified")
        return EXIT_STOPPED
    put(verification.to_json(found) if options.json else verification.to_text(found))
    for name, reason in found.failed:
        tell(f"{shown(name)}: {reason}")
    return EXIT_OK if found.passed else EXIT_SOME_FAILED


def _verify(chosen: Sequence[Recording], options: argparse.Namespace, config: Settings) -> Verification:
    candidate = changed(
        config, engine=options.engine or config.engine, precision=options.precision or config.precision
    )
    reference = changed(config, engine=options.reference, precision="fp32")
    if options.reference == "torch" and missing_makers():
        raise ModelUnavailable(f"the reference, unless it is --reference onnx, needs {how_to_make()}")
    found = [checkpoint.resolve(each) for each in (reference, candidate)]
    if found[0].revision != found[1].revision:
        raise ModelUnavailable(
            f"the reference is {found[0].id} {found[0].revision}, the artefact is of {found[1].revision}:"
            " run `medasr export`"
        )
    engines.prepare(found[1], candidate)  # what is wrong with it is said before the reference's long work
    bar = tqdm(
        total=2 * len(chosen),
        desc="verify",
        bar_format=BAR,
        disable=options.no_progress or not sys.stderr.isatty(),
        leave=False,
    )
    with bar:
        expected = _hear(chosen, reference, bar, notice=True)
        heard = _hear(chosen, candidate, bar, notice=False)
    return _compare(found[0].id, reference, candidate, chosen, expected, heard)


def _hear(
    chosen: Sequence[Recording], config: Settings, bar: Any, *, notice: bool
) -> list[tuple[Heard, float] | str]:
    """What an engine hears in each recording, and its seconds; or why it could not be read."""
    ear = _Ear()
    transcriber = model.load(config, around=ear.around, notice=notice)
    heard: list[tuple[Heard, float] | str] = []
    for recording in chosen:
        try:
            heard.append(_hear_one(recording, transcriber, Options.defaults(config), ear))
        except (MedASRError, OSError) as error:
            heard.append(error.message if isinstance(error, MedASRError) else error.strerror or str(error))
        bar.update()
    del transcriber
    gc.collect()  # before the other engine is loaded
    return heard


def _hear_one(
    recording: Recording, transcriber: Transcriber, options: Options, ear: _Ear
) -> tuple[Heard, float]:
    ear.take()
    with recording.path.open("rb") as file:
        transcript = asyncio.run(transcriber.transcribe(file, options))
    return Heard(ear.take(), transcript.words), transcript.duration


def _compare(
    name: str,
    reference: Settings,
    candidate: Settings,
    chosen: Sequence[Recording],
    expected: Sequence[tuple[Heard, float] | str],
    heard: Sequence[tuple[Heard, float] | str],
) -> Verification:
    all_counts, seconds = [Counts()], 0.0
    differences: list[tuple[str, Difference]] = []
    failed: list[tuple[str, str]] = []
    for recording, first, second in zip(chosen, expected, heard, strict=True):
        if isinstance(first, str) or isinstance(second, str):
            failed.append((str(recording.path), first if isinstance(first, str) else str(second)))
            continue
        counts, found = agreement.compare(first[0], second[0], recording.spoken)
        all_counts.append(counts)
        differences += [(str(recording.path), difference) for difference in found]
        seconds += first[1]
    total = reduce(plus, all_counts)
    checks = agreement.judge(
        total,
        [difference for _, difference in differences],
        min_token_agreement=candidate.verify_min_token_agreement,
        max_wer=candidate.verify_max_wer,
        max_wer_increase=candidate.verify_max_wer_increase,
        max_critical=candidate.verify_max_critical,
    )
    return Verification(
        model=name,
        reference=_engine(reference),
        candidate=_engine(candidate),
        recordings=len(chosen) - len(failed),
        seconds=seconds,
        counts=total,
        differences=tuple(sorted(differences, key=lambda pair: agreement.weight(pair[1]))),
        checks=tuple(checks),
        failed=tuple(failed),
    )


def _engine(config: Settings) -> str:
    return f"{config.resolved_engine} {config.precision}"
