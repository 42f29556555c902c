"""What an exported network is refused for: another text, not the logarithm of what is next to impossible."""

import numpy as np
import pytest
from numpy.typing import NDArray

from medasr_service.engines.export import check


def posteriors(seed: int, *, sharpness: float) -> NDArray[np.float32]:
    logits = np.random.default_rng(seed).normal(0, sharpness, (80, 512))
    return _log(logits)


def _log(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    log_posteriors = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.asarray(log_posteriors, np.float32)


ORIGINAL = posteriors(0, sharpness=8.0)


def test_rounding_that_moves_little_probability_passes_whatever_the_logarithms() -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, ORIGINAL.shape)
    unlikely = np.where(ORIGINAL < -20, 4.0, 0.0)  # beyond any limit on logarithms
    check(ORIGINAL, _log(ORIGINAL + noise + unlikely), "int8")


@pytest.mark.parametrize("sharpness", [0.05, 1.0, 8.0])
def test_another_network_is_refused_however_unsure_both_are(sharpness: float) -> None:
    original = posteriors(0, sharpness=sharpness)
    with pytest.raises(RuntimeError, match="use fp32"):
        check(original, posteriors(1, sharpness=sharpness), "int8")
    check(original, original, "int8")


def test_a_network_that_says_one_thing_always_is_refused() -> None:
    constant = np.repeat(ORIGINAL[:1], len(ORIGINAL), axis=0)
    with pytest.raises(RuntimeError, match="use fp32"):
        check(ORIGINAL, constant, "int8")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_is_no_number_is_refused(precision: str) -> None:
    with pytest.raises(RuntimeError):
        check(ORIGINAL, np.full_like(ORIGINAL, np.nan), precision)


def test_in_fp32_the_logarithms_count() -> None:
    check(ORIGINAL, ORIGINAL + np.float32(1e-4), "fp32")
    with pytest.raises(RuntimeError, match="differs from the original by"):
        check(ORIGINAL, ORIGINAL + np.float32(1e-2), "fp32")
