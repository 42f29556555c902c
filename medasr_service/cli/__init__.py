"""The command `medasr`: one module for each of its commands.

A command's module has ``add(commands)``, which adds its arguments and names its ``run(options, config)``,
which returns the exit status: EXIT_OK, EXIT_SOME_FAILED, or EXIT_USAGE when nothing could be started.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from medasr_service import settings
from medasr_service.cli import evaluate, export, format, listen, transcribe, verify
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE
from medasr_service.errors import MedASRError

__all__ = ["EXIT_OK", "EXIT_SOME_FAILED", "EXIT_USAGE", "main"]

COMMANDS = (transcribe, format, evaluate, export, verify, listen)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="medasr", description="Medical dictation to text.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    logging.basicConfig(format="medasr: %(message)s")
    logging.getLogger("bentoml.medasr").setLevel(logging.INFO)
    try:
        config = settings.load()
    except SystemExit as stop:
        print(stop, file=sys.stderr)
        return EXIT_USAGE
    try:
        status: int = options.run(options, config)
    except MedASRError as error:
        print(f"medasr: {error.message}", file=sys.stderr)
        return EXIT_USAGE
    return status
