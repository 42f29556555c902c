"""A transcript in each response format. Pure functions, in one table."""

import html
import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from medasr_service.text import cues
from medasr_service.text.transcript import Segment, Token, Transcript, Word

Json = dict[str, Any]


def usage(transcript: Transcript) -> Json:
    return {"type": "duration", "seconds": round(transcript.duration, 3)}


def warnings(transcript: Transcript) -> Json:
    """The key ``warnings``, which is ours, where there are any."""
    found = [{"code": each.code, "message": each.message} for each in transcript.warnings]
    return {"warnings": found} if found else {}


def to_json(transcript: Transcript, *, logprobs: bool = False) -> Json:
    tokens = [token for word in transcript.words for token in word.tokens]
    return {
        "text": transcript.text,
        **({"logprobs": [to_logprob(token) for token in tokens]} if logprobs else {}),
        "usage": usage(transcript),
        **warnings(transcript),
    }


def to_verbose_json(transcript: Transcript, *, words: bool = False) -> Json:
    """OpenAI's verbose_json; ``raw_text``, ``gain``, a word's ``probability`` and ``written`` are ours."""
    return {
        "task": "transcribe",
        "language": "english",
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "raw_text": transcript.raw_text,
        "gain": round(transcript.gain, 3),
        "segments": [_segment(segment) for segment in transcript.segments],
        **({"words": [to_word(word) for word in transcript.words]} if words else {}),
        "usage": usage(transcript),
        **warnings(transcript),
    }


def to_delta(segment: Segment, *, logprobs: bool = False) -> Json:
    """A segment as an event of OpenAI's stream; the deltas, joined, are the text."""
    tokens = [token for word in segment.words for token in word.tokens]
    return {
        "type": "transcript.text.delta",
        "delta": segment.text,
        **({"logprobs": [to_logprob(token) for token in tokens]} if logprobs else {}),
    }


def to_segment(segment: Segment, *, words: bool = False) -> Json:
    """What an event may tell of its segment beyond OpenAI's: as verbose_json has it, with its own words."""
    return {
        "segment": _segment(segment),
        **({"words": [to_word(word) for word in segment.words]} if words else {}),
    }


def to_done(transcript: Transcript, *, frame_s: float, logprobs: bool = False) -> Json:
    """The last event of OpenAI's stream; an audio token is a frame of the model."""
    tokens = [token for word in transcript.words for token in word.tokens]
    return {
        "type": "transcript.text.done",
        "text": transcript.text,
        **({"logprobs": [to_logprob(token) for token in tokens]} if logprobs else {}),
        "usage": token_usage(round(transcript.duration / frame_s), len(tokens)),
        **warnings(transcript),
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
    return transcript.text + "\n"


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


def to_word(word: Word) -> Json:
    return {
        "word": word.text,
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "probability": round(word.probability, 4),
        "written": word.written,
    }


def to_logprob(token: Token) -> Json:
    return {"token": token.piece, "logprob": round(token.logprob, 4), "bytes": list(token.piece.encode())}


def _cues(
    transcript: Transcript, *, header: str, decimal: str, numbered: bool, escape: Callable[[str], str]
) -> str:
    blocks = []
    for number, cue in enumerate(cues.cut(transcript), 1):
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
    "srt": (to_srt, "application/x-subrip"),
    "vtt": (to_vtt, "text/vtt"),
}
FORMATS = ("json", "verbose_json", *TEXT_FORMATS)


def write(transcript: Transcript, response_format: str) -> str:
    """The transcript as a file of that format; verbose_json with words."""
    if response_format in TEXT_FORMATS:
        return TEXT_FORMATS[response_format][0](transcript)
    body = to_json(transcript) if response_format == "json" else to_verbose_json(transcript, words=True)
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
