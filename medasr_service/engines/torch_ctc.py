"""The reference engine: transformers' own LasrForCTC and LasrFeatureExtractor, in fp32 or bf16."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForCTC, AutoProcessor
from transformers.utils import logging

from medasr_service.engines import infer_in_groups
from medasr_service.engines.cpu import quota
from medasr_service.errors import ModelUnavailable
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform

WARM_UP_S = 1.0


class TorchCTC:
    """Loads the checkpoint once and runs it once, so that a loaded engine is one that works."""

    def __init__(
        self, checkpoint: Checkpoint, precision: str = "fp32", *, threads: int | None = None
    ) -> None:
        """Raises ModelUnavailable when the weights do not fit the architecture."""
        self.name = f"torch {precision}"
        self._autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
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

    def infer(self, waveforms: Sequence[Waveform]) -> list[Emission]:
        """[frames, vocabulary] for each waveform."""
        return infer_in_groups(waveforms, self._geometry, self._forward)

    @torch.inference_mode()
    def _forward(self, waveforms: list[Waveform]) -> Emission:
        inputs = self._features(
            waveforms,
            sampling_rate=self._geometry.sample_rate,
            padding="longest",
            return_attention_mask=True,
            return_tensors="pt",
        )
        with self._autocast:
            logits = self._model(**inputs).logits
        posteriors: Emission = logits.float().log_softmax(dim=-1).numpy()
        return posteriors
