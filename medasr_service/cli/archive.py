"""medasr archive SOURCE --output TARGET: many recordings, each once, whatever happens meanwhile."""

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from medasr_service.archive.rows import FORMATS, SHARD
from medasr_service.cli.console import put, tell
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED, EXIT_STOPPED
from medasr_service.decoding import keywords
from medasr_service.errors import InvalidRequest, UsageError
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_NOTICE
from medasr_service.settings import Settings
from medasr_service.text import formats
from medasr_service.transcriber import Options

if TYPE_CHECKING:
    from medasr_service.archive.archiving import Hands, Order
    from medasr_service.archive.worker import Job

BAR = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} recordings, {remaining} left"


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "archive",
        help="transcribe an archive, each recording once, to rows in JSONL or Parquet; go on where it ended",
        description="Rows have the names of recordings and what was said. Run it again to go on.",
    )
    parser.add_argument(
        "source", metavar="SOURCE",
        help="a folder, a pattern, a manifest (.jsonl or .parquet with a column audio),"
        " or a URL: s3://, gs://, az://, sftp://",
    )  # fmt: skip
    parser.add_argument("--output", required=True, metavar="TARGET", help="a folder or a URL, for the rows")
    parser.add_argument("--format", choices=tuple(FORMATS), default="jsonl", help="of the rows")
    parser.add_argument(
        "--beside", action="append", choices=tuple(formats.TEXT_FORMATS), default=[],
        help="also write FILE.txt, .srt or .vtt beside each recording; may be repeated",
    )  # fmt: skip
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    parser.add_argument(
        "--shard", type=int, default=SHARD, metavar="N",
        help="recordings in a part, at most (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--ray", action="store_true", help="several engines on this machine, by Ray")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="on the Ray cluster there; auto: on this machine's"
    )
    parser.add_argument("--formatting", choices=("dictation", "raw"), help="default: as set")
    parser.add_argument("--decoding", choices=("greedy", "lm"), help="default: as set")
    parser.add_argument(
        "--damaged", choices=("refuse", "skip"), default="refuse", help="as of medasr transcribe"
    )
    parser.add_argument("--keyword", action="append", default=[], help="a term to favour; may be repeated")
    parser.add_argument("--keywords-file", type=Path, help="terms to favour, one a line")
    parser.add_argument("--json", action="store_true", help="the report at the end as JSON")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, config: Settings) -> int:
    """Exit status 1 where a recording has a row with an error, from this run or from one before."""
    from medasr_service.archive import archiving, report  # only here: no other command needs fsspec

    order = _order(options, config)
    found = checkpoint.resolve(order.config)
    if found.demo:
        tell(f"{found.id}: {DEMO_NOTICE}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is there is kept
    bar = _Bar(shown=not options.no_progress and sys.stderr.isatty())
    try:
        done = archiving.run(order, _hands(options), bar)
    except InvalidRequest as error:
        raise UsageError(error.message) from None
    except KeyboardInterrupt:
        tell("stopped; run it again to go on")
        return EXIT_STOPPED
    finally:
        bar.close()
    put(json.dumps(report.to_json(done), indent=2) if options.json else report.to_text(done).rstrip())
    return EXIT_SOME_FAILED if done.all.failed else EXIT_OK


def _order(options: argparse.Namespace, config: Settings) -> "Order":
    if options.decoding == "lm":
        config = config.model_copy(update={"decoding": "lm"})  # so that it is fetched
    from medasr_service.archive.archiving import Order

    defaults = Options.defaults(config)
    try:
        terms = keywords.clean([*options.keyword, *keywords.read(options.keywords_file)])
    except InvalidRequest as error:
        raise UsageError(error.message) from None
    chosen = replace(
        defaults,
        formatting=options.formatting or defaults.formatting,
        decoding=options.decoding or defaults.decoding,
        keywords=terms,
        damaged=options.damaged,
    )
    return Order(
        options.source,
        options.output,
        options.format,
        config,
        chosen,
        beside=tuple(dict.fromkeys(options.beside)),
        retry_failed=options.retry_failed,
        shard=max(1, options.shard),
    )


def _hands(options: argparse.Namespace) -> Any:
    from medasr_service.archive import archiving, on_ray

    if not (options.ray or options.address):
        return archiving.InProcess
    on_ray.require()

    def hands(job: "Job") -> "Hands":
        return on_ray.OnRay(job, options.address)

    return hands


class _Bar:
    """On standard error, where somebody sees it. No name is in it."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None

    def begins(self, recordings: int) -> None:
        self._bar = tqdm(
            total=recordings, desc="archive", bar_format=BAR, disable=not self._shown, leave=False
        )

    def row(self) -> None:
        self._bar.update()

    def waits(self, shards: int) -> None:
        tell(f"another run works on {shards:,} of the shards that are left: waiting for it")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
