"""Segments as they come, against the report that the same raw text makes as a whole."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medasr_service.decoding.confidence import AS_IT_IS
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.geometry import FrameGeometry
from medasr_service.segmenter import Segmenter
from medasr_service.text import cues, formats, raw
from medasr_service.text.boundaries import Levels
from medasr_service.text.transcript import Segment, Transcript

GEOMETRY = FrameGeometry()
STEPS = GEOMETRY.frame_samples // GEOMETRY.hop  # values of loudness in a frame
SAID = [
    "lungs", "clear", "clear.", "small,", "5", "25", "mg", "1.", "q.i.d.", "Dr.", "no?", ".", ",", ":", "of",
    "new", "next", "line", "full", "stop}", "{period}", "{comma}", "{colon}", "{new paragraph}",
    "{next} line}", "{new para}graph}", "newline}", "{newline}}", "{period}.", "{quote}", "{quote}.",
    "{open quote}", "{close paren}", "{hyphen}", "{tab}", "{next number}", "{point}", "{end}", "{end.",
    "{end of dictation}", "{this is the end}", "[FINDINGS]", "[EXAM TYPE]", "[FINDINGS ]", "[A]", "[CT HEAD]",
    "[unintelligible]", "[unintelligible.", "[unintelligible}", "tigible]", "e]", "Name]", "[Date]",
    "[PatientName.", "[Patient Name]", "{", "}", "[", "]", "[}", "fast{comma}but", "at[Date]we",
    "an[unintelligible]ig", "{question", "{nexcktpace}", "x.}",
]  # fmt: skip
PAUSES = (1, 1, 2, 6, 20, 40)  # in frames: no marker spans a longer one


def segments(words: list[str], pauses: list[int], sizes: list[int], *, raw: bool) -> list[Segment]:
    """A word for two frames, a pause behind each; the frames come in pieces of these sizes, in turn."""
    pieces = ["<blank>", *("▁" + word for word in dict.fromkeys(words))]
    rows = [0]
    for word, pause in zip(words, pauses, strict=True):
        rows += [pieces.index("▁" + word)] * 2 + [0] * pause
    emission = np.full((len(rows), len(pieces)), np.log(0.1 / len(pieces)), np.float32)
    emission[np.arange(len(rows)), rows] = np.log(0.9)
    loudness = np.where(np.repeat(rows, STEPS) == 0, -90, -20).astype(np.float32)
    vocabulary = Vocabulary(tuple(pieces), 0, frozenset({0}))
    segmenter = Segmenter(vocabulary, GEOMETRY, len(rows) * GEOMETRY.frame_s, None, AS_IT_IS, raw=raw)
    found: list[Segment] = []
    at = turn = 0
    while at < len(rows):
        end = min(at + sizes[turn % len(sizes)], len(rows))
        levels = Levels(at * GEOMETRY.frame_s, GEOMETRY.frame_s / STEPS, loudness[at * STEPS : end * STEPS])
        found += segmenter.push(emission[at:end], levels, final=end == len(rows))
        at, turn = end, turn + 1
    return found


def squeezed(text: str) -> str:
    return " ".join(text.split())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SAID), min_size=1, max_size=25), st.data())
def test_every_way_to_the_text_of_a_recording_is_the_report_of_its_raw_text(
    said: list[str], data: st.DataObject
) -> None:
    words = " ".join(said).split()
    pauses = data.draw(st.lists(st.sampled_from(PAUSES), min_size=len(words), max_size=len(words)))
    sizes = data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=5))
    report = raw.report(" ".join(words))
    found = segments(words, pauses, sizes, raw=False)
    text, raw_text = ("".join(getattr(each, name) for each in found) for name in ("text", "raw_text"))
    assert text == report.text
    assert raw_text == report.raw_text
    assert "".join(each.text for each in segments(words, pauses, sizes, raw=True)) == raw_text
    transcript = Transcript(text, raw_text, tuple(found), 1000.0, 1.0)
    shown = formats.to_words(transcript.words)
    assert "".join(each["written"] for each in shown) == text
    assert squeezed(" ".join(each["word"] for each in shown)) == squeezed(text)
    logprobs = [one for each in found for one in formats.to_logprobs(each.words, first=each.id == 0)]
    assert "".join(each["token"] for each in logprobs) == raw_text
    assert squeezed(" ".join(" ".join(cue.lines) for cue in cues.cut(transcript))) == squeezed(text)
    unclear = [item.text for item in report.items if item.kind in ("doubt", "placeholder")]
    assert [each.text for each in transcript.unclear] == unclear
