"""What runs the network. An engine turns waveforms into log-posteriors and knows nothing of requests."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medasr_service.engines import cpu
from medasr_service.errors import ModelUnavailable
from medasr_service.model import checkpoint as checkpoints
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.model.manifest import SHIPPED, how_to_make, missing_makers
from medasr_service.settings import Settings

MAX_PADDING = 0.25  # of a group, so that padding stays cheap
MAX_GROUP_SAMPLES = 30 * 16_000  # the longest window: more at once is slower, and takes memory in proportion


class Engine(Protocol):
    """``name`` is shown on /health."""

    name: str

    def infer(self, waveforms: Sequence[Waveform]) -> list[Emission]:
        """One emission per waveform, in order, each as if the waveform had been alone."""
        ...


Forward: TypeAlias = Callable[[list[Waveform]], NDArray[np.float32]]
"""One forward pass: waveforms of similar length to log-posteriors, [batch, frames, vocabulary], padded."""


def load(checkpoint: Checkpoint, settings: Settings, *, shared: bool = False) -> Engine:
    """The engine that the settings name; imports only what that one needs.

    ``shared``: its weights are those of other processes, too, where they are packed. Raises
    ModelUnavailable when the checkpoint cannot be run.
    """
    model = prepare(checkpoint, settings)
    if settings.resolved_engine == "torch":
        from medasr_service.engines.torch_ctc import TorchCTC

        return TorchCTC(checkpoint, settings.precision, threads=settings.threads)
    from medasr_service.engines import packed
    from medasr_service.engines.onnx_ctc import OnnxCTC

    found = packed.find(model, settings.cache_dir, bf16=settings.precision == "bf16") if shared else None
    return OnnxCTC(
        checkpoint, found or model, settings.precision, threads=settings.threads, packed=found is not None
    )


def share(model: Path, settings: Settings) -> bool:
    """Makes what processes can share of the weights of ``model``, from ``prepare``; whether they will."""
    if settings.resolved_engine == "torch":
        return False
    from medasr_service.engines import packed

    return packed.ensure(model, settings.cache_dir, bf16=settings.precision == "bf16") is not None


def prepare(checkpoint: Checkpoint, settings: Settings) -> Path:
    """What the engine of the settings runs: the checkpoint itself, or its ONNX artefact, made when needed."""
    if settings.resolved_engine == "torch":
        if missing_makers():
            raise ModelUnavailable(f"the torch engine needs {how_to_make()}")
        return checkpoint.folder
    if settings.precision == "bf16" and not cpu.has_bf16():
        raise ModelUnavailable(
            "precision bf16 needs a CPU with instructions for it (Neoverse V1, N2 and newer), and this"
            " one has none: use int8 or fp32"
        )
    from medasr_service.engines import artefact

    return artefact.ensure(checkpoint, settings.cache_dir, settings.exported_precision, shipped=SHIPPED)


def missing(settings: Settings) -> list[str]:
    """Packages that are not installed, and without which the model of the settings cannot be run: where its
    artefact is still to be made, or with the torch engine. Raises ModelUnavailable where it is no model."""
    makers = missing_makers()
    if not makers or settings.resolved_engine == "torch":
        return makers
    from medasr_service.engines import artefact

    if found := checkpoints.here(settings):
        kept = artefact.find(found, settings.cache_dir, settings.exported_precision, shipped=SHIPPED)
        return [] if kept else makers
    return [] if checkpoints.kept(settings) else makers


def infer_in_groups(
    waveforms: Sequence[Waveform], geometry: FrameGeometry, forward: Forward
) -> list[Emission]:
    """One emission per waveform, in order; waveforms too short for a frame are padded with silence."""
    padded = [np.pad(w, (0, max(0, geometry.receptive_samples - len(w)))) for w in waveforms]
    emissions: dict[int, Emission] = {}
    for group in groups([len(waveform) for waveform in padded]):
        posteriors = forward([padded[i] for i in group])
        for i, rows in zip(group, posteriors, strict=True):
            emissions[i] = rows[: geometry.frames(len(padded[i]))].copy()
    return [emissions[i] for i in range(len(waveforms))]


def padding_samples(lengths: Sequence[int]) -> int:
    """What is run over besides these lengths, to make the windows of each group equal."""
    return sum(lengths[group[0]] * len(group) - sum(lengths[i] for i in group) for group in groups(lengths))


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Positions of waveforms to run together: of similar length, longest first, and not too many.

    In a group the padding is at most MAX_PADDING of what is computed for its shortest member.
    """
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[group[0]] if group else lengths[i]
        if group and (
            lengths[i] < (1 - MAX_PADDING) * longest or longest * (len(group) + 1) > MAX_GROUP_SAMPLES
        ):
            yield group
            group = []
        group.append(i)
    if group:
        yield group
