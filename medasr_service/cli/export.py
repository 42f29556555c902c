"""medasr export: makes the ONNX artefact of the model that is set, so that the first start need not."""

import argparse
from typing import Any

from medasr_service import checkpoint, engines
from medasr_service.cli.status import EXIT_OK
from medasr_service.settings import Settings


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "export", help="make the ONNX artefact of the model of MEDASR_MODEL; print its path"
    )
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace, config: Settings) -> int:
    print(engines.prepare(checkpoint.resolve(config, ask_hub=True), config))
    return EXIT_OK
