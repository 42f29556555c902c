"""Subtitle cues: what a player needs, and that nothing of the text is lost on the way."""

import html
from io import StringIO
from itertools import pairwise

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.text import cues, formats
from medasr_service.text.cues import MAX_CUE_S, MAX_LINE, MAX_LINES, MIN_CUE_S, Cue
from medasr_service.text.transcript import Segment, Token, Transcript, Word

TOKEN = Token(4, "▁a", 0, 1, -0.1)
SENTENCE = "The lungs are clear without focal consolidation, effusion or edema."


def spoken(*words: tuple[str, float, float]) -> Transcript:
    """Words as their share of the text, the pause before each, and its length; all in one segment."""
    found: list[Word] = []
    now = 0.0
    for share, pause_s, length_s in words:
        now += pause_s
        found.append(Word(share.strip() or "{x}", now, now + length_s, 0.9, (TOKEN,), share))
        now += length_s
    text = "".join(share for share, _, _ in words)
    segments = (Segment(0, 0.0, now, text, text, tuple(found), -0.1, 0.0),) if found else ()
    return Transcript(text, text, segments, now + 2.0, 1.0)


def said(text: str, *, pause_s: float = 0.05, length_s: float = 0.3) -> Transcript:
    """Even speech."""
    first, *rest = text.split(" ")
    return spoken((first, pause_s, length_s), *((f" {word}", pause_s, length_s) for word in rest))


def lines(found: list[Cue]) -> list[tuple[str, ...]]:
    return [cue.lines for cue in found]


SHARES = st.one_of(
    st.sampled_from([" lungs", " clear", ".", ",", ":", "", "\n", "\n\n", "\n\nFINDINGS", " (", ")", " -->"]),
    st.sampled_from([" EXAM TYPE", "\n\nEXAM TYPE\n", " fast, but", " 1\n2\n3\n", "\t", ' "']),
    st.text(max_size=70),
)
PAUSES = st.sampled_from([0.0, 0.04, 0.2, 0.6, 1.0, 5.0])
LENGTHS = st.sampled_from([0.01, 0.04, 0.3, 1.0, 3.0, 9.0])
SPEECH = st.lists(st.tuples(SHARES, PAUSES, LENGTHS), max_size=60)


@given(SPEECH)
def test_joined_cues_are_the_text(speech: list[tuple[str, float, float]]) -> None:
    transcript = spoken(*speech)
    assert " ".join(" ".join(cue.lines) for cue in cues.cut(transcript)).split() == transcript.text.split()


@given(SPEECH)
def test_cues_are_in_order_and_never_overlap(speech: list[tuple[str, float, float]]) -> None:
    transcript = spoken(*speech)
    found = cues.cut(transcript)
    assert all(cue.start < cue.end <= transcript.duration for cue in found)
    assert all(before.end <= after.start for before, after in pairwise(found))


@given(SPEECH)
def test_a_cue_has_two_short_lines_at_most_and_seven_seconds(speech: list[tuple[str, float, float]]) -> None:
    for cue in cues.cut(spoken(*speech)):
        words = " ".join(cue.lines).split()
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert max(map(len, cue.lines)) <= MAX_LINE or len(words) == 1
        assert cue.end - cue.start <= MAX_CUE_S + 1e-6 or len(words) == 1


@given(SPEECH)
def test_a_cue_lasts_a_second_where_there_is_one(speech: list[tuple[str, float, float]]) -> None:
    transcript = spoken(*speech)
    found = cues.cut(transcript)
    following = [*(cue.start for cue in found[1:]), transcript.duration]
    for cue, until in zip(found, following, strict=False):
        assert cue.end - cue.start >= min(MIN_CUE_S, until - cue.start) - 1e-6


@given(SPEECH)
def test_players_read_what_was_written(speech: list[tuple[str, float, float]]) -> None:
    transcript = spoken(*[(_printable(share), pause_s, length_s) for share, pause_s, length_s in speech])
    found = cues.cut(transcript)
    subtitles = list(srt.parse(formats.write(transcript, "srt")))
    captions = webvtt.from_buffer(StringIO(formats.write(transcript, "vtt"))).captions
    shown = ["\n".join(cue.lines) for cue in found]
    assert [each.content for each in subtitles] == [text.replace("-->", "->") for text in shown]
    assert [html.unescape("\n".join(each.lines)) for each in captions] == shown
    for cue, subtitle, caption in zip(found, subtitles, captions, strict=True):
        assert subtitle.start.total_seconds() == pytest.approx(cue.start, abs=0.001)
        assert subtitle.end.total_seconds() == pytest.approx(cue.end, abs=0.001)
        assert caption.start_in_seconds == int(cue.start + 1e-9)
        assert subtitle.start < subtitle.end


