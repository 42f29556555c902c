"""medasr format FILE...: raw text of the model to a report, without a model and without a recording."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from medasr_service.cli.console import put, shown, tell
from medasr_service.cli.recordings import STDIN, expand
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED
from medasr_service.settings import Settings
from medasr_service.text import raw
from medasr_service.text.dictation import Item
from medasr_service.text.raw import Report


def add(commands: Any) -> None:
    parser = commands.add_parser("format", help="turn the raw text of a transcript into a report")
    parser.add_argument(
        "files", nargs="*", default=[STDIN], metavar="FILE",
        help="texts in UTF-8, folders of .txt, patterns, or - (standard input, the default)",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="source", choices=("raw",), default="raw",
        help="raw (default): as the model wrote it, {period} and all",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true",
        help="a line of JSON per text: the report, each item with its kind, and what was left verbatim",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, _config: Settings) -> int:
    """Formats each text; one that cannot be read is reported and does not stop the others."""
    files = expand(options.files, (".txt",), "text")
    failures = 0
    for name in files:
        try:
            report = raw.report(_read(name))
        except (OSError, UnicodeDecodeError) as error:
            failures += 1
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            tell(f"{shown(name)}: {reason}")
            continue
        if options.json:
            put(json.dumps({"file": shown(name), **to_json(report)}, ensure_ascii=False))
            continue
        for warned in report.warnings:
            tell(f"{shown(name)}: {warned.message}")
        put(f"{shown(name)}:\n{report.text}\n" if len(files) > 1 else report.text)
    return EXIT_SOME_FAILED if failures else EXIT_OK


def _read(name: str) -> str:
    content = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    return content.decode("utf-8-sig")


def to_json(report: Report) -> dict[str, Any]:
    """``raw`` of an item is what the model wrote for it, with the whole of a word that it shares."""
    return {
        "text": report.text,
        "raw_text": report.raw_text,
        "items": [_item(item) for item in report.items],
        "verbatim": [item.text for item in report.verbatim],
        "warnings": [{"code": each.code, "message": each.message} for each in report.warnings],
    }


def _item(item: Item) -> dict[str, str]:
    return {"kind": item.kind, "text": item.text, "raw": raw.said([item])}
