"""The command `medasr`: one module for each of its commands.

A command's module has ``add(commands)``, which adds its arguments and names its ``run(options, config)``,
which returns the exit status: EXIT_OK, EXIT_SOME_FAILED, or EXIT_USAGE when nothing could be started.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

import argcomplete

from medasr_service import settings
from medasr_service.cli import (
    archive,
    audit,
    completion,
    evaluate,
    export,
    format,
    jobs,
    keys,
    listen,
    serve,
    transcribe,
    verify,
)
from medasr_service.cli.console import OutputClosed, forget, tell
from medasr_service.cli.status import EXIT_OK, EXIT_PIPE, EXIT_SOME_FAILED, EXIT_STOPPED, EXIT_USAGE
from medasr_service.errors import MedASRError
from medasr_service.interrupts import leaving_at_once
from medasr_service.version import VERSION

__all__ = ["EXIT_OK", "EXIT_SOME_FAILED", "EXIT_USAGE", "main"]

COMMANDS = (
    transcribe,
    archive,
    serve,
    jobs,
    keys,
    audit,
    listen,
    format,
    evaluate,
    verify,
    export,
    completion,
)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="medasr", description="Medical dictation to text.")
    parser.add_argument("--version", action="version", version=f"medasr {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add(commands)
    argcomplete.autocomplete(parser)  # ends here where a shell asks
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; whatever ends a command is at most one line."""
    with leaving_at_once():
        options = parse(arguments)
    logging.basicConfig(format="medasr: %(message)s")
    logging.getLogger("bentoml.medasr").setLevel(logging.INFO)
    try:
        status: int = options.run(options, settings.load())
    except SystemExit as stop:
        if not isinstance(stop.code, str):
            raise
        print(stop.code, file=sys.stderr)  # the lines of what cannot be started
        return EXIT_USAGE
    except MedASRError as error:
        tell(error.message)
        return EXIT_USAGE
    except KeyboardInterrupt:
        tell("stopped")
        return EXIT_STOPPED
    except OutputClosed:
        return EXIT_PIPE
    finally:
        forget()
    return status
