"""The reference engine: transformers' own LasrForCTC and LasrFeatureExtractor, in fp32."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForCTC, AutoProcessor
from transformers.utils import logging

from medasr_service.checkpoint import Checkpoint
from medasr_service.engines import groups
from medasr_service.engines.cpu import quota
from medasr_service.errors import ModelUnavailable
from medasr_service.geometry import Emission, Waveform

WARM_UP_S = 1.0


class TorchCTC:
    """Loads the checkpoint once and runs it once, so that a loaded engine is one that works."""

    name = "torch fp32"

    def __init__(self, checkpoint: Checkpoint, *, threads: int | None = None) -> None:
        """Raises ModelUnavailable when the weights do not fit the architecture."""
        torch.set_num_threads(threads or quota())
        logging.disable_progress_bar()
        self._geometry = checkpoint.geometry
        try:
            processor = AutoProcessor.from_pretrained(checkpoint.folder)
            model, info = AutoModelForCTC.from_pretrained(
                checkpoint.folder, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelUnavailable(f"{checkpoint.id} cannot be loaded: {error}") from error
        if info["missing_keys"] or info["mismatched_keys"]:
            raise ModelUnavailable(f"{checkpoint.id} lacks weights of its own architecture")
        self._features = processor.feature_extractor
        self._model = model.eval()
        with warnings.catch_warnings():  # torch notes once that an even kernel is padded by a copy
            warnings.filterwarnings("ignore", message="Using padding='same'")
            self.infer([np.zeros(int(WARM_UP_S * self._geometry.sample_rate), np.float32)])

    @torch.inference_mode()
    def infer(self, waveforms: Sequence[Waveform]) -> list[Emission]:
        """[frames, vocabulary] for each waveform; one shorter than a frame is padded with silence."""
        emissions: dict[int, Emission] = {}
        for group in groups([len(waveform) for waveform in waveforms]):
            emissions.update(zip(group, self._forward([waveforms[i] for i in group]), strict=True))
        return [emissions[i] for i in range(len(waveforms))]

    def _forward(self, waveforms: Sequence[Waveform]) -> list[Emission]:
        shortest = self._geometry.receptive_samples
        padded = [np.pad(w, (0, max(0, shortest - len(w)))) for w in waveforms]
        inputs = self._features(
            padded,
            sampling_rate=self._geometry.sample_rate,
            padding="longest",
            return_attention_mask=True,
            return_tensors="pt",
        )
        logits = self._model(**inputs).logits.float()
        posteriors = logits.log_softmax(dim=-1).numpy()
        return [posteriors[i, : self._geometry.frames(len(w))].copy() for i, w in enumerate(padded)]
