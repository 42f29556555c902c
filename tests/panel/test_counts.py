"""What the panel tells of a recording is what the service's own page tells of it: one count, one clock."""

import pytest

from medasr_service.text import annotated
from tests.panel.conftest import Opener

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

TEXTS = [
    "",
    "FINDINGS\nNo known drug allergies. Metoprolol 25 mg daily.\n\nPLAN\nReturn.",
    "5 / 5 - strength, L4-5; [___] [PatientName] . ,",
    "\u00b5g \u00bd \u00e9tat naive\u00a0space __ x_",
]
SECONDS = [0.0, 0.04, 0.05, 0.25, 0.75, 8.25, 9.96, 59.96, 75.04, 3599.99, 7325.04]
TOLD = """async ([texts, seconds]) => {
    const { counts, makeSegment } = await import("./panel/transcript.js");
    const { length } = await import("./panel/page.js");
    return [texts.map((text) => counts({ segments: [makeSegment({ text })] }, 0).words), seconds.map(length)];
}"""


def test_words_and_lengths_are_those_of_the_annotated_page(open_panel: Opener) -> None:
    words, lengths = open_panel().evaluate(TOLD, [TEXTS, SECONDS])
    assert words == [annotated.word_count(text) for text in TEXTS] == [0, 11, 5, 6]
    assert lengths == [annotated._clock(each) for each in SECONDS]
