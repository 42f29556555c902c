"""A transcript in each response format. Pure functions, in one table."""

import html
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from medasr_service.text import cues, losses
from medasr_service.text.shown import Shown, alone, shown
from medasr_service.text.transcript import WORD_START, Segment, Transcript, Unclear, Warned, Word

Json = dict[str, Any]


def usage(transcript: Transcript) -> Json:
    return {"type": "duration", "seconds": round(transcript.duration, 3)}


def warnings(warned: Sequence[Warned]) -> Json:
    """The key ``warnings``, which is ours, where there are any."""
    found = [{"code": each.code, "message": each.message} for each in warned]
    return {"warnings": found} if found else {}


def to_json(transcript: Transcript, *, logprobs: bool = False) -> Json:
    return {
        "text": transcript.text,
        **({"logprobs": to_logprobs(transcript.words)} if logprobs else {}),
        "usage": usage(transcript),
        **warnings(transcript.warnings),
    }


def to_verbose_json(transcript: Transcript, *, words: bool = False, segments: bool = True) -> Json:
    """OpenAI's verbose_json; ``segments`` that nobody asked for are null, as there. ``raw_text``, ``gain``,
    ``unclear``, and all but a word's text and times are ours.
    """
    return {
        "task": "transcribe",
        "language": "english",
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "raw_text": transcript.raw_text,
        "gain": round(transcript.gain, 3),
        "segments": [_segment(segment) for segment in transcript.segments] if segments else None,
        "unclear": [to_unclear(each) for each in transcript.unclear],
        **({"words": to_words(transcript.words)} if words else {}),
        "usage": usage(transcript),
        **warnings(transcript.warnings),
        **_lost(transcript),
    }


def _lost(transcript: Transcript) -> Json:
    """The key ``lost``, which is ours: what could not be read, and its mark in texts for people."""
    found = [
        {"start": round(each.start, 3), "seconds": round(each.seconds, 3), "text": losses.mark(each)}
        for each in transcript.lost
    ]
    return {"lost": found} if found else {}


def to_delta(segment: Segment, *, logprobs: bool = False) -> Json:
    """A segment as an event of OpenAI's stream; the deltas, joined, are the text."""
    return {
        "type": "transcript.text.delta",
        "delta": segment.text,
        **({"logprobs": to_logprobs(segment.words, first=segment.id == 0)} if logprobs else {}),
    }


def to_segment(segment: Segment, *, words: bool = False) -> Json:
    """What an event may tell of its segment beyond OpenAI's: as verbose_json has it, with its own words."""
    return {
        "segment": {**_segment(segment), "unclear": [to_unclear(each) for each in segment.unclear]},
        **({"words": to_words(segment.words)} if words else {}),
    }


def to_done(transcript: Transcript, *, frame_s: float, logprobs: bool = False) -> Json:
    """The last event of OpenAI's stream; an audio token is a frame of the model."""
    pieces = sum(len(word.tokens) for word in transcript.words)
    return {
        "type": "transcript.text.done",
        "text": transcript.text,
        **({"logprobs": to_logprobs(transcript.words)} if logprobs else {}),
        "usage": token_usage(round(transcript.duration / frame_s), pieces),
        **warnings(transcript.warnings),
    }


def token_usage(audio_tokens: int, output_tokens: int) -> Json:
    return {
        "type": "tokens",
        "input_tokens": audio_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio_tokens},
        "output_tokens": output_tokens,
        "total_tokens": audio_tokens + output_tokens,
    }


def to_text(transcript: Transcript) -> str:
    return losses.marked(transcript).text + "\n"


def _segment(segment: Segment) -> Json:
    text = segment.text.encode()
    return {
        "id": segment.id,
        "seek": 0,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "raw_text": segment.raw_text,
        "tokens": [token.id for word in segment.words for token in word.tokens],
        "temperature": 0.0,
        "avg_logprob": round(segment.avg_logprob, 4),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
    }


def to_words(words: Iterable[Word]) -> list[Json]:
    """As the text shows them; where one is made of several of the model's, ``parts`` has those."""
    return [_word(each) for each in shown(words)]


def _word(one: Shown) -> Json:
    word = {"word": one.text, **_part(one)}
    return {**word, "parts": [_part(each) for each in alone(one)]} if len(one.words) > 1 else word


def _part(one: Shown) -> Json:
    return {
        "raw": one.raw,
        "start": round(one.start, 3),
        "end": round(one.end, 3),
        "probability": round(one.probability, 4),
        "written": one.written,
        **({"unclear": one.unclear} if one.unclear else {}),
        **_alternatives(one),
    }


def _alternatives(one: Shown) -> Json:
    """The key ``alternatives``, which is ours: of a word of the model's own, where they were asked for."""
    found = one.words[0].alternatives if len(one.words) == 1 else ()
    told = [{"text": each.text, "probability": round(each.probability, 4)} for each in found]
    return {"alternatives": told} if told else {}


def to_unclear(unclear: Unclear) -> Json:
    """What must be filled in, and where it is heard."""
    return {
        "kind": unclear.kind,
        "text": unclear.text,
        "start": round(unclear.start, 3),
        "end": round(unclear.end, 3),
    }


def to_logprobs(words: Iterable[Word], *, first: bool = True) -> list[Json]:
    """The pieces; joined they are the raw text, which has white space before each word but the ``first``."""
    found = []
    for word in words:
        for at, token in enumerate(word.tokens):
            space = "" if first or at else word.space
            text = space + token.piece.replace(WORD_START, "")
            found.append({"token": text, "logprob": round(token.logprob, 4), "bytes": list(text.encode())})
        first = False
    return found


def _cues(
    transcript: Transcript, *, header: str, decimal: str, numbered: bool, escape: Callable[[str], str]
) -> str:
    blocks = []
    for number, cue in enumerate(cues.cut(losses.marked(transcript)), 1):
        times = f"{_timestamp(cue.start, decimal)} --> {_timestamp(cue.end, decimal)}"
        lines = "\n".join(cue.lines)
        blocks.append((f"{number}\n" if numbered else "") + f"{times}\n{escape(lines)}\n")
    return header + "\n".join(blocks)


def _timestamp(seconds: float, decimal: str) -> str:
    """HH:MM:SS and milliseconds."""
    ms = timedelta(seconds=seconds) // timedelta(milliseconds=1)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{decimal}{ms % 1000:03}"


def _escape_srt(text: str) -> str:
    """SubRip has no escapes; an arrow in the text would be taken for times."""
    return text.replace("-->", "->")


_escape_vtt = partial(html.escape, quote=False)  # a bare < opens a tag

to_srt = partial(_cues, header="", decimal=",", numbered=True, escape=_escape_srt)
to_vtt = partial(_cues, header="WEBVTT\n\n", decimal=".", numbered=False, escape=_escape_vtt)

TEXT_FORMATS: dict[str, tuple[Callable[[Transcript], str], str]] = {
    "text": (to_text, "text/plain"),
    "srt": (to_srt, "text/plain"),
    "vtt": (to_vtt, "text/vtt"),
}
FORMATS = ("json", "verbose_json", *TEXT_FORMATS)


def write(transcript: Transcript, response_format: str) -> str:
    """The transcript as a file of that format; verbose_json with words."""
    if response_format in TEXT_FORMATS:
        return TEXT_FORMATS[response_format][0](transcript)
    body = to_json(transcript) if response_format == "json" else to_verbose_json(transcript, words=True)
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
