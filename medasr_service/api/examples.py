"""An answer of each kind, and a refusal for each status, for the documentation."""

from typing import Any

from medasr_service.errors import (
    AudioTooLong,
    Busy,
    Forbidden,
    InvalidRequest,
    MedASRError,
    NoRoom,
    NotReady,
    TimedOut,
    TruncatedAudio,
    Unauthorized,
    UnsupportedAudio,
    UploadStalled,
    UploadTooLarge,
)

Json = dict[str, Any]

TRANSCRIPTS: Json = {
    "json": {
        "summary": "response_format=json",
        "value": {
            "text": "FINDINGS:\nThe lungs are clear.",
            "usage": {"type": "duration", "seconds": 2.9},
        },
    },
    "verbose_json": {
        "summary": "response_format=verbose_json, timestamp_granularities[]=word alone",
        "value": {
            "task": "transcribe",
            "language": "english",
            "duration": 2.9,
            "text": "The lungs are clear.",
            "raw_text": "The lungs are clear {period}",
            "gain": 1.0,
            "segments": None,
            "unclear": [],
            "words": [
                {
                    "word": "clear.",
                    "raw": "clear {period}",
                    "start": 1.12,
                    "end": 2.02,
                    "probability": 0.97,
                    "written": " clear.",
                    "parts": [
                        {"raw": "clear", "start": 1.12, "end": 1.5, "probability": 0.98, "written": " clear"},
                        {"raw": "{period}", "start": 1.5, "end": 2.02, "probability": 0.97, "written": "."},
                    ],
                }
            ],
            "usage": {"type": "duration", "seconds": 2.9},
            "model": "google/medasr",
        },
    },
}
EVENTS = """\
event: transcript.text.delta
data: {"type": "transcript.text.delta", "delta": "The lungs are clear."}

event: transcript.text.done
data: {"type": "transcript.text.done", "text": "The lungs are clear.", "usage": {"type": "tokens", ...}}

"""
SRT = "1\n00:00:00,120 --> 00:00:02,020\nThe lungs are clear.\n"
TEXTS: Json = {
    "text/plain": {
        "schema": {"type": "string"},
        "examples": {
            "text": {"summary": "response_format=text", "value": "The lungs are clear.\n"},
            "srt": {"summary": "response_format=srt", "value": SRT},
        },
    },
    "text/vtt": {
        "schema": {"type": "string"},
        "example": "WEBVTT\n\n00:00:00.120 --> 00:00:02.020\nThe lungs are clear.\n",
    },
    "text/event-stream": {"schema": {"type": "string"}, "example": EVENTS},
}
_LANGUAGE = InvalidRequest(
    "MedASR transcribes English only: leave language out, or send 'en'.", param="language"
)
_CUT_OFF = TruncatedAudio("The WAV announces 32,000 bytes of samples and holds 16,000: it is cut off.")
_KEY = Unauthorized(
    "The API key is missing or wrong: send a key of this service as 'Authorization: Bearer KEY'."
)
_ORIGIN = Forbidden(
    "Pages of this origin may not use the service; MEDASR_ALLOW_ORIGINS names those that may.",
    code="origin_not_allowed",
)
_STALLED = UploadStalled("Nothing of the upload came for 30 s.")
_LARGE = UploadTooLarge("The recording is larger than 512 MiB, the limit of this service.")
_LONG = AudioTooLong("The recording is longer than 10,800 s, the limit of this service.")
_NO_AUDIO = UnsupportedAudio("The file is not audio in a format that is known here.")
_BUSY = Busy("64 transcriptions are under way, the limit of this service. Try again.")
_FAILED = MedASRError("The service failed; its log says why.")
_LOADING = NotReady("The model is still loading.")
_LATE = TimedOut("There is no answer after 7200 s.")

FAILURES: dict[int, tuple[str, dict[str, MedASRError]]] = {
    400: ("A field or the recording is wrong", {"field": _LANGUAGE, "recording": _CUT_OFF}),
    401: ("No API key, or a wrong one", {"key": _KEY}),
    403: ("A page of another origin, or a name that is not this service's", {"origin": _ORIGIN}),
    408: ("The upload stopped, or came too slowly", {"upload": _STALLED}),
    413: ("Too large, or too long", {"size": _LARGE, "duration": _LONG}),
    415: ("Not audio", {"file": _NO_AUDIO}),
    429: ("Too many transcriptions under way; Retry-After says when to come again", {"busy": _BUSY}),
    500: ("The service failed", {"failure": _FAILED}),
    503: ("Not now; Retry-After says when to come again", {"loading": _LOADING, "disk": NoRoom()}),
    504: ("No answer in time", {"time": _LATE}),
}
