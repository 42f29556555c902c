"""medasr evaluate MANIFEST: how well the model that is set writes recordings whose text is known."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from filelock import FileLock, Timeout
from tqdm import tqdm

from medasr_service import conditions
from medasr_service.cli import model
from medasr_service.cli.console import put, tell
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED, EXIT_STOPPED
from medasr_service.errors import UsageError
from medasr_service.evaluation import output, samples
from medasr_service.evaluation.results import Results
from medasr_service.evaluation.samples import Sample
from medasr_service.evaluation.transcripts import Setting, transcripts
from medasr_service.model import checkpoint
from medasr_service.settings import Settings, changed
from medasr_service.transcriber import Decoding, Options, Transcriber

if TYPE_CHECKING:
    from medasr_service.evaluation.summary import Evaluation

SWEEP = "20/2,8/1,12/2,30/2"  # seconds of a window and of its stride
Windows: TypeAlias = tuple[float, float]

RESULTS, REPORT = "results.jsonl", "report"
BAR = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} recordings, {remaining} left"


def add(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="measure word errors on recordings whose text is known")
    parser.add_argument(
        "source", type=Path, metavar="MANIFEST",
        help='lines of {"audio": FILE, "text": TEXT}, or a folder with a .txt beside each recording',
    )  # fmt: skip
    parser.add_argument(
        "--output-dir", type=Path, help="write report.md, .json, .html and results.jsonl there"
    )
    parser.add_argument("--terms", type=Path, metavar="FILE", help="also count the terms in FILE, one a line")
    parser.add_argument(
        "--drugs", type=Path, metavar="FILE", default=samples.DRUGS,
        help="names of drugs to count, one a line; default: 1,156 generic names",
    )  # fmt: skip
    parser.add_argument(
        "--sweep", nargs="?", type=_windows, const=_windows(SWEEP), default=(), metavar="WINDOWS",
        help="each decoding with several windows, in seconds of window/stride; default: " + SWEEP,
    )  # fmt: skip
    parser.add_argument(
        "--decoding",
        action="append",
        choices=get_args(Decoding),
        help="may be repeated; default: all there are",
    )
    parser.add_argument(
        "--formatting", choices=("raw", "dictation"), default="raw",
        help="the text to compare; raw (default): as the model wrote it, {period} and all",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="forget the results that are in --output-dir")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, config: Settings) -> int:
    """Prints the report in Markdown. What is done stays in --output-dir when it is stopped."""
    if find_spec("jiwer") is None:
        raise UsageError("medasr evaluate needs jiwer (the extra evaluate): pip install jiwer")
    from medasr_service.evaluation import scoring, summary

    found = samples.read(options.source)
    terms = {"drugs": scoring.finder_of(samples.terms(options.drugs))}
    if options.terms:
        terms["terms"] = scoring.finder_of(samples.terms(options.terms))
    try:
        transcriber, settings = _prepare(options, config)  # what is wrong is said before a file is written
        with _results(options.output_dir, fresh=options.fresh) as results:
            outcomes = transcripts(_bar(found, options), transcriber, settings, results)
            clips = [summary.clip(*outcome, {**scoring.CLASSES, **terms}) for outcome in outcomes]
        return _report(summary.evaluate(options.source.name, _common(settings), clips), options.output_dir)
    except KeyboardInterrupt:
        tell("stopped" + "; run it again to go on" * bool(options.output_dir))
        return EXIT_STOPPED
    except OSError as error:  # of recordings it is a result
        raise UsageError(f"{options.output_dir} cannot be written: {error.strerror or error}") from None


def _windows(text: str) -> tuple[Windows, ...]:
    """Raises ValueError, as argparse wants it."""
    pairs = [each.split("/") for each in text.split(",")]
    return tuple((float(window), float(stride)) for window, stride in pairs)


def _prepare(options: argparse.Namespace, config: Settings) -> tuple[Transcriber, dict[str, Setting]]:
    """The model, and by name what to do with it, first what is set. Says where there is no language model."""
    if "lm" in (options.decoding or ()):
        config = config.model_copy(update={"decoding": "lm"})  # so that it is fetched
    own = (config.chunk_length_s, config.stride_length_s)
    windows = dict.fromkeys([own, *options.sweep])
    configs = [changed(config, chunk_length_s=length, stride_length_s=stride) for length, stride in windows]
    checked = checkpoint.resolve(config)
    transcriber = model.load(config)
    decodings = tuple(dict.fromkeys(options.decoding or transcriber.decodings))
    if missing := set(decodings) - set(transcriber.decodings):
        raise UsageError(f"there is no language model for --decoding {missing.pop()}")
    if not options.decoding and "lm" not in decodings:
        tell("there is no language model: greedy decoding alone")
    return transcriber, {
        decoding + f" {each.chunk_length_s:g}/{each.stride_length_s:g}" * bool(options.sweep): Setting(
            replace(Options.defaults(each), formatting=options.formatting, decoding=decoding),
            conditions.of(checked, each, decoding, options.formatting),
        )
        for each in configs
        for decoding in decodings
    }


def _common(settings: dict[str, Setting]) -> dict[str, object]:
    """The conditions of all settings; of those in which they differ, each one's."""
    found: dict[str, dict[object, None]] = {}
    for setting in settings.values():
        for name, value in setting.conditions.items():
            found.setdefault(name, {})[value] = None
    return {
        name: next(iter(values)) if len(values) == 1 else " or ".join(map(str, values))
        for name, values in found.items()
    }


def _bar(found: Sequence[Sample], options: argparse.Namespace) -> "tqdm[Sample]":
    shown = not options.no_progress and sys.stderr.isatty()
    return tqdm(found, desc="evaluate", bar_format=BAR, disable=not shown, leave=False)


def _report(evaluation: "Evaluation", folder: Path | None) -> int:
    from medasr_service.evaluation import page, report

    text = report.to_markdown(evaluation)
    if folder:
        output.write(folder / f"{REPORT}.md", text)
        output.write(folder / f"{REPORT}.json", report.to_json(evaluation))
        output.write(folder / f"{REPORT}.html", page.to_html(evaluation))
    put(text, end="")
    return EXIT_SOME_FAILED if any(each.failed for each in evaluation.summaries) else EXIT_OK


@contextmanager
def _results(folder: Path | None, *, fresh: bool) -> Iterator[Results]:
    """The results that are kept in a folder, for this process alone."""
    with ExitStack() as stack:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(FileLock(folder / f".{RESULTS}.lock", timeout=0))
            except Timeout:
                raise UsageError(f"another evaluation writes to {folder}") from None
        yield Results(folder and folder / RESULTS, fresh=fresh)
