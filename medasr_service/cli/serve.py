"""medasr serve: the service itself, as `bentoml serve service:MedASR` starts it in a clone."""

import argparse
from typing import Any

from medasr_service.cli.status import EXIT_OK
from medasr_service.settings import Settings, changed

FLAGS = {
    "model": "demo, a folder, or a hub id such as google/medasr",
    "revision": "branch, tag or commit of a hub id",
    "precision": "fp32, or int8, which is faster (medasr verify)",
    "host": "address to listen on; 0.0.0.0 lets other machines in",
    "port": "port to listen on",
    "workers": "processes that run the model",
    "threads": "of a forward pass, of each worker",
}
"""Settings that people reach for; every other is a variable as well."""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve OpenAI's transcription API, and the panel",
        description="Serves until Ctrl-C or SIGTERM. Every setting is a variable MEDASR_<NAME>, too.",
    )
    for name, text in FLAGS.items():
        parser.add_argument(f"--{name}", help=f"{text}; default: as set", metavar=name.upper())
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, config: Settings) -> int:
    chosen = {name: value for name in FLAGS if (value := getattr(options, name)) is not None}
    changed(config, **chosen)  # what is wrong is said before anything starts
    from medasr_service.serving.start import serve

    serve({f"MEDASR_{name.upper()}": value for name, value in chosen.items()})
    return EXIT_OK
