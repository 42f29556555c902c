"""What a text depends on, besides the recording."""

import json
from hashlib import sha256 as sha256_of

from medasr_service.decoding import keywords, language_model, weights
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.digests import sha256
from medasr_service.model.manifest import CONFIDENCE
from medasr_service.settings import Settings
from medasr_service.version import VERSION

LM_SETTINGS = (
    "lm_weight",
    "word_score",
    "lm_numbers",
    "sure_posterior",
    "beam_size",
    "beam_size_token",
    "beam_threshold",
)
WEIGHTS = "model.safetensors"


def of(found: Checkpoint, config: Settings, decoding: str, formatting: str) -> dict[str, object]:
    """By names that people know."""
    network = (
        found.artefact.source["sha256"].get(WEIGHTS, "") if found.artefact else sha256(found.folder / WEIGHTS)
    )
    conditions = {
        "model": found.id,
        "revision": found.revision,
        "weights": network[:12],
        "engine": config.resolved_engine,
        "precision": config.precision,
        "windows": f"{config.windows}, {config.chunk_length_s:g} s / {config.stride_length_s:g} s",
        "gain": f"up to {config.max_gain:g}" if config.normalize else "none",
        "text": formatting,
        "version": VERSION,
    }
    if (fitted := found.folder / CONFIDENCE).is_file():
        conditions["probabilities"] = f"{fitted.name} {sha256(fitted)[:12]}"
    file = language_model.locate(found, config) if decoding == "lm" else None
    if file:
        conditions["language model"] = f"{file.name} {sha256(file)[:12]}"
        conditions |= weights.chosen(config, LM_SETTINGS, demo=found.demo)
    if terms := keywords.configured(config):
        conditions["keywords"] = f"{len(terms)} {sha256_of(json.dumps(terms).encode()).hexdigest()[:12]}"
        conditions["keyword_score"] = config.keyword_score
        conditions["sure_posterior"] = config.sure_posterior  # what is surely heard makes no room for them
    return conditions
