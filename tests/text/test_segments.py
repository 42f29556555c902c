"""Where segments end, and that cutting in a stream is cutting all at once."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.text import segments
from medasr_service.text.dictation import Item, parse
from medasr_service.text.transcript import Token, Word

TOKEN = Token(4, "▁a", 0, 1, -0.1)
PIECES = [
    "lungs",
    "clear",
    "{period}",
    "{new",
    "paragraph}",
    "[FINDINGS]",
    "[EXAM",
    "TYPE]",
    "a{comma}b",
    "line}",
]


def spoken(*words: tuple[str, float], length_s: float = 0.3) -> list[Word]:
    """Words with the pause before each."""
    found: list[Word] = []
    now = 0.0
    for text, pause_s in words:
        now += pause_s
        found.append(Word(text, now, now + length_s, 0.9, (TOKEN,)))
        now += length_s
    return found


def cut_texts(words: Sequence[Word], *, known_until_s: float = 1e9, final: bool = True) -> list[list[str]]:
    parts = segments.cut(parse(words), known_until_s=known_until_s, final=final)
    return [[item.text for item in part] for part in parts]


def words_of(parts: Sequence[Sequence[Item]]) -> list[list[Word]]:
    return [list(dict.fromkeys(word for item in part for word in item.words)) for part in parts]


SPEECH = st.lists(
    st.tuples(
        st.sampled_from(PIECES), st.sampled_from([0.0, 0.04, 0.12, 0.2, 0.28, 0.6, 0.64, 1.0, 2.0, 2.04, 5.0])
    ),
    max_size=40,
)


@pytest.mark.parametrize("pause_s", [0.6, 0.64, 3.0])
def test_a_pause_ends_a_segment(pause_s: float) -> None:
    assert cut_texts(spoken(("a", 0), ("b", 0.04), ("c", pause_s + 1e-6))) == [["a", "b"], ["c"]]


def test_a_short_pause_does_not() -> None:
    assert cut_texts(spoken(("a", 0), ("b", 0.56), ("c", 0.2))) == [["a", "b", "c"]]


def test_in_a_long_segment_a_short_pause_will_do() -> None:
    words = spoken(*[("a", 0.1)] * 30, ("b", 0.24), ("c", 0.1))  # b after 11.9 s
    assert cut_texts(words) == [["a"] * 30, ["b", "c"]]


def test_no_pause_at_all_ends_a_segment_at_its_greatest_length() -> None:
    words = spoken(*[("a", 0.0)] * 400)
    parts = words_of(segments.cut(parse(words), known_until_s=1e9, final=True))
    assert len(parts) == 4
    for part in parts:
        assert part[-1].end - part[0].start <= segments.MAX_SEGMENT_S + 0.3 + 1e-6


@given(SPEECH)
def test_no_segment_is_longer_than_the_limit_and_one_marker(speech: list[tuple[str, float]]) -> None:
    for part in words_of(segments.cut(parse(spoken(*speech)), known_until_s=1e9, final=True)):
        assert part[-2:][0].end - part[0].start <= segments.MAX_SEGMENT_S + 2 * 2.4


@given(SPEECH)
def test_at_the_end_every_word_comes_out(speech: list[tuple[str, float]]) -> None:
    words = spoken(*speech)
    for known_until_s in (0.0, words[-1].end if words else 0.0, 1e9):
        parts = segments.cut(parse(words), known_until_s=known_until_s, final=True)
        assert [word for part in words_of(parts) for word in part] == words


@given(SPEECH)
def test_a_cut_is_never_inside_a_marker_nor_a_word(speech: list[tuple[str, float]]) -> None:
    items = parse(spoken(*speech))
    parts = segments.cut(items, known_until_s=1e9, final=True)
    assert [item for part in parts for item in part] == items
    for before, after in pairwise(parts):
        assert before[-1].words[-1] is not after[0].words[0]


def test_a_word_of_several_items_is_not_cut_even_in_a_segment_that_is_too_long() -> None:
    parts = segments.cut(parse(spoken(*[("a{comma}b", 0.0)] * 300)), known_until_s=1e9, final=True)
    assert len(parts) == 3
    for before, after in pairwise(parts):
        assert before[-1].words[-1] is not after[0].words[0]


@given(SPEECH)
def test_a_cut_is_at_a_pause_or_in_a_long_segment(speech: list[tuple[str, float]]) -> None:
    parts = words_of(segments.cut(parse(spoken(*speech)), known_until_s=1e9, final=True))
    for before, after in pairwise(parts):
        length_s, pause_s = before[-1].end - before[0].start, after[0].start - before[-1].end
        assert pause_s >= segments.PAUSE_S or length_s >= segments.LONG_SEGMENT_S


@given(SPEECH, st.data())
def test_a_stream_is_cut_as_the_whole_is(speech: list[tuple[str, float]], data: st.DataObject) -> None:
    words = spoken(*speech)
    whole = words_of(segments.cut(parse(words), known_until_s=1e9, final=True))
    streamed: list[list[Word]] = []
    done = 0
    for known in range(len(words)):
        # nothing is known beyond the start of the next word; often less is
        known_until_s = data.draw(st.floats(words[known - 1].end if known else 0.0, words[known].start))
        parts = words_of(segments.cut(parse(words[done:known]), known_until_s=known_until_s, final=False))
        streamed += parts
        done += sum(map(len, parts))
    streamed += words_of(segments.cut(parse(words[done:]), known_until_s=1e9, final=True))
    assert streamed == whole


def test_a_segment_comes_as_soon_as_nothing_can_change_it() -> None:
    words = spoken(("a", 0), ("b", 0.1))
    end_s = words[-1].end
    assert cut_texts(words, known_until_s=end_s + 1.9, final=False) == []
    assert cut_texts(words, known_until_s=end_s + 2.1, final=False) == [["a", "b"]]


def test_a_marker_that_is_not_complete_waits() -> None:
    words = spoken(("a", 0), ("{new", 0.8))
    assert cut_texts(words, known_until_s=words[-1].end, final=False) == []
    later = spoken(("a", 0), ("{new", 0.8), ("paragraph}", 0.7))
    assert cut_texts(later) == [["a"], ["new paragraph"]]


def test_a_marker_whose_last_word_is_half_known_waits() -> None:
    words = spoken(("clear", 0), ("{next", 0.1), ("li", 1.5))
    assert cut_texts(words, known_until_s=words[-1].end + 0.05, final=False) == []


def test_nothing_gives_nothing() -> None:
    assert segments.cut([], known_until_s=0.0, final=True) == []
    assert segments.cut([], known_until_s=9.0, final=False) == []
