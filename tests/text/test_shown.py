"""The words of the text as it shows them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.text import dictation
from medasr_service.text.shown import shown
from medasr_service.text.transcript import Token, Word

TOKEN = Token(4, "▁a", 0, 1, -0.1)


def heard(text: str, *, gap_s: float = 0.1) -> list[Word]:
    """What the model wrote, a word each half a second, as it is written in a report."""
    spoken = [
        Word(each, i * (0.4 + gap_s), i * (0.4 + gap_s) + 0.4, 0.9, (TOKEN,))
        for i, each in enumerate(text.split())
    ]
    return list(dictation.attribute(dictation.parse(spoken))[0])


@pytest.mark.parametrize(
    ("said", "words", "raw"),
    [
        ("lungs clear {period}", ["Lungs", "clear."], ["lungs", "clear {period}"]),
        ("clear {question mark} yes", ["Clear?", "Yes"], ["clear {question mark}", "yes"]),
        ("[EXAM TYPE] {colon} CT", ["EXAM TYPE:", "CT"], ["[EXAM TYPE] {colon}", "CT"]),
        (
            "clear {period} {new paragraph} then",
            ["Clear.", "Then"],
            ["clear {period}", "{new paragraph} then"],
        ),
        (
            "said {open quote} dizzy {close quote} {period}",
            ["Said", '"dizzy".'],
            ["said", "{open quote} dizzy {close quote} {period}"],
        ),
        ("follow {hyphen} up", ["Follow-up"], ["follow {hyphen} up"]),
        ("{new line} home {next} line} now", ["Home", "Now"], ["{new line} home", "{next} line} now"]),
        ("fast{comma}but slow", ["Fast, but", "slow"], ["fast{comma}but", "slow"]),
        ("home {period} {new line}", ["Home."], ["home {period} {new line}"]),
        ("clear {end} .", ["Clear."], ["clear {end} ."]),
        ("{nonsense} a", ["{nonsense}", "a"], ["{nonsense}", "a"]),
        ("{new paragraph}", [""], ["{new paragraph}"]),
    ],
)
def test_a_word_has_the_marks_that_touch_it(said: str, words: list[str], raw: list[str]) -> None:
    found = shown(heard(said))
    assert [one.text for one in found] == words
    assert [one.raw for one in found] == raw


PIECES = [
    "lungs",
    "5",
    "{period}",
    "{new",
    "paragraph}",
    "[EXAM",
    "TYPE]",
    "{colon}",
    "a{comma}b",
    "{open",
    "quote}",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_nothing_is_lost_and_the_shares_join_to_the_text(said: list[str]) -> None:
    words = heard(" ".join(said))
    found = shown(words)
    assert [word for one in found for word in one.words] == words
    assert "".join(one.written for one in found) == "".join(word.written for word in words)
    assert all(one.text for one in found) or len(found) == 1


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.sampled_from([0.0, 0.1, 2.5]))
def test_shown_words_are_in_order(said: list[str], gap_s: float) -> None:
    found = shown(heard(" ".join(said), gap_s=gap_s))
    assert all(one.start < one.end for one in found)
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(found))


def test_a_command_that_shows_nothing_lengthens_no_word() -> None:
    [home, then] = shown(heard("home {new paragraph} then", gap_s=1.0))
    assert (home.start, home.end) == (0.0, 0.4)
    assert (then.start, then.end) == pytest.approx((4.2, 4.6))


def test_a_heading_lasts_until_the_end_of_its_last_word() -> None:
    [heading, _] = shown(heard("[EXAM TYPE] CT"))
    assert (heading.start, heading.end) == pytest.approx((0.0, 0.9))


def test_a_word_is_as_sure_as_the_least_sure_of_its_parts() -> None:
    words = heard("clear {period}")
    doubtful = Word("{period}", 0.5, 0.9, 0.3, (TOKEN,), ".")
    assert [one.probability for one in shown([words[0], doubtful])] == [0.3]
