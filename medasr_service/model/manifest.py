"""The manifest of an ONNX artefact: what it was made from, and the SHA-256 of each of its files.

An artefact is a folder with model.onnx, its weights, copies of the checkpoint's small files, and
manifest.json: all that serving needs, without the checkpoint itself.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medasr_service.model.digests import sha256

MODEL, MANIFEST, CONFIDENCE = "model.onnx", "manifest.json", "confidence.json"
FORMAT = 5  # raise it when the exported graph or the set of files changes
SHIPPED = (Path(__file__).parents[1] / "demo_model" / "artefacts", Path(__file__).parents[2] / "artefacts")
"""Folders of artefacts that came with the sources: the demo model's, and what is baked into a Bento."""
MAKERS = ("torch", "transformers", "onnxscript")

log = logging.getLogger("bentoml.medasr")


@dataclass(frozen=True, slots=True)
class Manifest:
    """``requested`` is the revision as it was asked of the hub, ``revision`` the commit that it was then;
    ``made_at`` is a UTC time that sorts as text. ``source`` is what an artefact is compared by."""

    model: str
    revision: str
    requested: str | None
    precision: str
    demo: bool
    made_at: str
    source: dict[str, Any]
    files: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """None where there is none that this version wrote."""
        try:
            content = json.loads((folder / MANIFEST).read_text())
            source = content["source"]
            if source["format"] != FORMAT or MODEL not in content["files"]:
                return None
            return cls(
                model=source["model"],
                revision=source["revision"],
                requested=content["requested_revision"],
                precision=source["precision"],
                demo=content["demo"],
                made_at=content["made_at"],
                source=source,
                files=dict(content["files"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def fits(self, folder: Path) -> bool:
        """Whether each file is there as it was made."""
        try:
            return all(sha256(folder / name) == sha for name, sha in self.files.items())
        except OSError:
            return False

    def answers(self, revision: str | None) -> bool:
        """Whether this is the revision that the settings name."""
        return self.requested == revision or (revision is not None and self.revision == revision)


def find(
    folders: Iterable[Path], model: str, revision: str | None, precision: str
) -> tuple[Path, Manifest] | None:
    """The newest whole artefact of a hub model, among all in these folders; a damaged one is passed over."""
    found = [
        (folder, manifest)
        for folder, manifest in _of_model(folders, model)
        if manifest.precision == precision and manifest.answers(revision)
    ]
    for folder, manifest in sorted(found, key=lambda pair: pair[1].made_at, reverse=True):
        if manifest.fits(folder):
            return folder, manifest
        log.warning("the artefact %s is damaged", folder)
    return None


def revisions(folders: Iterable[Path], model: str) -> list[str]:
    """What MEDASR_REVISION may be for the artefacts of a model in these folders."""
    return sorted({manifest.revision for _, manifest in _of_model(folders, model)})


def _of_model(folders: Iterable[Path], model: str) -> list[tuple[Path, Manifest]]:
    pairs = [
        (file.parent, Manifest.read(file.parent)) for each in folders for file in each.glob(f"*/{MANIFEST}")
    ]
    return [(folder, manifest) for folder, manifest in pairs if manifest and manifest.model == model]


def missing_makers() -> list[str]:
    """Packages without which no artefact can be made; serving needs none of them."""
    return [name for name in MAKERS if find_spec(name) is None]


def how_to_make() -> str:
    """What is missing, and what installs it: part of a message."""
    missing = missing_makers()
    return f"{', '.join(missing)}: pip install {' '.join(missing)}, or in a clone: make setup-export"
