"""The ONNX artefact of a checkpoint: kept in a cache beside a manifest, made once, never served when damaged.

An artefact is a folder ``<model>-<hash of the source>-<precision>`` with model.onnx, its weights, the small
files of the checkpoint, and manifest.json. It appears whole, by a rename, and serves without its checkpoint.
"""

import hashlib
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from medasr_service.errors import ModelUnavailable
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.digests import sha256
from medasr_service.model.manifest import (
    CONFIDENCE,
    FORMAT,
    MAKERS,
    MANIFEST,
    MODEL,
    Manifest,
    how_to_make,
    missing_makers,
)

KEPT = ("config.json", "tokenizer.json", "processor_config.json", "preprocessor_config.json", CONFIDENCE)
SOURCES = ("model.safetensors", *KEPT)

MAX_WAIT_S = 1800.0  # for another process's export; google/medasr takes a minute or two
FULL_BYTES = 1 << 20

log = logging.getLogger("bentoml.medasr")


def ensure(checkpoint: Checkpoint, cache: Path, precision: str, *, shipped: Sequence[Path] = ()) -> Path:
    """The model.onnx of a checkpoint: that which came with the sources (in a folder of ``shipped``), or is in
    the cache, or is exported now in a process of its own.

    Raises ModelUnavailable where it cannot be made or kept.
    """
    if kept := find(checkpoint, cache, precision, shipped=shipped):
        return kept
    folder, source = _place(checkpoint, cache, precision)
    if missing_makers():
        raise ModelUnavailable(
            f"there is no whole ONNX artefact of {checkpoint.id} ({precision}) in {cache}; making one needs"
            f" {how_to_make()}"
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with alone(cache / f"{folder.name}.lock", checkpoint.id):
            if not _is_whole(folder, source):
                shutil.rmtree(folder, ignore_errors=True)
                _make(checkpoint, folder, source)
    except OSError as error:
        raise ModelUnavailable(
            f"the ONNX artefact cannot be kept in {cache} ({error.strerror or error}): set MEDASR_CACHE_DIR"
        ) from None
    return folder / MODEL


def find(checkpoint: Checkpoint, cache: Path, precision: str, *, shipped: Sequence[Path] = ()) -> Path | None:
    """The model.onnx that is there already and whole, also in a cache that cannot be written.

    Raises ModelUnavailable where the checkpoint itself is an artefact, in another precision.
    """
    if checkpoint.artefact:
        if checkpoint.artefact.precision != precision:
            raise ModelUnavailable(
                f"{checkpoint.folder} is an artefact in {checkpoint.artefact.precision}, not in {precision}"
            )
        return checkpoint.folder / MODEL
    folder, source = _place(checkpoint, cache, precision)
    came = [file.parent for each in shipped for file in each.glob(f"*/{MANIFEST}")]
    return next((each / MODEL for each in (*came, folder) if _is_whole(each, source)), None)


def keep(checkpoint: Checkpoint, model: Path, cache: Path, precision: str) -> Path:
    """The model.onnx of the cache: where it came with the sources, of a copy. Raises ModelUnavailable."""
    folder, source = _place(checkpoint, cache, precision)
    if checkpoint.artefact or model.parent == folder:
        return model
    try:
        if not _is_whole(folder, source):
            cache.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix=".export-") as scratch:
                shutil.copytree(model.parent, Path(scratch) / folder.name).replace(folder)
    except OSError as error:
        raise ModelUnavailable(
            f"the ONNX artefact cannot be kept in {cache} ({error.strerror or error}): set MEDASR_CACHE_DIR"
        ) from None
    return folder / MODEL


def _place(checkpoint: Checkpoint, cache: Path, precision: str) -> tuple[Path, dict[str, Any]]:
    """Where the cache keeps the artefact, and what it is made from."""
    source = _source(checkpoint)
    name = re.sub(r"[^\w.-]+", "--", checkpoint.id)
    folder = cache / f"{name}-{_digest(source)}-{precision}"
    source["precision"] = precision
    return folder, source


@contextmanager
def alone(lock_file: Path, model: str) -> Iterator[None]:
    """One process makes an artefact; whoever else wants it waits, says so once, and not for ever."""
    lock = FileLock(lock_file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.info("waiting for another process, which exports %s to ONNX", model)
        try:
            lock.acquire(timeout=MAX_WAIT_S)
        except Timeout:
            raise ModelUnavailable(
                f"another process has been exporting {model} for {MAX_WAIT_S / 60:.0f} minutes"
                f" and still holds {lock_file}"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _source(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": checkpoint.id,
        "revision": checkpoint.revision,
        "sha256": {name: sha256(file) for name in SOURCES if (file := checkpoint.folder / name).is_file()},
    }


def _digest(source: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:12]


def _is_whole(folder: Path, source: dict[str, Any]) -> bool:
    """Whether each file is there, as the manifest has it, and was made from this source."""
    manifest = Manifest.read(folder)
    return (
        manifest is not None
        and {key: manifest.source.get(key) for key in source} == source
        and manifest.fits(folder)
    )


def _room(folder: Path) -> str:
    """The part of a message that says when the disk is full: what failed on it often does not."""
    free = shutil.disk_usage(folder).free
    where = folder.parent.parent
    return f" (the disk of {where} is full: set MEDASR_CACHE_DIR)" if free < FULL_BYTES else ""


def _make(checkpoint: Checkpoint, folder: Path, source: dict[str, Any]) -> None:
    log.info("exporting %s to ONNX, once; this takes a minute", checkpoint.id)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
        part = Path(scratch) / folder.name
        part.mkdir()
        module = "medasr_service.engines.export"
        command = [
            sys.executable,
            "-m",
            module,
            str(checkpoint.folder),
            source["precision"],
            str(part / MODEL),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
            raise ModelUnavailable(f"{checkpoint.id} cannot be exported to ONNX: {reason}{_room(part)}")
        for name in KEPT:
            if (checkpoint.folder / name).is_file():
                shutil.copyfile(checkpoint.folder / name, part / name)
        manifest = {
            "source": source,
            "requested_revision": checkpoint.requested_revision,
            "demo": checkpoint.demo,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "made_with": {package: version(package) for package in MAKERS},
            "files": {file.name: sha256(file) for file in sorted(part.iterdir())},
        }
        (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        part.replace(folder)
    log.info("exported to %s", folder)
