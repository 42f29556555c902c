"""The same rows from a cluster, a node of which dies; where Ray is installed (the extra ray)."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import PATIENCE_S, ROOT, Service

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (the extra ray)")


@pytest.mark.e2e
def test_a_node_that_dies_costs_no_text_and_doubles_none(service: Service) -> None:
    """As each night with 2,000: every recording has one row, with the text that the service gives for it."""
    command = [sys.executable, "-m", "loadtests.archive", "--recordings", "60", "--shard", "4"]
    process = subprocess.run(
        [*command, "--url", service.url], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert process.returncode == 0, process.stdout + process.stderr[-2000:]
    assert "a node was killed: True" in process.stdout