def _printable(share: str) -> str:
    """The pieces of a vocabulary are printable; the reading libraries trip over what is not."""
    return "".join(letter for letter in share if letter.isprintable() or letter in "\n\t")


def test_a_long_sentence_is_cut_at_the_comma() -> None:
    text = f"{SENTENCE[:-1]}, with a small hiatal hernia on the left."
    assert lines(cues.cut(said(text))) == [
        ("The lungs are clear without", "focal consolidation,"),
        ("effusion or edema, with a small", "hiatal hernia on the left."),
    ]


ABBREVIATIONS = ["Dr.", "St.", "e.g.", "q.d.", "p.r.n."]


@pytest.mark.parametrize("abbreviation", ABBREVIATIONS)
@pytest.mark.parametrize("before", range(14))
def test_no_line_ends_behind_an_abbreviation(abbreviation: str, before: int) -> None:
    words = [*["lungs"] * before, abbreviation, *["clear"] * 14]
    for cue in cues.cut(said(" ".join(words))):
        assert not [line for line in cue.lines if line.endswith(abbreviation)]


@pytest.mark.parametrize("abbreviation", ABBREVIATIONS)
def test_no_cue_ends_behind_an_abbreviation_for_a_pause(abbreviation: str) -> None:
    found = cues.cut(spoken((" Seen", 0.1, 0.5), (f" {abbreviation}", 0.1, 0.5), (" Jones.", 1.5, 0.5)))
    assert lines(found) == [(f"Seen {abbreviation} Jones.",)]


def test_an_abbreviation_may_end_a_paragraph() -> None:
    found = cues.cut(
        spoken((" Aspirin", 0.1, 0.5), (" q.d.", 0.1, 0.5), ("\n\nPLAN", 1.5, 0.5), ("\nHome.", 0, 1))
    )
    assert [cue.lines[0] for cue in found] == ["Aspirin q.d.", "PLAN"]


def test_a_number_keeps_its_unit_where_the_lines_allow_it() -> None:
    [cue] = cues.cut(said("Decrease the atorvastatin again to 25 mg daily from now on please."))
    assert not cue.lines[0].endswith("25")


def test_sentences_do_not_share_a_cue_after_a_pause() -> None:
    found = cues.cut(
        spoken(*[(" Clear.", 0.1, 0.6), (" Soft.", 0.9, 0.6)], *[(" Then", 0.9, 0.5), (" home.", 0.1, 0.5)])
    )
    assert lines(found) == [("Clear.",), ("Soft.",), ("Then home.",)]
    assert [cue.end - cue.start for cue in found] == pytest.approx([1.0, 1.0, 1.1])


def test_without_punctuation_the_longest_pause_is_the_cut() -> None:
    words = [(f" word{i}", 0.5 if i == 9 else 0.05, 0.4) for i in range(18)]
    found = cues.cut(spoken(*words))
    assert [" ".join(cue.lines).split()[0] for cue in found] == ["word0", "word9"]


def test_a_heading_has_a_line_of_its_own() -> None:
    found = cues.cut(spoken(("FINDINGS", 0.1, 0.5), ("\nLungs", 0.1, 0.3), (" clear.", 0.0, 0.3)))
    assert lines(found) == [("FINDINGS", "Lungs clear.")]


def test_the_words_of_a_heading_lend_it_their_time() -> None:
    [cue] = cues.cut(spoken(("EXAM TYPE", 0.5, 1.0), ("", 0.5, 1.0)))
    assert (cue.start, cue.end) == (0.5, 3.0)


def test_a_break_that_nobody_hears_does_not_lengthen_the_cue_before() -> None:
    [first, second] = cues.cut(spoken((" Clear.", 0.0, 1.5), ("", 0.5, 1.0), ("\n\nSoft.", 0.5, 1.0)))
    assert (first.end, second.start) == (1.5, 3.5)


def test_a_word_that_is_too_long_stays_whole_and_alone() -> None:
    long = "x" * 60
    assert lines(cues.cut(said(f"a {long} b"))) == [("a",), (long,), ("b",)]


def test_a_word_that_lasts_too_long_stays_whole() -> None:
    [first, second] = cues.cut(spoken((" ahem", 0.0, 9.0), (" clear", 0.1, 1.0)))
    assert (first.end - first.start, second.lines) == (9.0, ("clear",))


def test_speech_that_is_too_fast_keeps_its_lines_and_loses_the_second() -> None:
    found = cues.cut(said(" ".join(["quickly"] * 60), pause_s=0.0, length_s=0.02))
    assert all(max(map(len, cue.lines)) <= MAX_LINE for cue in found)
    assert len(found) == 6


def test_nothing_said_is_no_cue() -> None:
    assert cues.cut(spoken()) == []
    assert cues.cut(spoken(("", 0.1, 1.0), ("\n\n", 0.1, 1.0))) == []
