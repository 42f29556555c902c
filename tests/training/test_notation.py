"""Placeholders, ends and guessed signs: how they are said, how they are written, and what is held out."""

from itertools import pairwise
from random import Random

import pytest

from medasr_service.text import raw
from training import grammar, people
from training.notation import DOUBT, END, FILE, SIGNS, Notation, ended, guessed
from training.numbers import Word

NAMES = {"patient", "patientlast", "doctor", "nurse", "family", "other", "city", "center", "home"}


def every(name: str) -> bool:
    return True


def said(slot: str, count: int = 300) -> list[str]:
    rng = Random(4)
    return [people.placeholder(slot, rng, every).spoken for _ in range(count)]


def utterances(split: grammar.Split, count: int) -> list[grammar.Words]:
    notation = Notation(split, 5)
    return [notation.utterance() for _ in range(count)]


@pytest.mark.parametrize("slot", people.SLOTS)
def test_what_stands_for_a_placeholder_has_letters_only(slot: str) -> None:
    for text in said(slot):
        assert text.replace(" ", "").replace("'", "").isalpha(), text


@pytest.mark.parametrize(
    ("slot", "forms"),
    [
        ("patient", {"Smith", "James"}),
        ("doctor", {"Smith", "James"}),
        ("birth", {"nineteen", "fifth", "slash", "two"}),
        ("day", {"twenty", "March", "slash"}),
        ("phone", {"area", "five", "oh", "zero"}),
        ("id", {"A", "seven", "zero"}),
        ("years", {"eighty"}),
        ("city", {"New", "Boston"}),
        ("center", {"Hospital", "Clinic", "Center"}),
        ("home", {"nursing", "care"}),
    ],
)
def test_a_placeholder_is_said_in_all_its_forms(slot: str, forms: set[str]) -> None:
    words = {word for text in said(slot, 3000) for word in text.split()}
    assert forms <= words


def test_telephone_numbers_have_seven_or_ten_digits() -> None:
    assert {len(text.replace("area code ", "").split()) for text in said("phone")} == {7, 10}


def test_every_placeholder_is_written_and_the_service_knows_it() -> None:
    written = {word.written for words in utterances("train", 1500) for word in words}
    assert {*people.WRITTEN, END} <= written
    for placeholder in people.WRITTEN:
        assert [item.kind for item in raw.report(placeholder).items] == ["placeholder"]
    assert [item.kind for item in raw.report(DOUBT).items] == ["doubt"]
    assert [item.kind for item in raw.report(END).items] == ["end"]


def test_names_of_the_evaluation_are_never_said_in_training() -> None:
    heard = {}
    for split in ("train", "evaluation"):
        dictation = grammar.load(split, 6, FILE)
        slots = [people.placeholder(slot, Random(n), dictation._keeps) for slot in NAMES for n in range(400)]
        heard[split] = {name for word in slots for name in word.spoken.split()}
    parts = {word for kinds in (people.CENTERS, people.HOMES) for kind in kinds for word in kind.split()}
    parts |= {word for place in (*people.CITIES, *people.PATRONS) for word in place.split()}
    parts |= set("ABCDEFGHJKLMNPRST")
    assert heard["train"] & heard["evaluation"] <= parts
    for names in (people.FIRST, people.LAST, people.CITIES, people.PATRONS):
        kept = [name for name in names if grammar.is_held_out("", [name])]
        assert 0.04 * len(names) < len(kept) < 0.25 * len(names)


def test_held_out_fillings_never_occur_in_training() -> None:
    told = []
    for split in ("train", "evaluation"):
        sentences = [grammar.load(split, 7, FILE).sentence("PATIENT") for _ in range(1)]
        dictation = grammar.load(split, 8, FILE)
        sentences += [dictation.sentence("PATIENT") for _ in range(1500)]
        told.append({" ".join(word.spoken for word in words) for words in sentences})
    assert not told[0] & told[1]


def test_the_end_stands_behind_a_full_stop_only() -> None:
    ends = 0
    for words in utterances("train", 600):
        for before, word in pairwise(words):
            if word.written == END:
                ends += 1
                assert before.written == "{period}"
                assert "end" in word.spoken
    assert ends > 10
    assert ended((Word("chest", "chest"),), Random(1), 1.0) == (Word("chest", "chest"),)


def test_a_guessed_sign_stands_at_the_word_before_its_mark_and_nothing_else_changes() -> None:
    rng, beside, alone = Random(9), 0, 0
    for words in utterances("train", 400):
        changed = guessed(words, rng)
        plain = [word.written.rstrip(".,") for word in changed if word.written not in SIGNS]
        assert plain == [word.written.rstrip(".,") for word in words if word.written not in SIGNS]
        for word, behind in pairwise([*changed, Word("", "")]):
            if word.written[-1:] in (".", ",") and word not in words:
                beside += behind.written in SIGNS
                alone += behind.written not in SIGNS
    assert beside > 5 * alone > 0


def test_a_number_gets_no_guessed_sign() -> None:
    words = (Word("5.2", "five point two"), Word("{period}", "period"))
    assert all(guessed(words, Random(seed)) == words for seed in range(20))
