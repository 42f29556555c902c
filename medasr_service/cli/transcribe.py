"""medasr transcribe FILE...: the server's own path from recording to text, without the server."""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from medasr_service.cli import model
from medasr_service.cli.console import OutputFailed, put, shown, tell
from medasr_service.cli.printed import JSON, Layout, Printed
from medasr_service.cli.recordings import STDIN, expand
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED
from medasr_service.decoding import keywords
from medasr_service.errors import InvalidRequest, MedASRError, UsageError
from medasr_service.evaluation import output
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_NOTICE
from medasr_service.settings import Settings
from medasr_service.text import annotated, formats
from medasr_service.text.transcript import Segment, Transcript
from medasr_service.transcriber import Options, Transcriber

BAR = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio, {remaining} left"
SUFFIXES = {"text": ".txt", "json": ".json", "verbose_json": ".json", "srt": ".srt", "vtt": ".vtt"}
ANNOTATED = "annotated"
SUFFIXES[ANNOTATED] = ".html"


def add(commands: Any) -> None:
    parser = commands.add_parser("transcribe", help="print or write the transcript of recordings")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="recordings, folders of them, patterns, or - (standard input)",
    )
    parser.add_argument(
        "--format", choices=(*formats.FORMATS, ANNOTATED), default="text",
        help="annotated: doubtful words are marked; with --output-dir as a page",
    )  # fmt: skip
    parser.add_argument("--output-dir", type=Path, help="write FILE.txt (.json, .srt, .vtt, .html) there")
    parser.add_argument(
        "--jsonl",
        action="store_true",
        help="a line of JSON per file, also for failures; verbose_json or --format json",
    )
    parser.add_argument("--formatting", choices=("dictation", "raw"), help="default: as set")
    parser.add_argument(
        "--decoding", choices=("greedy", "lm"), help="lm: with the language model; default: as set"
    )
    parser.add_argument(
        "--damaged", choices=("refuse", "skip"), default="refuse",
        help="skip: hear what can be read of a damaged recording, and say what is missing",
    )  # fmt: skip
    parser.add_argument("--keyword", action="append", default=[], help="a term to favour; may be repeated")
    parser.add_argument("--keywords-file", type=Path, help="terms to favour, one a line")
    parser.add_argument(
        "--stream", action="store_true", help="print the text segment by segment, as it comes"
    )
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, config: Settings) -> int:
    """Transcribes each file; one that fails is reported and does not stop the others."""
    _check(options)
    files = expand(options.files)
    outputs = _outputs(files, options.output_dir, SUFFIXES[options.format]) if options.output_dir else {}
    if options.decoding == "lm":
        config = config.model_copy(update={"decoding": "lm"})  # so that it is fetched
    try:
        chosen = _chosen(options, config)
        transcriber = model.load(config)
        transcriber.check(chosen)
    except InvalidRequest as error:
        raise UsageError(error.message) from None
    failures = 0
    with Printed(_layout(files, options), options.format, headed=len(files) > 1) as printed:
        for name in files:
            if options.stream:
                printed.header(name)
            try:
                transcript = _transcribe(name, transcriber, chosen, options)
                if to := outputs.get(name):
                    output.write(to, _file(name, transcript, options.format, config))
            except (MedASRError, OSError) as error:
                if isinstance(error, OutputFailed):  # not the recording's
                    raise
                failures += 1
                reason = error.message if isinstance(error, MedASRError) else error.strerror or str(error)
                printed.failure(name, reason)
                tell(f"{shown(name)}: {reason}")
                continue
            for warned in () if options.jsonl else transcript.warnings:
                tell(f"{shown(name)}: {warned.message}")
            if options.stream:
                put("")
            elif options.jsonl or not options.output_dir:
                printed.transcript(name, transcript, _shown(transcript, options.format, config))
    return EXIT_SOME_FAILED if failures else EXIT_OK


def _check(options: argparse.Namespace) -> None:
    """Refuses what would not be what was asked for."""
    if options.stream and (options.format != "text" or options.jsonl or options.output_dir):
        raise UsageError("--stream prints text as it comes: neither another format nor a file")
    if options.jsonl and not options.output_dir and options.format not in ("text", *JSON):
        raise UsageError(f"--jsonl prints lines of JSON, not {options.format}")


def _layout(files: Sequence[str], options: argparse.Namespace) -> Layout:
    """An array where more than one recording may have been asked for, also if it was one that was found."""
    if options.jsonl:
        return "lines"
    several = len(files) > 1 or list(files) != options.files
    return "array" if options.format in JSON and several and not options.output_dir else "text"


def _chosen(options: argparse.Namespace, config: Settings) -> Options:
    """The settings with what the command line says. Raises InvalidRequest beyond the limits of keywords."""
    defaults = Options.defaults(config)
    return replace(
        defaults,
        formatting=options.formatting or defaults.formatting,
        decoding=options.decoding or defaults.decoding,
        keywords=keywords.clean([*options.keyword, *keywords.read(options.keywords_file)]),
        damaged=options.damaged,
    )


def _transcribe(
    name: str, transcriber: Transcriber, chosen: Options, options: argparse.Namespace
) -> Transcript:
    with ExitStack() as stack:
        file = stack.enter_context(_open(name))
        if options.stream:
            return asyncio.run(transcriber.transcribe(file, chosen, on_segment=_print))
        if options.no_progress or not sys.stderr.isatty():
            return asyncio.run(transcriber.transcribe(file, chosen))
        total = asyncio.run(transcriber.inspect(file, chosen.damaged)).duration
        bar = stack.enter_context(tqdm(total=round(total, 1), desc=name, bar_format=BAR, leave=False))
        return asyncio.run(transcriber.transcribe(file, chosen, on_segment=partial(_advance, bar)))


def _open(name: str) -> BinaryIO:
    """Standard input, or another pipe, goes into memory: decoding needs to return to the start."""
    if name == STDIN:
        return io.BytesIO(sys.stdin.buffer.read())
    file = Path(name).open("rb")  # noqa: SIM115  # the caller closes it
    if file.seekable():
        return file
    with file:
        return io.BytesIO(file.read())


def _print(segment: Segment) -> None:
    put(segment.text, end="")


def _advance(bar: Any, segment: Segment) -> None:
    bar.update(segment.end - bar.n)


def _outputs(files: Sequence[str], folder: Path, suffix: str) -> dict[str, Path]:
    """Where each file's transcript goes. No transcript may replace another one of the same run."""
    found: dict[Path, str] = {}
    for name in files:
        stem = "stdin" if name == STDIN else Path(name).name
        path = folder / f"{stem}{suffix}"
        if path in found:
            raise UsageError(f"{found[path]} and {name} would both be written to {path}")
        found[path] = name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from None
    return {name: path for path, name in found.items()}


def _file(name: str, transcript: Transcript, chosen: str, config: Settings) -> str:
    if chosen != ANNOTATED:
        return formats.write(transcript, chosen)
    notice = DEMO_NOTICE if checkpoint.resolve(config).demo else ""
    title = "Standard input" if name == STDIN else Path(name).name
    return annotated.to_html(transcript, low=config.low_confidence, name=title, notice=notice)


def _shown(transcript: Transcript, chosen: str, config: Settings) -> str:
    if chosen != ANNOTATED:
        return formats.write(transcript, chosen)
    return annotated.to_terminal(transcript, low=config.low_confidence, colour=_colour())


def _colour() -> bool:
    """Whether who reads can see colours, and wants them (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
