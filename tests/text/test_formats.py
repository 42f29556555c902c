"""The response formats, read back by what reads them."""

import html
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from openai.types.audio import Transcription, TranscriptionVerbose

from medasr_service.text import formats
from medasr_service.text.transcript import Segment, Token, Transcript, Unclear, Warned, Word


def _segment(number: int, start: float, *written: tuple[str, str]) -> Segment:
    """Words a second apart, each as the model wrote it and with its share of the text."""
    words = tuple(
        Word(w, start + i, start + i + 0.5, 0.8, (Token(7, f"▁{w}", 25 * i, 25 * i + 9, -0.25),), share)
        for i, (w, share) in enumerate(written)
    )
    raw_text = " " * (number > 0) + " ".join(w for w, _ in written)
    text = "".join(share for _, share in written)
    return Segment(number, start, words[-1].end, text, raw_text, words, -0.25, 0.02)


SEGMENTS = (
    _segment(0, 0.0725, ("[FINDINGS]", "FINDINGS"), ("{colon}", ":")),
    _segment(1, 3.5, ("The", "\nThe"), ("lungs", " lungs"), ("clear", " clear"), ("{period}", ".")),
    _segment(
        2,
        3725.9996,
        ("{new", ""),
        ("paragraph}", ""),
        *(
            (w, f"\n\n{w}" if w == "Naïve" else f" {w}")
            for w in ["Naïve", "5", "µm", "-->", "6", "&", "<unk>"]
        ),
    ),
    _segment(3, 3740.0, ("{new", ""), ("paragraph}", "\n\n")),
)
TRANSCRIPT = Transcript(
    text="".join(s.text for s in SEGMENTS),
    raw_text="".join(s.raw_text for s in SEGMENTS),
    segments=SEGMENTS,
    duration=3750.12345,
    gain=1.5,
)
EMPTY = Transcript("", "", (), 2.0, 1.0)
TIME = r"(\d\d+):([0-5]\d):([0-5]\d)%s(\d{3})"


def _cues(text: str, *, decimal: str, numbered: bool) -> list[tuple[float, float, str]]:
    """A strict reader: blocks parted by one blank line, times, then at least one line of text."""
    assert text == "" or text.endswith("\n")
    assert "\n\n\n" not in text
    cues = []
    for number, block in enumerate(text.rstrip("\n").split("\n\n") if text else [], 1):
        lines = block.split("\n")
        if numbered:
            assert lines.pop(0) == str(number)
        times = re.fullmatch(f"{TIME} --> {TIME}".replace("%s", re.escape(decimal)), lines[0])
        assert times, lines[0]
        h1, m1, s1, ms1, h2, m2, s2, ms2 = map(int, times.groups())
        assert lines[1:]
        assert numbered or "-->" not in "".join(lines[1:])  # in WebVTT it would begin another cue
        start, end = h1 * 3600 + m1 * 60 + s1 + ms1 / 1000, h2 * 3600 + m2 * 60 + s2 + ms2 / 1000
        cues.append((start, end, "\n".join(lines[1:])))
    return cues


def _read(name: str) -> list[tuple[float, float, str]]:
    text = formats.write(TRANSCRIPT, name)
    if name == "srt":
        return _cues(text, decimal=",", numbered=True)
    header, _, rest = text.partition("\n\n")
    assert header == "WEBVTT"
    return _cues(rest, decimal=".", numbered=False)


@pytest.mark.parametrize("transcript", [TRANSCRIPT, EMPTY], ids=["full", "empty"])
@pytest.mark.parametrize("words", [True, False])
def test_the_sdk_takes_verbose_json_strictly(transcript: Transcript, words: bool) -> None:
    body = formats.to_verbose_json(transcript, words=words)
    parsed = TranscriptionVerbose.model_validate_json(json.dumps(body), strict=True)
    assert parsed.text == transcript.text
    assert parsed.segments is not None
    assert (parsed.words is not None) == words
    assert parsed.usage is not None


@pytest.mark.parametrize("transcript", [TRANSCRIPT, EMPTY], ids=["full", "empty"])
def test_the_sdk_takes_json_with_logprobs_strictly(transcript: Transcript) -> None:
    parsed = Transcription.model_validate_json(
        json.dumps(formats.to_json(transcript, logprobs=True)), strict=True
    )
    assert parsed.text == transcript.text
    assert parsed.logprobs is not None


