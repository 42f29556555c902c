"""Which checkpoint is served, and where its files are. There is no fallback from one to another."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from medasr_service.errors import ModelUnavailable
from medasr_service.model.geometry import FrameGeometry
from medasr_service.model.manifest import (
    MANIFEST,
    SHIPPED,
    Manifest,
    find,
    how_to_make,
    missing_makers,
    revisions,
)
from medasr_service.settings import DEMO_MODEL, Settings

DEMO_FOLDER = Path(__file__).parent.parent / "demo_model"
DEMO_NOTICE = "demo model, trained on synthetic voices: not for clinical use"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk; ``id`` is its public name, ``aliases`` are other names that requests may use.

    ``folder`` is that of its artefact where the weights themselves are not needed; ``requested_revision`` is
    what the hub was asked for.
    """

    folder: Path
    id: str
    aliases: frozenset[str]
    revision: str
    demo: bool
    requested_revision: str | None = None
    artefact: Manifest | None = None

    @property
    def config(self) -> dict[str, Any]:
        return _read_json(self.folder / "config.json")

    @property
    def geometry(self) -> FrameGeometry:
        """Frames and samples, from the configuration of the encoder and of the feature extractor."""
        encoder = self.config["encoder_config"]
        front_end = self.feature_extractor
        return FrameGeometry(
            sample_rate=front_end["sampling_rate"],
            window=front_end["win_length"],
            hop=front_end["hop_length"],
            kernel=encoder["subsampling_conv_kernel_size"],
            stride=encoder["subsampling_conv_stride"],
        )

    @property
    def feature_extractor(self) -> dict[str, Any]:
        """The configuration of the front end."""
        processor = self.folder / "processor_config.json"
        if processor.exists():
            config: dict[str, Any] = _read_json(processor).get("feature_extractor", {})
            if config:
                return config
        return _read_json(self.folder / "preprocessor_config.json")


def resolve(settings: Settings, *, ask_hub: bool = False) -> Checkpoint:
    """Finds the checkpoint that the settings name, downloading it where it comes from the hub.

    A hub model whose artefact is kept already is served from that, and the hub is not asked: the service
    starts without a network, and the model does not change by itself. ``ask_hub`` looks for a newer one.
    Raises ModelUnavailable with one line that says what to do.
    """
    checkpoint = here(settings) or (None if ask_hub else kept(settings)) or _from_hub(settings, ask_hub)
    if checkpoint.artefact and settings.resolved_engine == "torch":
        raise ModelUnavailable(
            f"{checkpoint.folder} is an ONNX artefact; the torch engine needs the checkpoint"
        )
    _check(checkpoint)
    return checkpoint


def here(settings: Settings) -> Checkpoint | None:
    """The demo model, or the folder that the settings name; None where they name a hub model."""
    if settings.model == DEMO_MODEL:
        return Checkpoint(DEMO_FOLDER, "medasr-demo", frozenset({DEMO_MODEL}), "bundled", demo=True)
    folder = Path(settings.model)
    return _local(folder.resolve()) if folder.is_dir() else None


def _local(folder: Path) -> Checkpoint:
    """A folder with a checkpoint, or with an artefact of one."""
    if not (folder / MANIFEST).exists():
        return Checkpoint(folder, folder.name, frozenset({"medasr"}), "local", demo=_is_demo(folder))
    manifest = Manifest.read(folder)
    if manifest is None or not manifest.fits(folder):
        raise ModelUnavailable(f"the artefact {folder} is damaged: run `medasr export` again")
    return _of_artefact(folder, manifest)


def _of_artefact(folder: Path, manifest: Manifest) -> Checkpoint:
    return Checkpoint(
        folder,
        manifest.model,
        frozenset({DEMO_MODEL if manifest.revision == "bundled" else "medasr"}),
        manifest.revision,
        manifest.demo,
        manifest.requested,
        manifest,
    )


def kept(settings: Settings) -> Checkpoint | None:
    """A hub model from its artefact, where that is kept. Raises ModelUnavailable where it is no hub id."""
    from medasr_service.model import hub

    hub.check(settings.model)
    if settings.resolved_engine == "torch":
        return None
    found = find(
        (settings.cache_dir, *SHIPPED), settings.model, settings.revision, settings.exported_precision
    )
    return _of_artefact(*found) if found else None


def _from_hub(settings: Settings, ask_hub: bool) -> Checkpoint:
    """A hub model itself, to make its artefact of; where none can be made, the hub is not asked."""
    from medasr_service.model import hub

    if settings.resolved_engine == "onnx" and not ask_hub and missing_makers():
        others = ", ".join(revisions((settings.cache_dir, *SHIPPED), settings.model))
        raise ModelUnavailable(
            f"there is no ONNX artefact of {settings.model} ({settings.revision or 'newest'},"
            f" {settings.exported_precision}) in {settings.cache_dir}"
            + (f", only of revision {others}" if others else "")
            + f": run `medasr export`, which needs {how_to_make()}"
        )
    folder = hub.download(settings.model, settings.revision)
    return Checkpoint(folder, settings.model, frozenset({"medasr"}), folder.name, False, settings.revision)


def _is_demo(folder: Path) -> bool:
    """A copy of the bundled checkpoint stays a demo model wherever it lies."""
    weights, demo = folder / "model.safetensors", DEMO_FOLDER / "model.safetensors"
    return (
        weights.is_file()
        and weights.stat().st_size == demo.stat().st_size
        and weights.read_bytes() == demo.read_bytes()
    )


def _check(checkpoint: Checkpoint) -> None:
    weights = [] if checkpoint.artefact else ["model.safetensors"]
    for name in ("config.json", *weights, "tokenizer.json"):
        if not (checkpoint.folder / name).is_file():
            raise ModelUnavailable(f"the model folder {checkpoint.folder} has no {name}")
    try:
        kind = checkpoint.config.get("model_type")
        if kind != "lasr_ctc":
            raise ModelUnavailable(f"{checkpoint.id} is a {kind} model; this service runs lasr_ctc")
        _ = checkpoint.geometry
        for name in weights:
            with safe_open(checkpoint.folder / name, framework="np") as file:
                file.keys()
        _check_tokenizer(checkpoint.folder / "tokenizer.json")
    except (SafetensorError, KeyError, FileNotFoundError) as error:
        raise ModelUnavailable(f"the files of {checkpoint.id} are damaged or incomplete: {error}") from None


def _check_tokenizer(file: Path) -> None:
    try:
        Tokenizer.from_file(str(file))
    except Exception:  # tokenizers raises no narrower class
        raise ModelUnavailable(f"{file} is not a tokenizer") from None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ModelUnavailable(f"{file} is not a JSON object")
    return content
