"""Parameters of the search that belong to a model and its language model; settings override each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from medasr_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Own:
    """Under the names of the settings."""

    lm_weight: float
    word_score: float
    beam_size: int


# google/medasr's notebook decodes with alpha 0.5 and beta 1.5, the defaults of pyctcdecode, and a beam of 8.
# One user's 30 dictations did best at 0.1 to 0.2 and 0.25 to 0.5: measure your own.
MEDASR = Own(lm_weight=0.5, word_score=1.5, beam_size=8)
# Chosen on held-out sentences of the demo's grammar (python -m training.lm_sweep).
DEMO = Own(lm_weight=0.5, word_score=0.0, beam_size=16)


def chosen(settings: Settings, names: Iterable[str], *, demo: bool) -> dict[str, Any]:
    """These settings; where one says nothing, what belongs to the model."""
    own = DEMO if demo else MEDASR
    values = {name: getattr(settings, name) for name in names}
    return {name: getattr(own, name) if value is None else value for name, value in values.items()}