def test_a_segment_has_the_ten_fields() -> None:
    wanted = {"id", "seek", "start", "end", "text", "tokens", "temperature"}
    wanted |= {"avg_logprob", "compression_ratio", "no_speech_prob"}
    for segment in formats.to_verbose_json(TRANSCRIPT)["segments"]:
        assert wanted <= set(segment)


def test_the_texts_of_the_segments_join_to_the_text() -> None:
    body = formats.to_verbose_json(TRANSCRIPT)
    assert "".join(s["text"] for s in body["segments"]) == body["text"] == TRANSCRIPT.text
    assert "".join(s["raw_text"] for s in body["segments"]) == body["raw_text"] == TRANSCRIPT.raw_text
    assert [s["id"] for s in body["segments"]] == list(range(len(SEGMENTS)))


def test_words_come_when_asked_for() -> None:
    assert "words" not in formats.to_verbose_json(TRANSCRIPT)
    words = formats.to_verbose_json(TRANSCRIPT, words=True)["words"]
    wanted = {"word", "raw", "start", "end", "probability", "written"}
    assert all(set(word) - {"parts"} == wanted for word in words)
    assert [word["word"] for word in words[:4]] == ["FINDINGS:", "The", "lungs", "clear."]
    assert words[0]["parts"] == [
        {"raw": "[FINDINGS]", "written": "FINDINGS", "probability": 0.8, "start": 0.072, "end": 0.573},
        {"raw": "{colon}", "written": ":", "probability": 0.8, "start": 1.073, "end": 1.573},
    ]
    assert "parts" not in words[1]


def test_the_words_joined_with_what_stands_between_them_are_the_text() -> None:
    words = formats.to_verbose_json(TRANSCRIPT, words=True)["words"]
    assert "".join(word["written"] for word in words) == TRANSCRIPT.text
    assert " ".join(word["raw"] for word in words) == TRANSCRIPT.raw_text
    at = 0
    for word in words:
        found = TRANSCRIPT.text.index(word["word"], at)
        assert not TRANSCRIPT.text[at:found].strip()
        at = found + len(word["word"])
    assert not TRANSCRIPT.text[at:].strip()


def test_segments_are_null_where_only_words_are_asked_for() -> None:
    body = formats.to_verbose_json(TRANSCRIPT, words=True, segments=False)
    assert body["segments"] is None
    assert TranscriptionVerbose.model_validate_json(json.dumps(body), strict=True).segments is None


def test_logprobs_come_when_asked_for_with_the_bytes_of_each_piece() -> None:
    assert "logprobs" not in formats.to_json(TRANSCRIPT)
    entries = formats.to_json(TRANSCRIPT, logprobs=True)["logprobs"]
    assert len(entries) == sum(len(word.tokens) for word in TRANSCRIPT.words)
    for entry in entries:
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert entry["logprob"] == -0.25


def test_the_pieces_of_logprobs_join_to_the_raw_text() -> None:
    entries = formats.to_json(TRANSCRIPT, logprobs=True)["logprobs"]
    assert "".join(entry["token"] for entry in entries) == TRANSCRIPT.raw_text
    streamed = [each for s in SEGMENTS for each in formats.to_delta(s, logprobs=True)["logprobs"]]
    assert streamed == entries == formats.to_done(TRANSCRIPT, frame_s=0.04, logprobs=True)["logprobs"]


def test_a_word_in_several_pieces_is_whole_in_its_logprobs() -> None:
    tokens = [Token(i, piece, i, i + 1, -0.1) for i, piece in enumerate(["▁", "a", "orta", "▁5"])]
    words = [Word("aorta", 0, 1, 0.9, tuple(tokens[:3])), Word("5", 1, 2, 0.9, tuple(tokens[3:]))]
    assert [each["token"] for each in formats.to_logprobs(words)] == ["", "a", "orta", " 5"]


@pytest.mark.parametrize(("name", "media_type"), [("text", "text/plain"), ("srt", "text/plain")])
def test_text_formats_are_plain_text(name: str, media_type: str) -> None:
    assert formats.TEXT_FORMATS[name][1] == media_type


