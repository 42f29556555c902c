"""A running service of which an operator wants to see everything: who looks at it from outside shares it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import Service
from tests.telemetry.collector import Collector, collector


@dataclass(frozen=True)
class Seen:
    """``folder`` is its temporary one; ``disk`` that of its uploads, None where nothing may be mounted."""

    service: Service
    collector: Collector
    folder: Path
    disk: Path | None


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="package")
def seen(start_service: Callable[..., Service]) -> Iterator[Seen]:
    """It sends its spans, logs as JSON, has a small disk, and gives its model all the time in the world."""
    with (
        TemporaryDirectory() as name,  # short, for there are sockets in it
        small_disk(Path(name) / "disk") as disk,
        collector() as (found, address),
    ):
        spool = {"MEDASR_SPOOL_DIR": str(disk)} if disk else {}
        service = start_service(
            TMPDIR=name,
            BENTOML_HOME=f"{name}/bentoml",
            OTEL_EXPORTER_OTLP_ENDPOINT=address,
            OTEL_BSP_SCHEDULE_DELAY="200",
            MEDASR_LOG_FORMAT="json",
            MEDASR_MODEL_TIMEOUT_S="600",
            **spool,
        )
        try:
            service.wait_until_ready()
            yield Seen(service, found, Path(name), disk)
        finally:
            service.stop()
