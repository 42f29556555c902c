"""The dictation grammar: notation, numbers, and what is held out of training."""

from random import Random

import pytest

from training import grammar
from training.numbers import cardinal, decimal, ordinal, year

MARKS = {
    "{period}",
    "{comma}",
    "{colon}",
    "{new paragraph}",
    "{next line}",
    "{question mark}",
    "{open quote}",
    "{close quote}",
    "{open paren}",
    "{close paren}",
    "{hyphen}",
    "{slash}",
}
HEADINGS = [
    "EXAM TYPE",
    "INDICATION",
    "TECHNIQUE",
    "COMPARISON",
    "FINDINGS",
    "IMPRESSION",
    "HISTORY",
    "MEDICATIONS",
    "ALLERGIES",
    "VITAL SIGNS",
    "PHYSICAL EXAM",
    "ASSESSMENT",
    "PLAN",
    "PROCEDURE",
]


def words_of(split: grammar.Split, count: int, seed: int = 3) -> list[grammar.Words]:
    dictation = grammar.load(split, seed)
    return [dictation.utterance() for _ in range(count)]


def test_every_mark_and_heading_is_dictated() -> None:
    written = {word.written for words in words_of("train", 4000) for word in words}
    assert {f"[{heading}]" for heading in HEADINGS} | MARKS <= written


def test_only_marks_and_headings_have_brackets() -> None:
    allowed = MARKS | {f"[{heading}]" for heading in HEADINGS}
    for words in words_of("train", 1000):
        for word in words:
            assert word.written in allowed or not set(word.written) & set("{}[]")


def test_what_is_said_has_letters_only() -> None:
    for words in words_of("train", 1000):
        for said in grammar.spoken(words, Random(1)):
            assert said.replace(" ", "").replace("-", "").rstrip(".,").isalpha(), said


def test_numbers_are_written_as_digits() -> None:
    number_words = {"two", "three", "twenty", "hundred", "point"}
    for words in words_of("train", 1000):
        assert not number_words & {word.written for word in words}


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "zero"), (14, "fourteen"), (40, "forty"), (128, "one hundred twenty eight"), (1000, "one thousand")],
)
def test_cardinals(number: int, said: str) -> None:
    assert cardinal(number) == said


def test_ordinals_decimals_and_years() -> None:
    assert [ordinal(3), ordinal(21), ordinal(30)] == ["third", "twenty first", "thirtieth"]
    assert decimal("10.05") == "ten point zero five"
    assert [year(2004), year(2021)] == ["two thousand four", "twenty twenty one"]


def test_the_same_seed_says_the_same() -> None:
    assert words_of("train", 50, seed=9) == words_of("train", 50, seed=9)


def test_held_out_fillings_never_occur_in_training() -> None:
    training, evaluation = (grammar.load(split, 5) for split in ("train", "evaluation"))
    section = training.sections["HISTORY"]
    fixed = {grammar.written(training._expand(text, [])) for text in section.sentences if "%" not in text}
    said = [{grammar.written(one.sentence("HISTORY")) for _ in range(3000)} for one in (training, evaluation)]
    assert said[0] & said[1] == fixed


def test_about_one_filling_in_eight_is_held_out() -> None:
    kept = sum(grammar.is_held_out("%side %bone", [str(number)]) for number in range(8000))
    assert 800 < kept < 1200
