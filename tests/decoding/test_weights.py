"""What belongs to a model comes with it, and settings override each part."""

import pytest

from medasr_service.decoding import language_model, weights
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model import checkpoint
from medasr_service.settings import Settings

NAMES = ("lm_weight", "word_score", "beam_size")


def chosen(*, demo: bool, **settings: float) -> tuple[float, ...]:
    return tuple(weights.chosen(Settings(**settings), NAMES, demo=demo).values())  # type: ignore[arg-type]


def test_the_published_parameters_are_those_of_the_real_model() -> None:
    assert chosen(demo=False) == (0.5, 1.5, 8)
    assert chosen(demo=True) == (0.5, 0.0, 16)


@pytest.mark.parametrize("demo", [True, False])
def test_a_setting_overrides_its_own_alone(demo: bool) -> None:
    assert chosen(demo=demo, word_score=0.25)[1] == 0.25
    assert chosen(demo=demo, lm_weight=0.0)[0] == 0.0
    assert chosen(demo=demo, beam_size=4) == (*chosen(demo=demo)[:2], 4)


def test_a_decoder_has_what_belongs_to_its_model() -> None:
    pytest.importorskip("flashlight.lib.text")
    found = checkpoint.resolve(Settings())
    decoder = language_model.load(found, Vocabulary.load(found.folder), Settings(beam_size=5))
    assert decoder
    assert (decoder._weights.word_score, decoder._weights.beam_size) == (0.0, 5)
