"""The ONNX artefact of a checkpoint: kept in a cache beside a manifest, made once, never served when damaged.

An artefact is a folder ``<model>-<hash of the source>-<precision>`` with model.onnx, its weights, and
manifest.json, which says what it was made from, and the SHA-256 of each file. It appears whole, by a rename.
"""

import hashlib
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from medasr_service.checkpoint import Checkpoint
from medasr_service.errors import ModelUnavailable

MODEL, MANIFEST = "model.onnx", "manifest.json"
FORMAT = 1  # raise it when the exported graph changes
SOURCES = ("config.json", "model.safetensors")
MAKERS = ("torch", "transformers", "onnxscript")

log = logging.getLogger("bentoml.medasr")


def ensure(checkpoint: Checkpoint, cache: Path, precision: str) -> Path:
    """The model.onnx of a checkpoint, from the cache, or exported now in a process of its own.

    Raises ModelUnavailable where it cannot be made or kept.
    """
    source = _source(checkpoint)
    name = re.sub(r"[^\w.-]+", "--", checkpoint.id)
    folder = cache / f"{name}-{_digest(source)}-{precision}"
    if _is_whole(folder, source):  # also in a cache that cannot be written
        return folder / MODEL
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not _is_whole(folder, source):
                shutil.rmtree(folder, ignore_errors=True)
                _make(checkpoint, folder, {**source, "precision": precision})
    except OSError as error:
        raise ModelUnavailable(
            f"the ONNX artefact cannot be kept in {cache} ({error.strerror or error}): set MEDASR_CACHE_DIR"
        ) from None
    return folder / MODEL


def _source(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": checkpoint.id,
        "revision": checkpoint.revision,
        "sha256": {file: _sha256(checkpoint.folder / file) for file in SOURCES},
    }


def _digest(source: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:12]


def _is_whole(folder: Path, source: dict[str, Any]) -> bool:
    """Whether each file is there, as the manifest has it, and was made from this source."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        made_from = {key: manifest["source"][key] for key in source}
        files = manifest["files"]
        return made_from == source and all(_sha256(folder / file) == sha for file, sha in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(checkpoint: Checkpoint, folder: Path, source: dict[str, Any]) -> None:
    log.info("exporting %s to ONNX, once; this takes a minute", checkpoint.id)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
        part = Path(scratch) / folder.name
        part.mkdir()
        module = "medasr_service.engines.export"
        command = [sys.executable, "-m", module, str(checkpoint.folder), str(part / MODEL)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
            raise ModelUnavailable(f"{checkpoint.id} cannot be exported to ONNX: {reason}")
        manifest = {
            "source": source,
            "made_with": {package: version(package) for package in MAKERS},
            "files": {file.name: _sha256(file) for file in sorted(part.iterdir())},
        }
        (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        part.replace(folder)
    log.info("exported to %s", folder)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