def test_usage_is_the_duration() -> None:
    for body in (formats.to_json(TRANSCRIPT), formats.to_verbose_json(TRANSCRIPT)):
        assert body["usage"] == {"type": "duration", "seconds": 3750.123}


def test_verbose_json_tells_the_gain() -> None:
    assert formats.to_verbose_json(TRANSCRIPT)["gain"] == 1.5


def test_text_is_the_text_and_a_line_end() -> None:
    assert formats.write(TRANSCRIPT, "text") == TRANSCRIPT.text + "\n"


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_cues_have_the_text_and_the_times_of_their_words(name: str) -> None:
    cues = _read(name)
    text = " ".join(text for _, _, text in cues)
    shown = html.unescape(text) if name == "vtt" else text.replace("->", "-->")  # SubRip has no escapes
    assert shown.split() == TRANSCRIPT.text.split()
    [(start, end)] = [(start, end) for start, end, text in cues if "lungs" in text]
    words = SEGMENTS[1].words
    assert [start, end] == pytest.approx([words[0].start, words[-1].end], abs=0.001)
    assert all(start < end for start, end, _ in cues)


def test_a_vtt_cue_shows_angle_brackets_and_ampersands() -> None:
    """In WebVTT a bare < opens a tag, which players do not show: <unk> would vanish."""
    [cue] = [text for _, _, text in _read("vtt") if "unk" in text]
    assert "&lt;unk" in cue
    assert "6 &amp; " in cue


@pytest.mark.parametrize(
    ("transcript", "name", "expected"),
    [(EMPTY, "srt", ""), (EMPTY, "vtt", "WEBVTT\n\n"), (EMPTY, "text", "\n")],
)
def test_silence_in_each_text_format(transcript: Transcript, name: str, expected: str) -> None:
    assert formats.write(transcript, name) == expected


def test_times_beyond_an_hour() -> None:
    assert "01:02:07,999 -->" in formats.write(TRANSCRIPT, "srt")
    late = _segment(0, 360_000.0, ("late", "Late"), ("{period}", "."))
    assert "100:00:00,000 --> 100:00:01,500" in formats.write(replace(TRANSCRIPT, segments=(late,)), "srt")


@pytest.mark.parametrize("name", ["json", "verbose_json"])
def test_written_json_keeps_letters_as_they_are(name: str) -> None:
    text = formats.write(TRANSCRIPT, name)
    assert "Naïve 5 µm" in text
    body: dict[str, Any] = json.loads(text)
    assert body["text"] == TRANSCRIPT.text


def test_every_format_can_be_written() -> None:
    for name in formats.FORMATS:
        assert formats.write(TRANSCRIPT, name).endswith("\n")


def test_warnings_are_told_where_there_are_any() -> None:
    warned = replace(EMPTY, warnings=(Warned("noisy", "It is loud."),))
    for body in (formats.to_json, formats.to_verbose_json, lambda t: formats.to_done(t, frame_s=0.04)):
        assert body(warned)["warnings"] == [{"code": "noisy", "message": "It is loud."}]
        assert "warnings" not in body(EMPTY)


def test_what_must_be_filled_in_is_told_with_its_times_in_segments_words_and_all() -> None:
    unclear = Unclear("placeholder", "[Date]", 1.00049, 1.5)
    word = Word("[Date]", 1.00049, 1.5, 0.99, SEGMENTS[0].words[0].tokens, " [Date]", unclear="placeholder")
    segment = replace(SEGMENTS[0], words=(word,), unclear=(unclear,))
    told = [{"kind": "placeholder", "text": "[Date]", "start": 1.0, "end": 1.5}]
    body = formats.to_verbose_json(replace(EMPTY, segments=(segment, segment)), words=True)
    assert body["unclear"] == told * 2
    assert [each["unclear"] for each in body["words"]] == ["placeholder"] * 2
    assert formats.to_segment(segment)["segment"]["unclear"] == told
    plain = formats.to_verbose_json(TRANSCRIPT, words=True)
    assert plain["unclear"] == []
    assert not any("unclear" in each for each in plain["words"])
