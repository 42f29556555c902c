"""What the end of a word says."""

import pytest

from medasr_service.text.sentences import mark


@pytest.mark.parametrize(
    "word", ["Dr.", "(Dr.", "St.", "e.g.", "i.e.", "q.d.", "p.o.", '"Mrs.', "vs.", "U.S."]
)
def test_an_abbreviation_is_no_end_of_a_sentence(word: str) -> None:
    assert mark(word) == "abbreviation"


@pytest.mark.parametrize(
    "word", ["lung.", 'lung."', "seen?", "5.", "mg.", "No.", "C.", "q.d..", "rest.", "ms.", "."]
)
def test_what_ends_a_sentence(word: str) -> None:
    assert mark(word) == "sentence"


@pytest.mark.parametrize(
    ("word", "expected"),
    [("lung,", "clause"), ("e.g.,", "clause"), ("PLAN:", "clause"), ("25", "number"), ("mg", ""), ("", "")],
)
def test_what_ends_less(word: str, expected: str) -> None:
    assert mark(word) == expected
