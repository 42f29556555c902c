"""What the page takes for an edit: the shortest way between two texts, whatever the texts."""

import difflib
import random
from typing import Any

import pytest

from tests.panel.conftest import Opener

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

DIFFERENCES = """async (pairs) => {
    const { differences } = await import("./panel/differences.js");
    return pairs.map(([before, after]) => differences(before, after));
}"""


def pairs() -> list[tuple[list[str], list[str]]]:
    rng = random.Random(7)
    drawn = [
        (rng.choices("abcd", k=rng.randint(0, 12)), rng.choices("abcd", k=rng.randint(0, 12)))
        for _ in range(300)
    ]
    long = [str(i) for i in range(4000)]
    return [*drawn, ([], []), (long, [*long[:1999], "x", *long[2001:]]), (long, long[::-1])]


def test_the_steps_lead_from_one_text_to_the_other_and_keep_what_they_can(open_panel: Opener) -> None:
    given = pairs()
    answers: list[list[dict[str, Any]]] = open_panel().evaluate(DIFFERENCES, given)
    for (before, after), steps in zip(given, answers, strict=True):
        kept = [before[step["at"]] for step in steps if step["kind"] != "added"]
        made = [after[step["at"]] if step["kind"] == "added" else before[step["at"]] for step in steps]
        made = [text for text, step in zip(made, steps, strict=True) if step["kind"] != "removed"]
        assert kept == before
        assert made == after
        same = sum(step["kind"] == "same" for step in steps)
        blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
        if len(before) < 20:  # beyond MAX_DIFFERENCES nothing is kept, on purpose
            assert same >= sum(block.size for block in blocks)
