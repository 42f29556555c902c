"""The model card tells what was measured, and how the weights were made."""

from dataclasses import replace

import numpy as np
import pytest

from medasr_service.evaluation.scoring import Found
from training.card import Facts, card
from training.evaluation import Figures, Recording, Row, Sent, Unspoken
from training.export import Picked

PICKED = Picked(Recording(np.zeros(16_000, np.float32), "No fracture {period}", "flite slt"), "", 2)
FACTS = Facts(
    figures=Figures(
        [Row("quiet", 240, 3624, 0.0210, 0.05)],
        [Sent("MP3 at 24 kbit/s", 0.031, 0.0201)],
        {"placeholder": Found(said=120, right=111, made_up=3)},
        Unspoken(120, 7),
    ),
    parameters=3_175_232,
    plain=(30.2, 15_148),
    wide=(12.9, 6_120),
    steps=8_400,
    training_s=4_800,
    missing=[],
    sample=PICKED,
    clips=[PICKED] * 12,
    warm=False,
)


def test_figures_stand_in_their_tables() -> None:
    text = card(FACTS)
    assert "| quiet | 240 | 3,624 | 2.10 % | <= 5 % |" in text
    assert "| MP3 at 24 kbit/s | 3.10 % | 2.01 % |" in text
    assert "| placeholder | 120 | 111 | 3 |" in text
    assert "In 120 recordings in which nobody speaks" in text
    assert "Every target is met." in text


def test_a_codec_that_changes_more_than_it_may_is_named_as_missed() -> None:
    figures = replace(FACTS.figures, sent=[Sent("MP3 at 24 kbit/s", 0.1, 0.0301)])
    assert "Missed: MP3 at 24 kbit/s." in card(replace(FACTS, figures=figures))


@pytest.mark.parametrize("warm", [False, True])
def test_it_says_how_the_weights_were_made(warm: bool) -> None:
    text = card(replace(FACTS, warm=warm))
    assert ("made in three runs" in text) == warm
    assert "8,400" in text
    assert "12.9 h" in text


def test_it_names_the_recordings_that_were_picked_anew() -> None:
    assert "2 others were passed over" in " ".join(card(FACTS).split())
    text = card(replace(FACTS, warm=True, kept=tuple(range(12))))
    assert "New: clip 12." in text
