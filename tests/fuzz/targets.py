"""What `make fuzz` gives to strangers' bytes: the readers that are written in Python, each by itself.

A target takes bytes and returns, whatever they are. What it raises is a fault: an error of this package is an
answer with a sentence, anything else would be a failure, or, behind ``guarded``, a sentence that tells less
than it could.
"""

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Any, BinaryIO
from unittest import mock

import numpy as np
from starlette.datastructures import QueryParams
from starlette.requests import Request

from medasr_service.api import parameters, realtime_events, realtime_session, uploads
from medasr_service.api.spool import Room
from medasr_service.audio import containers, ffmpeg, pieces, plain, sndfile, stream
from medasr_service.decoding import keywords
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.errors import MedASRError
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.settings import Settings

MAX_S, MAX_CHANNELS = 60.0, 8
BOUNDARY = "b"
RATE = 16_000
BLOCK_BYTES = 1 << 16

Target = Callable[[bytes], None]


def readers(data: bytes) -> None:
    """Which container it is, where its sound lies, what lacks: all but the decoders, which are others'."""
    with mock.patch.multiple(ffmpeg, decode=_decoded), mock.patch.multiple(sndfile, decode=_decoded):
        for track in (0, 1):
            found = _unguarded(io.BytesIO(data), track=track, max_duration_s=MAX_S, max_channels=MAX_CHANNELS)
            with suppress(MedASRError):
                for _ in pieces.Listener("skip", MAX_S).hear(found):
                    pass


