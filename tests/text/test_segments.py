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


def cut(words: Sequence[Word], *, known_until_s: float = 1e9, final: bool = True) -> list[Sequence[Item]]:
    """Of words between which nothing sounds."""
    items = parse(words)
    pauses_s = [max(0.0, after.words[0].start - before.words[-1].end) for before, after in pairwise(items)]
    return segments.cut(items, pauses_s, known_until_s=known_until_s, final=final)


def cut_texts(words: Sequence[Word], *, known_until_s: float = 1e9, final: bool = True) -> list[list[str]]:
    return [[item.text for item in part] for part in cut(words, known_until_s=known_until_s, final=final)]


def said(text: str, *, pause_s: float = 0.1) -> list[Word]:
    """Even speech, but for a pause of a second at each |."""
    words: list[tuple[str, float]] = []
    for each in text.split():
        if each == "|":
            words.append(("", 1.0))
        elif words and not words[-1][0]:
            words[-1] = (each, 1.0)
        else:
            words.append((each, pause_s))
    return spoken(*words)


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


def test_what_sounds_between_two_peaks_is_no_pause() -> None:
    """The peaks of "25" and "mg" may be far apart while the word goes on: a cut there tears a phrase."""
    items = parse(spoken(("to", 0), ("25", 0.1), ("mg", 0.9), ("daily", 0.1)))
    assert segments.cut(items, [0.1, 0.0, 0.1], known_until_s=1e9, final=True) == [items]


SENTENCE = "no acute process was seen in either lung {period}"  # 3.5 s


def test_a_sentence_ends_a_segment_that_is_long_enough() -> None:
    parts = cut_texts(said(f"{SENTENCE} " * 4))
    assert [" ".join(part) for part in parts] == [
        "no acute process was seen in either lung period no acute process was seen in either lung period"
    ] * 2


def test_a_sentence_that_the_model_punctuates_ends_one_too() -> None:
    words = said("nothing else was found here today. and nothing was done about it at all. then home.")
    assert [part[-1] for part in cut_texts(words)] == ["all.", "home."]


@pytest.mark.parametrize("abbreviation", ["Dr.", "St.", "e.g.", "q.d."])
def test_an_abbreviation_ends_no_sentence(abbreviation: str) -> None:
    words = said(f"the patient was seen again here at nine by our own {abbreviation} Jones {{period}}")
    assert len(cut_texts(words)) == 1


def test_a_heading_begins_a_segment() -> None:
    words = said("the patient was seen again here at nine by our own doctor Jones [PLAN] {colon} home")
    assert [part[0] for part in cut_texts(words)] == ["the", "PLAN"]


@pytest.mark.parametrize(
    "late", ["{period}", "{comma}", "{period} {new paragraph}", "{new paragraph}", "{close quote}", "{colon}"]
)
@pytest.mark.parametrize("pause", ["|", ""])
def test_punctuation_belongs_to_what_it_follows_however_late(late: str, pause: str) -> None:
    words = said(f"take it daily | {late} {pause} then stop")
    [*before, last] = cut_texts(words)
    assert last[-2:] == ["then", "stop"]
    assert not before or last == ["then", "stop"]
    first = [item.text for item in parse(said(f"take it daily {late}"))]
    assert [text for part in [*before, last] for text in part] == [*first, "then", "stop"]


def test_a_pause_before_punctuation_ends_the_segment_behind_it() -> None:
    assert cut_texts(said("daily | {period} {new paragraph} next")) == [
        ["daily", "period", "new paragraph"],
        ["next"],
    ]


def test_an_opening_mark_belongs_to_what_it_precedes() -> None:
    assert cut_texts(said("he said | {open quote} | stop")) == [["he", "said"], ["open quote", "stop"]]


@given(SPEECH)
def test_no_segment_is_punctuation_alone(speech: list[tuple[str, float]]) -> None:
    items = parse(spoken(*speech))
    for part in cut(spoken(*speech)):
        assert any(item.kind != "command" for item in part) or len(part) == len(items)


def test_in_a_very_long_segment_a_short_pause_will_do() -> None:
    words = spoken(*[("a", 0.1)] * 55, ("b", 0.24), ("c", 0.1))  # b after 21.9 s
    assert cut_texts(words) == [["a"] * 55, ["b", "c"]]


def test_no_pause_at_all_ends_a_segment_at_the_best_place_within_its_greatest_length() -> None:
    words = spoken(*[("a", 0.0)] * 70, ("b,", 0.0), ("c", 0.0), *[("a", 0.0)] * 330)
    parts = words_of(cut(words))
    assert [part[-1].text for part in parts[:2]] == ["b,", "a"]
    for part in parts:
        assert part[-1].end - part[0].start <= segments.MAX_SEGMENT_S + 0.3 + 1e-6


