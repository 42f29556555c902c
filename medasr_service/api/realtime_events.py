"""The events of OpenAI's Realtime API that a client may send for transcription, and its errors."""

import base64
import binascii
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from medasr_service.api.realtime_session import Json, refusal
from medasr_service.errors import InvalidRequest, MedASRError

_URL_SAFE = str.maketrans("-_", "+/", " \r\n\t")


class _ClientEvent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    event_id: str | None = Field(None, max_length=512)


class Update(_ClientEvent):
    type: Literal["session.update"]
    session: dict[str, Any]


class BetaUpdate(_ClientEvent):
    """The same of the API's beta, whose session is flat."""

    type: Literal["transcription_session.update"]
    session: dict[str, Any]


class Append(_ClientEvent):
    type: Literal["input_audio_buffer.append"]
    audio: str

    @property
    def pcm(self) -> bytes:
        """Raises InvalidRequest where it is not base64: of either alphabet, with or without its padding."""
        try:
            return base64.b64decode(self.audio, validate=True)
        except (binascii.Error, ValueError):
            text = self.audio.translate(_URL_SAFE)
            text = text.removesuffix("=").removesuffix("=")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest("audio is not base64.", param="audio") from None


class Commit(_ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class Clear(_ClientEvent):
    type: Literal["input_audio_buffer.clear"]


ClientEvent = Update | BetaUpdate | Append | Commit | Clear
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
        if error.errors()[0]["type"].startswith("union_tag"):
            raise InvalidRequest(
                "type must be one of session.update, input_audio_buffer.append, input_audio_buffer.commit "
                "and input_audio_buffer.clear.",
                param="type",
            ) from None
        raise refusal(error, skip=1) from None  # the type of the event


def event_id_of(text: str) -> str | None:
    """The id that the client gave to an event which may be wrong in any other way."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = event.get("event_id") if isinstance(event, dict) else None
    return found[:512] if isinstance(found, str) else None


# Ours: clients do not know its type, and go on
AWAY: Json = {
    "type": "medasr.model_away",
    "message": "The model is being started again. What is said meanwhile is kept, and heard then.",
}


def error(failure: MedASRError, event_id: str | None = None) -> Json:
    return {"type": "error", "error": {**details(failure), "event_id": event_id}}


def details(failure: MedASRError) -> Json:
    return {
        "type": failure.type,
        "code": failure.code,
        "message": failure.message,
        "param": failure.param,
    }
