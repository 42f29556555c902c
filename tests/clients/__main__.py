"""Installs clients, all or those named, and runs them: python -m tests.clients [ENVIRONMENT...]"""

import subprocess
import sys

import pytest

from tests.clients.matrix import CLIENTS


def main(names: list[str]) -> int:
    for client in {client.environment: client for client in CLIENTS}.values():
        if (not names or client.environment in names) and not (client.folder / "installed").exists():
            print(f"installing {client.environment}", flush=True)
            try:
                client.install()
            except subprocess.CalledProcessError as error:
                print(f"{client.environment} cannot be installed here: {error}", file=sys.stderr)
    return pytest.main(["tests/clients", "-v"])


sys.exit(main(sys.argv[1:]))
