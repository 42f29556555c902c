"""How far two engines agree, on tokens and frames made by hand."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.evaluation import agreement, scoring, verification
from medasr_service.evaluation.agreement import Check, Counts, Difference, Heard
from medasr_service.evaluation.verification import Verification
from medasr_service.text.transcript import Token, Word

FRAME_S = 0.04


def heard(text: str, *windows: Iterable[int]) -> Heard:
    """Half a second for each word; a token for each letter."""
    words = []
    for i, each in enumerate(text.split()):
        tokens = tuple(
            Token(ord(letter), letter, 12 * i + j, 12 * i + j + 1, 0) for j, letter in enumerate(each)
        )
        words.append(Word(each, i / 2, i / 2 + 0.4, 1.0, tokens))
    return Heard(tuple(np.array(list(window), np.int16) for window in windows), tuple(words))


def differences(reference: str, candidate: str) -> list[Difference]:
    return list(agreement.compare(heard(reference), heard(candidate))[1])


def test_the_same_is_the_same() -> None:
    one = heard("no acute fracture {period}", [0, 1, 1, 0], [2, 2])
    counts, found = agreement.compare(one, one, "No acute fracture {period}")
    assert found == ()
    assert (counts.frame_agreement, counts.token_agreement, counts.wer, counts.wer_increase) == (1, 1, 0, 0)


def test_frames_are_compared_window_by_window() -> None:
    counts, _ = agreement.compare(heard("a", [1, 2, 3, 4], [5, 6]), heard("a", [1, 2, 9, 4], [5, 7]))
    assert (counts.frames, counts.same_frames) == (6, 4)


def test_a_frame_that_one_lacks_does_not_agree() -> None:
    counts, _ = agreement.compare(heard("a", [1, 2, 3]), heard("a", [1, 2]))
    assert counts.frame_agreement == pytest.approx(2 / 3)


def test_an_engine_that_makes_other_windows_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        agreement.compare(heard("a", [1], [2]), heard("a", [1]))


@pytest.mark.parametrize(
    ("candidate", "edits"), [("abcd", 0), ("abxd", 1), ("abd", 1), ("abcxd", 1), ("bcdx", 2), ("", 4)]
)
def test_tokens_are_aligned_with_the_fewest_edits(candidate: str, edits: int) -> None:
    counts, _ = agreement.compare(heard("abcd"), heard(candidate))
    assert counts.token_edits == edits
    assert counts.token_agreement == 1 - edits / 4


def test_agreement_is_never_below_nothing() -> None:
    assert agreement.compare(heard("a"), heard("bcd"))[0].token_agreement == 0
    assert agreement.compare(heard(""), heard("a"))[0].token_agreement == 0
    assert agreement.compare(heard(""), heard(""))[0].token_agreement == 1


def test_a_differing_word_has_its_time_and_its_neighbours() -> None:
    [found] = differences("the liver is normal {period}", "the river is normal {period}")
    assert found == Difference("word", 0.5, "liver", "river", "the", "is")


def test_what_one_side_lacks_is_a_difference() -> None:
    [lost] = differences("no acute fracture", "no fracture")
    [extra] = differences("no fracture", "no acute fracture")
    assert (lost.reference, lost.candidate, lost.start) == ("acute", "", 0.5)
    assert (extra.reference, extra.candidate, extra.start) == ("", "acute", 0.5)


def test_edits_side_by_side_are_one_difference() -> None:
    [found] = differences("a 5 4 year old", "a 54 year old")
    assert (found.reference, found.candidate, found.kind) == ("5 4", "54", "number")


def test_case_and_markers_count() -> None:
    assert len(differences("normal {period} Lungs", "normal {comma} lungs")) == 1
    assert differences("Lungs", "lungs")[0].kind == "word"


@pytest.mark.parametrize(
    ("reference", "candidate", "kind"),
    [
        ("54", "45", "number"),
        ("54-year-old", "44-year-old", "number"),
        ("110/70", "", "number"),
        ("fifteen", "fifty", "number"),
        ("III", "II", "number"),
        ("mg", "mcg", "number"),
        ("No", "Now", "negation"),
        ("denies", "reports", "negation"),
        ("", "without", "negation"),
        ("isn't", "is", "negation"),
        ("nontender", "tender", "negation"),
        ("stable", "unstable", "negation"),
        ("febrile", "afebrile", "negation"),
        ("left", "right", "side"),
        ("no 5", "a 6", "number"),
        ("perfusion", "infusion", "word"),
        ("5mg fluid", "5mg fluids", "word"),
        ("{period}", "{comma}", "word"),
    ],
)
def test_the_kind_of_a_difference(reference: str, candidate: str, kind: str) -> None:
    assert agreement.kind_of(reference.split(), candidate.split()) == kind


def test_numbers_come_first_then_negations() -> None:
    found = differences("x a b left b no b 5 b", "y a b right b now b 6 b")
    assert [each.kind for each in found] == ["word", "side", "negation", "number"]
    assert [each.kind for each in sorted(found, key=agreement.weight)] == [
        "number",
        "negation",
        "side",
        "word",
    ]


def test_errors_against_the_spoken_text_ignore_case_and_punctuation() -> None:
    counts, _ = agreement.compare(
        heard("Lungs clear {period}"), heard("lungs clean {period}"), "LUNGS, clear. {period}"
    )
    assert (counts.spoken, counts.reference_errors, counts.candidate_errors) == (3, 0, 1)
    assert counts.wer_increase == pytest.approx(1 / 3)


@given(st.text(alphabet="aZ9é'. {}[]</s>\n", max_size=30))
def test_texts_are_normalised_as_evaluate_does(text: str) -> None:
    assert agreement.normalise(text) == scoring.normalise(text).split()


def test_counts_add_up() -> None:
    one, _ = agreement.compare(heard("a b", [1, 1]), heard("a c", [1, 2]))
    two, _ = agreement.compare(heard("a b c d", [1, 1]), heard("a b c d", [1, 1]), "a b c d")
    total = one + two
    assert (total.words, total.word_edits, total.frames, total.same_frames) == (6, 1, 4, 3)
    assert total.wer == pytest.approx(1 / 6)
    assert one.wer_increase is None
    assert total.wer_increase == 0


THRESHOLDS = {"min_token_agreement": 99.8, "max_wer": 0.5, "max_wer_increase": 0.1, "max_critical": 0}


def judge(counts: Counts, *found: Difference) -> dict[str, bool]:
    return {check.name: check.passed for check in agreement.judge(counts, found, **THRESHOLDS)}  # type: ignore[arg-type]


def test_thresholds_themselves_are_allowed() -> None:
    counts = Counts(tokens=1000, token_edits=2, words=1000, word_edits=5, spoken=1000, candidate_errors=1)
    assert all(judge(counts).values())


@pytest.mark.parametrize(
    ("counts", "name"),
    [
        (Counts(tokens=1000, token_edits=3, words=1000), "verify_min_token_agreement"),
        (Counts(tokens=1000, words=1000, word_edits=6), "verify_max_wer"),
        (Counts(tokens=1, words=1, spoken=1000, candidate_errors=2), "verify_max_wer_increase"),
    ],
)
def test_beyond_a_threshold_it_is_not_kept(counts: Counts, name: str) -> None:
    assert [each for each, passed in judge(counts).items() if not passed] == [name]


def test_better_than_the_reference_is_kept() -> None:
    assert all(judge(Counts(tokens=9, words=9, spoken=9, reference_errors=3, candidate_errors=1)).values())


@pytest.mark.parametrize(("kind", "passed"), [("number", False), ("negation", False), ("word", True)])
def test_a_number_that_differs_is_not_kept(kind: str, passed: bool) -> None:
    found = Difference(kind, 0.0, "a", "b", "", "")
    assert judge(Counts(tokens=9, words=9), found)["verify_max_critical"] is passed


def result(counts: Counts, *checks: Check, failed: tuple[tuple[str, str], ...] = ()) -> Verification:
    return Verification("m", "torch fp32", "onnx fp32", 1, 3.0, counts, (), checks, failed)


def test_nothing_heard_is_nothing_verified() -> None:
    found = result(Counts())
    assert not found.passed
    assert "heard no word" in verification.to_text(found)


def test_a_recording_that_could_not_be_read_is_no_success() -> None:
    found = result(Counts(words=3), failed=(("a.wav", "No such file"),))
    assert not found.passed
    assert "1 recordings could not be read" in verification.to_text(found)


def test_times_are_of_hours_minutes_and_seconds() -> None:
    assert verification.timestamp(3_725.0405) == "01:02:05.040"
