"""medasr keys: the keys that a service lets in, by name."""

import argparse
from pathlib import Path
from typing import Any

from medasr_service.accounts import keys_file
from medasr_service.accounts.keys import digest, new, read
from medasr_service.cli.console import put, tell
from medasr_service.cli.status import EXIT_OK
from medasr_service.errors import UsageError
from medasr_service.settings import Settings

LIMITS = {
    "requests_per_minute": "transcriptions and live sessions that it may begin in a minute",
    "audio_seconds_per_hour": "seconds of sound that it may send in an hour",
    "live_sessions": "live sessions that it may have at a time",
    "expires": "when it ends: 2027-01-01, or 2027-01-01T08:00:00Z",
}


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "keys",
        help="make, list and revoke API keys with names",
        description="Keys with names and limits, for MEDASR_API_KEYS_FILE, which a service reads again.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    make = actions.add_parser("new", help="a new key: shown once, kept nowhere")
    make.add_argument("name", help="who uses it: letters, digits, '-' and '_'; it is in logs and metrics")
    make.add_argument("--file", type=Path, help="adds it there; without, what belongs there is told")
    for name, text in LIMITS.items():
        is_date = name == "expires"
        flag = f"--{name.replace('_', '-')}"
        make.add_argument(flag, type=str if is_date else int, metavar="DATE" if is_date else "N", help=text)
    make.set_defaults(run=_new)
    shown = actions.add_parser("list", help="names and limits")
    revoke = actions.add_parser("revoke", help="takes a name out of the file")
    revoke.add_argument("name")
    for each, run in ((shown, _list), (revoke, _revoke)):
        each.add_argument("--file", type=Path, help="default: MEDASR_API_KEYS_FILE")
        each.set_defaults(run=run)


def _new(options: argparse.Namespace, config: Settings) -> int:
    key = new()
    limits = {name: getattr(options, name) for name in LIMITS}
    text = keys_file.section(options.name, digest(key).hex(), **limits)
    if options.file:
        keys_file.add(options.file, text)
    put(key)
    if options.file:
        tell(f"[{options.name}] was added to {options.file}; the key above is shown this once")
    else:
        tell(f"the key above is shown this once. For the file of MEDASR_API_KEYS_FILE:\n\n{text}")
    return EXIT_OK


def _list(options: argparse.Namespace, config: Settings) -> int:
    for key in read(_file(options, config)):
        limits = [f"{name}={value}" for name in LIMITS if (value := getattr(key, name)) is not None]
        put("\t".join([key.name, *map(str, limits)]))
    return EXIT_OK


def _revoke(options: argparse.Namespace, config: Settings) -> int:
    file = _file(options, config)
    keys_file.revoke(file, options.name)
    tell(f"[{options.name}] was taken out of {file}")
    return EXIT_OK


def _file(options: argparse.Namespace, config: Settings) -> Path:
    file: Path | None = options.file or config.api_keys_file
    if file is None:
        raise UsageError("which file? Name it with --file, or set MEDASR_API_KEYS_FILE")
    return file
