"""A reader is told, in the text itself, where a part of the recording could not be read."""

from dataclasses import replace

import pytest

from medasr_service.text import formats
from medasr_service.text.transcript import Lost, Segment, Transcript, Word

WORDS = tuple(
    Word(text, start, start + 0.5, 0.9, (), written)
    for text, start, written in [("No", 0.0, "No"), ("fever", 1.0, " fever"), ("today", 5.0, " today")]
)
WHOLE = Transcript(
    "No fever today",
    "No fever today",
    (Segment(0, 0.0, 5.5, "No fever today", "", WORDS, 0.0, 0.0),),
    8.0,
    1.0,
)


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (Lost(2.0, 2.1), "No fever [2.1 s could not be read] today\n"),
        (Lost(6.0, 2.0), "No fever today [2.0 s could not be read]\n"),
        (Lost(0.0, 0.0), "[a part could not be read] No fever today\n"),
    ],
)
def test_the_text_says_where_a_part_is_missing(lost: Lost, text: str) -> None:
    assert formats.to_text(replace(WHOLE, lost=(lost,))) == text


def test_subtitles_say_it_at_its_time() -> None:
    damaged = replace(WHOLE, lost=(Lost(2.0, 2.1),))
    for written in (formats.to_srt(damaged), formats.to_vtt(damaged)):
        assert "[2.1 s could not be read]" in written.replace("\n", " ")


def test_a_recording_of_which_nothing_could_be_heard_says_so() -> None:
    nothing = Transcript("", "", (), 3.0, 1.0, lost=(Lost(0.0, 3.0),))
    assert formats.to_text(nothing) == "[3.0 s could not be read]\n"
    assert "[3.0 s could not be read]" in formats.to_srt(nothing)


def test_what_programs_read_is_the_text_alone() -> None:
    damaged = replace(WHOLE, lost=(Lost(2.0, 2.1),))
    assert formats.to_json(damaged)["text"] == WHOLE.text