def _decoded(file: BinaryIO, *asked: Any, track: int = 0) -> Iterator[pieces.Piece]:
    """In the place of a decoder: reads the start and the end of what it is shown, and hears a little silence.

    By the last byte it is one that knows the coding, one that does not, or one that breaks.
    """
    if track:
        raise ffmpeg.NoSuchTrack
    size = file.seek(0, 2)
    file.seek(0)
    assert file.read(BLOCK_BYTES) or not size
    file.seek(max(0, size - BLOCK_BYTES))
    end = b"".join(iter(partial(file.read, BLOCK_BYTES), b""))
    assert len(end) == min(size, BLOCK_BYTES), f"{len(end)} bytes at the end of {size}"
    last = end[-1] if end else 0
    if isinstance(asked[0], tuple) and last % 4 == 1:
        raise sndfile.Undecodable
    yield np.zeros((RATE // 10, 1), np.float32), RATE
    if isinstance(asked[0], tuple) and last % 4 == 2:
        raise sndfile.Broken(RATE // 20, 0.1)


def plain_wav(data: bytes) -> None:
    """What is read without a decoder is, to the last bit, what libsndfile reads."""
    file = io.BytesIO(data)
    found = plain.survey(file)
    if found is None:
        return

    def any_rate(*_: object) -> None:
        if not 1 <= found.channels <= MAX_CHANNELS or not found.rate:
            raise MedASRError("not taken")

    try:
        own = list(plain.decode(file, found, any_rate))
        others = list(sndfile.decode(file, ("WAV", "WAVEX"), any_rate))
    except (MedASRError, sndfile.Undecodable):  # of a rate beyond what libsndfile takes
        return
    assert not any(isinstance(each, pieces.Flaw | pieces.Gap) for each in others)
    assert all(a[1] == b[1] and np.array_equal(a[0], b[0]) for a, b in zip(own, others, strict=True))  # type: ignore[index]


def recordings(data: bytes) -> None:
    """The whole of it, with the decoders; a crash of theirs ends the process."""
    with suppress(MedASRError):
        stream.inspect(io.BytesIO(data), max_duration_s=MAX_S, max_channels=MAX_CHANNELS)


def events(data: bytes) -> None:
    """What a live client may send; it comes as text."""
    text = data.decode(errors="replace")
    realtime_events.event_id_of(text)
    usual = realtime_session.Session()
    try:
        event = realtime_events.parse(text)
        match event:
            case realtime_events.Append():
                usual.audio.input.format.decoder().decode(event.pcm)
            case realtime_events.Update() | realtime_events.BetaUpdate():
                is_flat = isinstance(event, realtime_events.BetaUpdate)
                change = realtime_session.of_beta(event.session) if is_flat else event.session
                changed = usual.updated(change, usual)
                assert changed.updated({}, usual) == changed
                json.dumps(changed.model_dump())
    except MedASRError as error:
        json.dumps(realtime_events.error(error)).encode()


def forms(data: bytes) -> None:
    """A line with the content type, then the form: read, checked, its keywords spelled and sought."""
    kind, _, body = data.partition(b"\n")
    headers = [(b"content-type", kind)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def read() -> tuple[str, ...]:
        request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
        form = await uploads.read_form(request, _SETTINGS, Room(1 << 20), file_field="file")
        try:
            return parameters.parse(form, QueryParams("")).options(_SETTINGS).keywords
        finally:
            await form.close()

    with suppress(MedASRError):
        terms = _loop().run_until_complete(read())
        if terms:
            found = keywords.Keywords(terms, _vocabulary(), _SETTINGS.keyword_score)
            found.warnings(terms)
            found.put(*_heard())


TARGETS: dict[str, Target] = {
    "readers": readers,
    "plain_wav": plain_wav,
    "recordings": recordings,
    "events": events,
    "forms": forms,
}
_SETTINGS = Settings()
_unguarded: Callable[..., Iterator[pieces.Piece]] = containers.decode.__wrapped__  # type: ignore[attr-defined]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _vocabulary() -> Vocabulary:
    return Vocabulary.load(DEMO_FOLDER)


@cache
def _heard() -> tuple[Any, Any, Any]:
    """Half a second in which any piece is about as likely as any other."""
    emission = np.random.default_rng(3).normal(size=(12, len(_vocabulary().pieces))).astype(np.float32)
    return emission.argmax(axis=1), emission, np.zeros(len(emission), bool)


def seeds(target: str, recorded: list[bytes]) -> list[bytes]:
    """Sound ones to begin with."""
    return {"events": _EVENTS, "forms": _FORMS}.get(target, recorded)


_EVENTS = [
    json.dumps(each).encode()
    for each in (
        {"type": "input_audio_buffer.append", "audio": "AAABAAD/", "event_id": "one"},
        {"type": "input_audio_buffer.append", "audio": "AAAB-_"},
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear"},
        {"type": "session.update", "session": realtime_session.Session().model_dump()},
        {"type": "session.update", "session": {"audio": {"input": {"transcription": {"keywords": ["a"]}}}}},
        {"type": "session.update", "session": {"audio": {"input": {"transcription": {"delay": "low"}}}}},
        {"type": "session.update", "session": {"include": ["item.input_audio_transcription.hypothesis"]}},
        {
            "type": "session.update",
            "session": {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
        },
        {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}},
        {
            "type": "transcription_session.update",
            "session": {
                "input_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "gpt-realtime-whisper", "language": "en-GB"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5},
                "include": None,
            },
        },
    )
]


def _form(*fields: tuple[str, str], file: bytes = b"RIFF") -> bytes:
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    kind = f"multipart/form-data; boundary={BOUNDARY}\n"
    return (kind + "".join(parts) + head).encode() + b"\r\n" + file + f"\r\n--{BOUNDARY}--\r\n".encode()


_FORMS = [
    _form(),
    _form(("model", "medasr"), ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")),
    _form(("keywords", "Amoxicillin"), ("keywords[]", "de Quervain"), ("keywords[1]", '["a", "b"]')),
    _form(("chunking_strategy", '{"type": "server_vad", "threshold": 0.5}'), ("include[]", "logprobs")),
    _form(
        ("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "1"), ("stream", "true")
    ),
    _form(("chunk_length_s", "20"), ("stride_length_s", "2"), ("language", "en-GB"), ("temperature", "0.5")),
]
