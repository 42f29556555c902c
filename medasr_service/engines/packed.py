"""The weights as the operators of this CPU want them, in a file that all workers map: they hold them once.

ONNX Runtime brings weights into the order of its matrix products when it loads them, into memory of its own:
420 MB of each worker at full size. It can write what it has made beside the graph, optimised for this CPU,
and map it again: the same operators on the same values, so that every posterior is the same, bit by bit.

What is kept holds for one artefact, one version of ONNX Runtime and one kind of CPU. It has both orders: on
disk it is twice the artefact.
"""

import hashlib
import json
import logging
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from medasr_service.engines.artefact import alone
from medasr_service.engines.sessions import session
from medasr_service.errors import ModelUnavailable
from medasr_service.model.digests import sha256
from medasr_service.model.manifest import MODEL

PACKED = "packed.json"  # beside the packed model, as manifest.json is beside an artefact
ROOM = 2.5  # of the artefact's size: what must be free before it is tried
NOISE_FEATURES = 500  # 5 s
CPUINFO = Path("/proc/cpuinfo")
SAME_CPU = {"vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features"}  # x86, ARM

log = logging.getLogger("bentoml.medasr")


def find(model: Path, cache: Path, *, bf16: bool = False) -> Path | None:
    """The packed model.onnx of an artefact's, where it is whole and made for this machine.

    ``bf16``: for products in bfloat16, see ``session``.
    """
    folder, source = _place(model, cache, bf16)
    try:
        content = json.loads((folder / PACKED).read_text())
        whole = all(sha256(folder / name) == sha for name, sha in content["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return folder / MODEL if whole and content.get("source") == source else None


def ensure(model: Path, cache: Path, *, bf16: bool = False) -> Path | None:
    """The same, made where it is missing; None where it cannot be made or kept: each worker has its own
    then.
    """
    if found := find(model, cache, bf16=bf16):
        return found
    folder, source = _place(model, cache, bf16)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with alone(cache / f"{folder.name}.lock", folder.name):
            if not (found := find(model, cache, bf16=bf16)):
                shutil.rmtree(folder, ignore_errors=True)
                _make(model, folder, source, bf16)
                found = folder / MODEL
        return found
    except Exception as error:  # ONNX Runtime has no narrower class
        reason = getattr(error, "strerror", None) or error
        log.warning("each worker holds weights of its own: they cannot be kept in %s (%s)", cache, reason)
        return None


def _place(model: Path, cache: Path, bf16: bool) -> tuple[Path, dict[str, Any]]:
    """Where it is kept, and what it is made from. One folder for a kind of CPU: a new version takes its
    place.
    """
    cpu = _cpu()
    source = {
        "sha256": {each.name: sha256(each) for each in sorted(model.parent.glob(f"{MODEL}*"))},
        "onnxruntime": onnxruntime.__version__,
        "cpu": cpu,
        "bf16": bf16,
    }
    return cache / f"{model.parent.name}-packed-{'bf16-' if bf16 else ''}{cpu}", source


def _cpu(info: Path = CPUINFO) -> str:
    """Which operators ONNX Runtime chooses depends on what the CPU can do."""
    try:
        first = info.read_text().partition("\n\n")[0]
    except OSError:
        first = f"vendor_id: {platform.processor()}"
    pairs = [line.partition(":")[::2] for line in first.splitlines()]
    known = sorted((name.strip(), value.strip()) for name, value in pairs if name.strip() in SAME_CPU)
    return hashlib.sha256(json.dumps([platform.machine(), known]).encode()).hexdigest()[:12]


def _make(model: Path, folder: Path, source: dict[str, Any], bf16: bool) -> None:
    """Raises OSError, ModelUnavailable, and whatever ONNX Runtime does."""
    needed = ROOM * sum(each.stat().st_size for each in model.parent.glob(f"{MODEL}*"))
    if (free := shutil.disk_usage(folder.parent).free) < needed:
        raise ModelUnavailable(f"{needed / 2**20:.0f} MiB are needed, {free / 2**20:.0f} are free")
    log.info("packing the weights for this machine, once")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".packing-") as scratch:
        part = Path(scratch) / folder.name
        part.mkdir()
        before = _heard(session(model, threads=1, bf16=bf16, packed_into=part / MODEL))
        after = _heard(session(part / MODEL, threads=1, bf16=bf16, packed=True))
        if not np.array_equal(before, after):
            raise ModelUnavailable("what was packed hears something else")
        files = {each.name: sha256(each) for each in sorted(part.iterdir())}
        (part / PACKED).write_text(json.dumps({"source": source, "files": files}, indent=2) + "\n")
        part.replace(folder)


def _heard(loaded: onnxruntime.InferenceSession) -> NDArray[np.float32]:
    """The posteriors of noise, [1, frames, vocabulary]."""
    bins = loaded.get_inputs()[0].shape[2]
    noise = np.random.default_rng(0).normal(-5, 3, (1, NOISE_FEATURES, bins)).astype(np.float32)
    posteriors: NDArray[np.float32]
    [posteriors] = loaded.run(None, {"features": noise, "lengths": np.array([NOISE_FEATURES])})
    return posteriors
