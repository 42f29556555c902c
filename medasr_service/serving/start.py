"""Starting the service from Python: what `bentoml serve service:MedASR` does, wherever the package lies."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SERVICE = "medasr_service.serving.services:MedASR"


def check_home() -> None:
    """Raises SystemExit with one line where BentoML cannot keep its files; it would say so in a hundred."""
    folder = Path(os.environ.get("BENTOML_HOME", "~/bentoml"))
    with suppress(OSError, RuntimeError):  # RuntimeError: nor is there a home
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
    raise SystemExit(
        f"medasr: BentoML can keep no files in {folder}: set BENTOML_HOME to a folder that it may write"
    )


def serve(variables: Mapping[str, str] | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C; ``variables`` are settings (``MEDASR_PORT``), before the environment's.

    The services read their settings from the environment, each process for itself, so that they must not have
    been imported before. Raises SystemExit with one line where the service cannot start.
    """
    os.environ.update(variables or {})
    check_home()
    from _bentoml_impl.server import serve_http
    from bentoml._internal.log import configure_server_logging

    configure_server_logging()
    from medasr_service.serving import services

    services.MedASR.inject_config()  # type: ignore[attr-defined]
    serve_http(SERVICE, working_dir=".")
