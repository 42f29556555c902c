"""Starting the service from Python: what `bentoml serve service:MedASR` does, wherever the package lies."""

import os
from collections.abc import Mapping

SERVICE = "medasr_service.serving.services:MedASR"


def serve(variables: Mapping[str, str] | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C; ``variables`` are settings (``MEDASR_PORT``), before the environment's.

    The services read their settings from the environment, each process for itself, so that they must not have
    been imported before. Raises SystemExit with one line where the service cannot start.
    """
    os.environ.update(variables or {})
    from _bentoml_impl.server import serve_http
    from bentoml._internal.log import configure_server_logging

    configure_server_logging()
    from medasr_service.serving import services

    services.MedASR.inject_config()  # type: ignore[attr-defined]
    serve_http(SERVICE, working_dir=".")
