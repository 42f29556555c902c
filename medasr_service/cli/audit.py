"""medasr audit: whether the lines of an audit are those that were written."""

import argparse
from pathlib import Path
from typing import Any

from medasr_service.accounts.chain import Head
from medasr_service.accounts.inspection import START, inspect
from medasr_service.cli.console import put, tell
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED
from medasr_service.errors import UsageError
from medasr_service.settings import Settings


def add(commands: Any) -> None:
    parser = commands.add_parser("audit", help="verify an audit", description="The audit of MEDASR_AUDIT.")
    actions = parser.add_subparsers(dest="action", required=True)
    verify = actions.add_parser(
        "verify",
        help="whether nothing was changed, moved or taken out",
        description="Names the first line that is wrong, with status 1. Heads stand in the service's log.",
    )
    verify.add_argument("files", nargs="+", type=Path, metavar="FILE", help="of one chain, the oldest first")
    verify.add_argument("--after", metavar="HEAD", help="the head of what was before the first file")
    verify.add_argument(
        "--head", action="append", default=[], metavar="HEAD", help="one that was told, and must stand there"
    )
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace, config: Settings) -> int:
    try:
        after = Head.of(options.after) if options.after else START
        found = inspect(options.files, after=after, heads=[Head.of(each) for each in options.head])
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from None
    for notice in found.notices:
        tell(str(notice))
    if found.fault:
        tell(str(found.fault))
        return EXIT_SOME_FAILED
    put(f"{found.lines:,} lines are as they were written; the head is {found.head}")
    return EXIT_OK
