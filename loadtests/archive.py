"""medasr archive on a Ray cluster of two nodes, one of which is killed in the middle.

    python -m loadtests.archive --recordings 2000

The nodes are processes of this machine. Every recording must have one row, with the text that the service
gives for it. Needs the extra ray.
"""

import argparse
import concurrent.futures
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

from loadtests import server
from medasr_service.archive.rows import FORMATS
from medasr_service.model.checkpoint import DEMO_FOLDER

RATE = 16_000
ROUTE = "/v1/audio/transcriptions"
CLUSTER = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens at the loopback address alone
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
}


@dataclass(frozen=True, slots=True)
class Found:
    """``told`` is the report of the command; ``rows``: of each recording the text, once for each row."""

    told: dict[str, Any]
    rows: dict[str, list[str]]
    killed: bool


def make(folder: Path, recordings: int) -> list[Path]:
    """Cuts of 1.5 to 3 s out of the bundled clips, no two alike."""
    clips = [
        soundfile.read(file, dtype="int16")[0] for file in sorted((DEMO_FOLDER / "clips").glob("*.flac"))
    ]
    rng = np.random.default_rng(3)
    made = []
    for at in range(recordings):
        clip = clips[at % len(clips)]
        length = int(rng.uniform(1.5, 3) * RATE)
        start = int(rng.integers(0, max(1, len(clip) - length)))
        made.append(folder / f"{at:05}.flac")
        soundfile.write(made[-1], clip[start : start + length], RATE)
    return made


@contextmanager
def cluster() -> Iterator[tuple[Any, list[Any]]]:
    """A head without work, and two nodes of one CPU each."""
    os.environ.update(CLUSTER, RAY_AUTH_TOKEN=secrets.token_hex(32))
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 << 20}
    found = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [found.add_node(num_cpus=1, object_store_memory=100 << 20) for _ in range(2)]
        yield found, nodes
    finally:
        found.shutdown()


def run(source: Path, target: Path, *, shard: int, timeout_s: float) -> Found:
    """The command on a cluster; a node is killed when a few parts are there."""
    with cluster() as (found, nodes):
        arguments = [str(source), "--output", str(target), "--shard", str(shard), "--json"]
        with subprocess.Popen(
            [sys.executable, "-m", "medasr_service", "archive", *arguments, "--address", found.address],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MEDASR_THREADS": "1"},
        ) as command:
            deadline = time.monotonic() + timeout_s
            while len(parts(target)) < 3 and command.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            killed = command.poll() is None
            if killed:
                found.remove_node(nodes[-1], allow_graceful=False)
            try:
                told, _ = command.communicate(timeout=timeout_s)
            finally:
                command.kill()
    if not told:
        raise SystemExit(f"medasr archive ended with {command.returncode}, and without a report")
    return Found(json.loads(told), rows(target), killed)


def parts(target: Path) -> list[Path]:
    return list(target.glob("*/part-*.jsonl"))


def rows(target: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in parts(target):
        part = FORMATS["jsonl"].read(file.read_bytes())
        for row in part.rows.values():
            found.setdefault(Path(row.file).name, []).append(str(row.content.get("text", row.code)))
    return found


def texts(files: list[Path], url: str) -> dict[str, str]:
    """What the service says of each."""

    def ask(file: Path) -> str:
        answer = client.post(f"{url}{ROUTE}", files={"file": file.read_bytes()}, timeout=600)
        answer.raise_for_status()
        return str(answer.json()["text"])

    with httpx.Client() as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        return dict(zip((file.name for file in files), pool.map(ask, files), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=32)
    parser.add_argument("--url", help="of a service that runs already; default: one is started")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        files = make(source, options.recordings)
        if options.url:
            expected = texts(files, options.url)
        else:
            with server.running(None) as service:
                expected = texts(files, service.url)
        began = time.monotonic()
        found = run(source, target, shard=options.shard, timeout_s=3600)
        seconds = time.monotonic() - began
    wrong = [name for name in expected if found.rows.get(name) != [expected[name]]]
    print(json.dumps(found.told, indent=2))
    print(f"{len(files):,} recordings in {seconds:.0f} s, cluster and all; a node was killed: {found.killed}")
    print(f"{len(wrong):,} have another text than the service's, or not one row")
    sys.exit(bool(wrong) or not found.killed)


if __name__ == "__main__":
    main()