@given(SPEECH)
def test_at_the_end_every_word_comes_out(speech: list[tuple[str, float]]) -> None:
    words = spoken(*speech)
    for known_until_s in (0.0, words[-1].end if words else 0.0, 1e9):
        parts = cut(words, known_until_s=known_until_s)
        assert [word for part in words_of(parts) for word in part] == words


@given(SPEECH)
def test_a_cut_is_never_inside_a_marker_nor_a_word(speech: list[tuple[str, float]]) -> None:
    items = parse(spoken(*speech))
    parts = cut(spoken(*speech))
    assert [item for part in parts for item in part] == items
    for before, after in pairwise(parts):
        assert before[-1].words[-1] is not after[0].words[0]


def test_a_word_of_several_items_is_not_cut_even_in_a_segment_that_is_too_long() -> None:
    parts = cut(spoken(*[("a{comma}b", 0.0)] * 300))
    assert len(parts) == 3
    for before, after in pairwise(parts):
        assert before[-1].words[-1] is not after[0].words[0]


@pytest.mark.parametrize("word", ["{period}", "{new", "{open quote}", "{comma}"])
def test_a_stutter_without_end_is_cut_all_the_same(word: str) -> None:
    """Noise may be heard as one mark for hours: what waits must not grow with it."""
    parts = words_of(cut(spoken(*[(piece, 0.0) for _ in range(2_000) for piece in word.split()])))
    assert max(part[-1].end - part[0].start for part in parts) < 3 * segments.MAX_SEGMENT_S


@given(SPEECH)
def test_a_cut_is_at_a_pause_or_in_a_long_segment(speech: list[tuple[str, float]]) -> None:
    parts = words_of(cut(spoken(*speech)))
    for before, after in pairwise(parts):
        length_s = before[-1].end - before[0].start
        words = [*before, after[0]]
        pause_s = max(b.start - a.end for a, b in pairwise(words))
        assert pause_s >= segments.PAUSE_S or length_s >= segments.LONG_SEGMENT_S


@given(SPEECH, st.data())
def test_a_stream_is_cut_as_the_whole_is(speech: list[tuple[str, float]], data: st.DataObject) -> None:
    words = spoken(*speech)
    whole = words_of(cut(words))
    streamed: list[list[Word]] = []
    done = 0
    for known in range(len(words)):
        # nothing is known beyond the start of the next word; often less is
        known_until_s = data.draw(st.floats(words[known - 1].end if known else 0.0, words[known].start))
        parts = words_of(cut(words[done:known], known_until_s=known_until_s, final=False))
        streamed += parts
        done += sum(map(len, parts))
    streamed += words_of(cut(words[done:]))
    assert streamed == whole


def test_a_segment_comes_as_soon_as_nothing_can_change_it() -> None:
    words = spoken(("a", 0), ("b", 0.1))
    end_s = words[-1].end
    for known_until_s in (end_s + 2.1, end_s + segments.LATE_S - 0.1):  # a period may follow still
        assert cut_texts(words, known_until_s=known_until_s, final=False) == []
    assert cut_texts(words, known_until_s=end_s + segments.LATE_S + 0.1, final=False) == [["a", "b"]]
    for last, comes in [("lungs", 0), ("lungs a", 1), ("new a", 0), ("new a a", 1), ("{new a", 0)]:
        words = spoken(("a", 0), ("b", 0.1), *[(each, 2.1 - i) for i, each in enumerate(last.split())])
        found = cut_texts(words, known_until_s=words[-1].end, final=False)
        assert found[:1] == [["a", "b"]] * comes, last


def test_a_marker_that_is_not_complete_waits() -> None:
    words = spoken(("a", 0), ("{new", 0.8))
    assert cut_texts(words, known_until_s=words[-1].end, final=False) == []
    later = spoken(("a", 0), ("{new", 0.8), ("paragraph}", 0.7), ("b", 0.1))
    assert cut_texts(later) == [["a", "new paragraph"], ["b"]]


def test_a_marker_whose_last_word_is_half_known_waits() -> None:
    words = spoken(("clear", 0), ("{next", 0.1), ("li", 1.5))
    assert cut_texts(words, known_until_s=words[-1].end + 0.05, final=False) == []


def test_nothing_gives_nothing() -> None:
    assert cut([], known_until_s=0.0) == []
    assert cut([], known_until_s=9.0, final=False) == []
