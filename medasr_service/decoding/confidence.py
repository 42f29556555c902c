"""From what the network says of a word to how often such a word is right.

A network trained with CTC is surer than it should be, most of all in noise. A checkpoint may therefore have a
file ``confidence.json`` beside it: slope and intercept of a straight line between the logarithms of the odds
(Platt, 1999), fitted on recordings whose text is known. It never changes which of two words is surer.
A checkpoint without the file, such as google/medasr, has not been measured: its probabilities stay as they
are.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medasr_service.errors import ModelUnavailable
from medasr_service.model.manifest import CONFIDENCE

CERTAIN = 1e-4  # odds beyond are not told apart: the fit has not seen enough such words


@dataclass(frozen=True, slots=True)
class Confidence:
    """``probability`` maps the posterior of a word's least certain piece to the share of such words that is
    right."""

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def load(cls, folder: Path) -> "Confidence":
        """Of a checkpoint, or an artefact; as it is where it has not been measured.

        Raises ModelUnavailable for a file that is no such map.
        """
        try:
            content: Any = json.loads((folder / CONFIDENCE).read_text())
            found = cls(float(content["slope"]), float(content["intercept"]))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelUnavailable(f"{folder / CONFIDENCE} cannot be read: {error}") from None
        if not (found.slope > 0 and math.isfinite(found.slope) and math.isfinite(found.intercept)):
            raise ModelUnavailable(f"{folder / CONFIDENCE}: the slope must be above 0, and both finite")
        return found

    def probability(self, posterior: float) -> float:
        """In [0, 1], rising with the posterior."""
        if self == AS_IT_IS:
            return posterior
        return 1 / (1 + math.exp(-self.slope * log_odds(posterior) - self.intercept))


AS_IT_IS = Confidence()


def log_odds(probability: float) -> float:
    """The logarithm of p / (1 - p), for p from CERTAIN to 1 - CERTAIN."""
    within = min(max(probability, CERTAIN), 1 - CERTAIN)
    return math.log(within / (1 - within))
