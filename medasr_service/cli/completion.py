"""medasr completion SHELL: what makes Tab complete its commands and flags."""

import argparse
from typing import Any

import argcomplete.shell_integration

from medasr_service.cli.console import put
from medasr_service.cli.status import EXIT_OK
from medasr_service.settings import Settings

SHELLS = ("bash", "zsh", "fish")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "completion",
        help="print what completes medasr in a shell",
        description='In ~/.bashrc or ~/.zshrc: eval "$(medasr completion bash)" (or zsh);'
        " for fish: medasr completion fish | source",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, _config: Settings) -> int:
    put(argcomplete.shell_integration.shellcode(["medasr"], shell=options.shell), end="")
    return EXIT_OK
