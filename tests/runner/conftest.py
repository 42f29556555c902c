from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.runner.runner import GitHub, Runner


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    github = GitHub()
    runner = Runner(tmp_path, github)
    yield runner
    github.server.shutdown()
    github.server.server_close()
    for process in psutil.process_iter():
        try:
            if process.environ().get("FAKES") == str(tmp_path):
                process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
