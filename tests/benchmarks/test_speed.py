"""The comparison of speeds looks at what was answered."""

from benchmarks.speed import unlike


def test_who_answers_without_the_text_is_told_from_the_others() -> None:
    assert unlike({"a": {"one": [900, 910], "two": [1_000]}}) == []
    [odd] = unlike({"a": {"one": [900, 910], "two": [1_000], "three": [870, 12]}})
    assert odd.startswith("three, a: 12 letters")


def test_who_writes_of_silence_too_is_not_odd() -> None:
    assert unlike({"a": {"prototype": [1562, 1562], "fp32": [752, 752], "int8": [752, 770]}}) == []


def test_where_nobody_wrote_anything_it_is_odd_if_something_had_to_be_written() -> None:
    silent = {"a": {"one": [0], "two": [0]}}
    assert unlike(silent) == []
    assert len(unlike(silent, at_least=1)) == 2
