"""Doubtful words are marked, and nothing else changes."""

import html
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.text import annotated
from medasr_service.text.transcript import Segment, Token, Transcript, Warned, Word

TOKEN = Token(4, "▁a", 0, 1, -0.1)


def written(*words: tuple[str, str, float]) -> Transcript:
    """Words a second apart, as (said, share of the text, probability)."""
    found = tuple(Word(said, i, i + 0.5, p, (TOKEN,), share) for i, (said, share, p) in enumerate(words))
    text = "".join(share for _, share, _ in words)
    segment = Segment(0, 0.0, float(len(words)), text, text, found, -0.1, 0.0)
    return Transcript(text, text, (segment,), float(len(words)), 1.0)


NOTE = written(
    ("[EXAM", "EXAM TYPE", 0.9),
    ("TYPE]", "", 0.2),
    ("lungs", "\nLungs", 0.95),
    ("clear", " clear", 0.69),
    ("{period}", ".", 0.9),
    ("{new", "", 0.9),
    ("paragraph}", "", 0.1),
    ("<unk>", "\n\n<unk>", 0.3),
)


def test_without_colours_doubtful_words_are_in_brackets() -> None:
    assert annotated.to_terminal(NOTE, low=0.7, colour=False) == (
        "[?EXAM TYPE?]\nLungs [?clear?]. [?paragraph}?]\n\n[?<unk>?]\n"
    )


def test_with_colours_they_are_underlined() -> None:
    text = annotated.to_terminal(NOTE, low=0.7, colour=True)
    assert "Lungs \033[4;33mclear\033[0m." in text
    assert "[?" not in text


def test_a_threshold_of_0_marks_nothing_and_of_1_all_that_is_not_certain() -> None:
    assert annotated.to_terminal(NOTE, low=0.0, colour=False) == NOTE.text + "\n"
    assert annotated.to_terminal(NOTE, low=1.0, colour=False).count("[?") == 7


SHARES = st.one_of(
    st.sampled_from([" clear", ".", "", "\n", "\n\nFINDINGS", "EXAM TYPE", " (", " & <b>"]), st.text()
)
WORDS = st.lists(st.tuples(st.just("{x}"), SHARES, st.sampled_from([0.1, 0.9])), max_size=20)


@given(WORDS)
def test_without_the_marks_the_text_is_the_transcript(words: list[tuple[str, str, float]]) -> None:
    transcript = written(*words)
    shown = annotated.to_terminal(transcript, low=0.5, colour=True)
    bare = shown.replace(" \033[4;33m{x}\033[0m", "").replace("\033[4;33m", "").replace("\033[0m", "")
    assert bare.replace("\033", "") == transcript.text.replace("\033", "") + "\n"
    parts = list(annotated.parts(transcript.words, 0.5))
    assert "".join(part.space + part.text for part in parts) == transcript.text


@given(WORDS)
def test_no_doubt_is_hidden(words: list[tuple[str, str, float]]) -> None:
    transcript = written(*words)
    least = [part.probability for part in annotated.parts(transcript.words, 0.5) if part.doubtful]
    doubtful = any(p < 0.5 for _, _, p in words)
    assert bool(least) == doubtful
    assert ("\033[4;33m" in annotated.to_terminal(transcript, low=0.5, colour=True)) == doubtful


def test_the_page_has_the_text_with_marks_and_times() -> None:
    page = annotated.to_html(NOTE, low=0.7, name="a<b>.wav", notice="demo & more")
    assert '<mark title="0:03.0 to 0:03.5, probability 0.69">clear</mark>' in page
    assert '<span title="0:02.0 to 0:02.5, probability 0.95">Lungs</span>' in page
    assert "<h1>a&lt;b&gt;.wav</h1>" in page
    assert "<strong>demo &amp; more</strong>" in page
    assert "5 words, 4 doubtful" in page
    [text] = re.findall(r'<div class="text">(.*?)</div>', page, re.DOTALL)
    assert html.unescape(re.sub("<[^>]+>", "", text)) == NOTE.text.replace(".", ". paragraph}")


def test_what_must_be_filled_in_is_marked_however_sure_the_model_is() -> None:
    words = (NOTE.words[2], replace(NOTE.words[4], written=" [Date]", unclear="placeholder", probability=1.0))
    warned = (Warned("sounds_like_conversation", "Sounds like a <conversation>."),)
    transcript = replace(NOTE, segments=(replace(NOTE.segments[0], words=words),), warnings=warned)
    assert annotated.to_terminal(transcript, low=0.0, colour=False) == "\nLungs [![Date]!]\n"
    assert " \033[1;41;97m[Date]\033[0m" in annotated.to_terminal(transcript, low=0.0, colour=True)
    page = annotated.to_html(transcript, low=0.0, name="x")
    assert 'probability 1.00, to be filled in">[Date]</mark>' in page
    assert "0 doubtful" in page
    assert "Left to be filled in, in another colour: 1." in page
    assert "Sounds like a &lt;conversation&gt;." in page


@given(WORDS)
def test_nothing_that_was_said_is_markup(words: list[tuple[str, str, float]]) -> None:
    page = annotated.to_html(written(*words), low=0.5, name="x")
    [text] = re.findall(r'<div class="text">(.*)</div>', page, re.DOTALL)
    assert set(re.findall(r"<(\w+)", text)) <= {"mark", "span"}
    assert "$" not in page.split("<body>")[0]


@pytest.mark.parametrize(
    ("seconds", "clock"), [(0.0, "0:00.0"), (59.96, "1:00.0"), (3599.99, "1:00:00.0"), (7325.04, "2:02:05.0")]
)
def test_times_as_a_clock_shows_them(seconds: float, clock: str) -> None:
    assert annotated._clock(seconds) == clock
