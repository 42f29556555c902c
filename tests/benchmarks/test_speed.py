"""The comparison of speeds looks at what was answered."""

from benchmarks.speed import Contender, unlike


def contender(name: str, **letters: list[int]) -> Contender:
    return Contender(name, "", 0, 0.0, letters={"": [0], **letters})


def test_who_answers_without_the_text_is_told_from_the_others() -> None:
    asked = [contender("one", a=[900, 910]), contender("two", a=[1_000]), contender("three", a=[870, 12])]
    assert unlike(asked[:2]) == []
    [odd] = unlike(asked)
    assert odd.startswith("three, a: 12 letters")
