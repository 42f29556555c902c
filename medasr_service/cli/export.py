"""medasr export: makes the ONNX artefact of the model that is set, so that the first start need not."""

import argparse
from typing import Any

from medasr_service import engines
from medasr_service.cli.console import put
from medasr_service.cli.status import EXIT_OK
from medasr_service.decoding import language_model
from medasr_service.engines import artefact
from medasr_service.model import checkpoint
from medasr_service.settings import Settings


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="make the ONNX artefact of the model of MEDASR_MODEL, with its language model; print its path",
    )
    parser.set_defaults(run=run)


def run(_options: argparse.Namespace, config: Settings) -> int:
    found = checkpoint.resolve(config, ask_hub=True)
    model = engines.prepare(found, config)
    if config.resolved_engine == "onnx":
        model = artefact.keep(found, model, config.cache_dir, config.exported_precision)
    if model.is_relative_to(config.cache_dir):
        language_model.keep(found, config, model.parent)
    put(str(model))
    return EXIT_OK
