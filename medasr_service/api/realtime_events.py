"""The events of OpenAI's Realtime API, for transcription: what a client may send, and what it is sent."""

import base64
import binascii
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from medasr_service.api.parameters import is_english
from medasr_service.errors import InvalidRequest, MedASRError
from medasr_service.live.session import TurnDetection

RATES = (24_000, 16_000)
LOGPROBS = "item.input_audio_transcription.logprobs"
Json = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Format(_Model):
    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24_000, 16_000] = 24_000


class Transcription(_Model):
    """``prompt`` is accepted and changes nothing; ``formatting`` is ours."""

    model: str | None = None
    language: str | None = Field(None, max_length=35)
    prompt: str | None = Field(None, max_length=10_000)
    formatting: Literal["dictation", "raw"] = "dictation"


class ServerVad(_Model):
    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(500, ge=100, le=60_000)

    def turns(self) -> TurnDetection:
        return TurnDetection(self.threshold, self.prefix_padding_ms / 1000, self.silence_duration_ms / 1000)


class Input(_Model):
    format: Format = Format()
    transcription: Transcription = Transcription()
    turn_detection: ServerVad | None = ServerVad()


class Audio(_Model):
    input: Input = Input()


def _none_as_empty(value: Any) -> Any:
    return [] if value is None else value


class Session(_Model):
    """The configuration of a session, as it is shown and as it is updated."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    include: Annotated[
        list[Literal["item.input_audio_transcription.logprobs"]], BeforeValidator(_none_as_empty)
    ] = []

    def updated(self, change: Json) -> "Session":
        """What ``change`` leaves out stays as it is. Raises InvalidRequest that names the field."""
        try:
            session = Session.model_validate(_merged(self.model_dump(), change))
        except RecursionError:
            raise InvalidRequest("session is nested too deeply.", param="session") from None
        except ValidationError as error:
            first = error.errors()[0]
            param = ".".join(map(str, ("session", *first["loc"])))
            raise InvalidRequest(f"{param}: {first['msg']}.", param=param) from None
        language = session.audio.input.transcription.language
        if language and not is_english(language):
            raise InvalidRequest(
                "MedASR transcribes English only: leave language out, or send 'en'.",
                param="session.audio.input.transcription.language",
            )
        return session


def _merged(old: Json, change: Json) -> Json:
    """An object is merged into an object; ``null`` for anything but turn_detection means its default."""
    out = dict(old)
    for key, value in change.items():
        if isinstance(value, dict):
            before = old.get(key)
            out[key] = _merged(before if isinstance(before, dict) else {}, value)
        elif value is None and key != "turn_detection":
            out.pop(key, None)
        else:
            out[key] = value
    return out


class _ClientEvent(_Model):
    event_id: str | None = Field(None, max_length=512)


class Update(_ClientEvent):
    type: Literal["session.update"]
    session: dict[str, Any]


class Append(_ClientEvent):
    type: Literal["input_audio_buffer.append"]
    audio: str

    @property
    def pcm(self) -> bytes:
        """Raises InvalidRequest where it is not base64."""
        try:
            return base64.b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest("audio is not base64.", param="audio") from None


class Commit(_ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class Clear(_ClientEvent):
    type: Literal["input_audio_buffer.clear"]


ClientEvent = Update | Append | Commit | Clear
_CLIENT_EVENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])


def parse(text: str) -> ClientEvent:
    """Raises InvalidRequest; the ``event_id`` of what is wrong is found by ``event_id_of``."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("The message is not JSON.", code="invalid_json") from None
    try:
        return _CLIENT_EVENT.validate_python(event)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"].startswith("union_tag"):
            raise InvalidRequest(
                "type must be one of session.update, input_audio_buffer.append, input_audio_buffer.commit "
                "and input_audio_buffer.clear.",
                param="type",
            ) from None
        param = ".".join(map(str, first["loc"][1:])) or None
        raise InvalidRequest(f"{param or 'The event'}: {first['msg']}.", param=param) from None


def event_id_of(text: str) -> str | None:
    """The id that the client gave to an event which may be wrong in any other way."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = event.get("event_id") if isinstance(event, dict) else None
    return found[:512] if isinstance(found, str) else None


def error(failure: MedASRError, event_id: str | None = None) -> Json:
    return {"type": "error", "error": {**details(failure), "event_id": event_id}}


def details(failure: MedASRError) -> Json:
    return {
        "type": failure.type,
        "code": failure.code,
        "message": failure.message,
        "param": failure.param,
    }
