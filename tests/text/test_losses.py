"""A reader is told, in the text itself, where a part of the recording could not be read."""

from dataclasses import replace

import pytest

from medasr_service.text import annotated, formats
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
        (Lost(4.95, 2.0), "No fever today [2.0 s could not be read]\n"),  # heard as the sound broke off
        (Lost(4.95, 0.0), "No fever [a part could not be read] today\n"),
    ],
)
def test_the_text_says_where_a_part_is_missing(lost: Lost, text: str) -> None:
    assert formats.to_text(replace(WHOLE, lost=(lost,))) == text


def test_subtitles_say_it_at_its_time() -> None:
    damaged = replace(WHOLE, lost=(Lost(2.0, 2.1),))
    for written in (formats.to_srt(damaged), formats.to_vtt(damaged)):
        assert "[2.1 s could not be read]" in written.replace("\n", " ")


def test_no_subtitle_has_a_piece_of_a_notice_that_could_be_taken_for_speech() -> None:
    damaged = replace(WHOLE, lost=(Lost(2.0, 60.0),))
    for written in (formats.to_srt(damaged), formats.to_vtt(damaged)):
        assert "[60.0 s could not be read]" in written


def test_notices_are_in_order_and_parted_from_what_is_before() -> None:
    first = replace(WHOLE.segments[0], text="No fever", end=1.5, words=WORDS[:2])
    second = replace(WHOLE.segments[0], text=" today", start=5.0, words=WORDS[2:])
    damaged = replace(WHOLE, segments=(first, second), lost=(Lost(4.0, 1.0), Lost(5.0, 0.0)))
    text = "No fever [1.0 s could not be read] [a part could not be read] today\n"
    assert formats.to_text(damaged) == text


def test_the_annotated_text_says_it_too() -> None:
    damaged = replace(WHOLE, lost=(Lost(2.0, 2.1),))
    shown = annotated.to_terminal(damaged, low=0.5, colour=False)
    assert shown == "No fever [![2.1 s could not be read]!] today\n"
    page = annotated.to_html(damaged, low=0.5, name="x")
    assert ">[2.1 s could not be read]</mark>" in page
    assert "Left to be filled in, in another colour: 1." in page


def test_a_recording_of_which_nothing_could_be_heard_says_so() -> None:
    nothing = Transcript("", "", (), 3.0, 1.0, lost=(Lost(0.0, 3.0),))
    assert formats.to_text(nothing) == "[3.0 s could not be read]\n"
    assert "[3.0 s could not be read]" in formats.to_srt(nothing)


def test_what_programs_read_is_the_text_alone() -> None:
    damaged = replace(WHOLE, lost=(Lost(2.0, 2.1),))
    assert formats.to_json(damaged)["text"] == WHOLE.text
