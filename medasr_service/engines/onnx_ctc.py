"""The fast engine: ONNX Runtime on the exported network, the front end in numpy, no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from medasr_service.engines import infer_in_groups
from medasr_service.engines.cpu import quota
from medasr_service.engines.frontend import LogMel
from medasr_service.engines.sessions import session
from medasr_service.errors import ModelUnavailable
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform

BUCKET_FRAMES = 64  # lengths are padded to multiples of 0.64 s: few distinct shapes for little work
WARM_UP_S = 1.0


class OnnxCTC:
    """Loads the artefact once and runs it once, so that a loaded engine is one that works."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        artefact: Path,
        precision: str,
        *,
        threads: int | None = None,
        packed: bool = False,
    ) -> None:
        """``packed``: the artefact is one of ``packed``. Raises ModelUnavailable when it cannot be run."""
        self.name = f"onnxruntime {precision}"
        self._run_options = onnxruntime.RunOptions()
        # within a run memory is used again, after it given back: what is held does not creep
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            self._session = session(
                artefact, threads=threads or quota(), bf16=precision == "bf16", packed=packed
            )
        except Exception as error:  # ONNX Runtime has no narrower class
            raise ModelUnavailable(f"{checkpoint.id} cannot be run by ONNX Runtime: {error}") from error
        self._geometry = checkpoint.geometry
        self._features = LogMel(checkpoint.feature_extractor)
        self.infer([np.zeros(int(WARM_UP_S * self._geometry.sample_rate), np.float32)])

    def infer(self, waveforms: Sequence[Waveform]) -> list[Emission]:
        """[frames, vocabulary] for each waveform."""
        return infer_in_groups(waveforms, self._geometry, self._forward)

    def _forward(self, waveforms: list[Waveform]) -> Emission:
        features = [self._features(waveform) for waveform in waveforms]
        length = -(-max(map(len, features)) // BUCKET_FRAMES) * BUCKET_FRAMES
        batch = np.zeros((len(features), length, features[0].shape[1]), np.float32)
        for i, each in enumerate(features):
            batch[i, : len(each)] = each
        inputs = {"features": batch, "lengths": np.array([len(each) for each in features])}
        posteriors: Emission
        [posteriors] = self._session.run(None, inputs, self._run_options)
        return posteriors
