"""POST /v1/audio/subtitles: words with their times to SRT or VTT; ours.

So a text that somebody has corrected is cut by the same rules (text/cues.py) as one that nobody has.
"""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medasr_service.api import documentation
from medasr_service.api.spool import MIB
from medasr_service.errors import InvalidRequest, UploadTooLarge
from medasr_service.text import formats
from medasr_service.text.transcript import Segment, Transcript, Word

MAX_MIB = 8
MAX_WORDS = 100_000  # ten hours of dictation
MAX_SECONDS = 1e6

router = APIRouter(tags=["audio"])
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


class Timed(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    written: str = Field(max_length=10_000, description="With the white space before it: joined, the text")
    start: Seconds
    end: Seconds
    unclear: str = Field("", max_length=20, description="As verbose_json has it; `unread` is not parted")


class Timeline(BaseModel):
    """A text in words with their times, in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    response_format: Literal["srt", "vtt"]
    duration: Seconds = Field(0, description="Of the recording")
    words: list[Timed] = Field(max_length=MAX_WORDS)

    def transcript(self) -> Transcript:
        """All of it in one segment; an end before its start counts as the start."""
        words = tuple(
            Word("", w.start, max(w.start, w.end), 1.0, (), w.written, unclear=w.unclear) for w in self.words
        )
        end = max((word.end for word in words), default=0.0)
        text = "".join(word.written for word in words)
        segment = Segment(0, words[0].start if words else 0.0, end, text, "", words, 0.0, 0.0)
        return Transcript(text, "", (segment,), max(self.duration, end), 1.0)


@router.post(
    "/v1/audio/subtitles",
    response_model=None,
    responses={
        200: {
            "description": "The subtitles",
            "content": {"text/plain": documentation.SRT, "text/vtt": documentation.VTT},
        },
        **documentation.failures(400, 401, 413),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": documentation.inlined(Timeline)}},
        }
    },
)
async def subtitles(request: Request) -> PlainTextResponse:
    """Cut a text into subtitles."""
    body = await _body(request)
    return await asyncio.to_thread(_cut, body)


def _cut(body: bytes) -> PlainTextResponse:
    try:
        timeline = Timeline.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{place or 'The body'}: {first['msg']}.", param=place or None) from None
    write, media_type = formats.TEXT_FORMATS[timeline.response_format]
    return PlainTextResponse(write(timeline.transcript()), media_type=media_type)


async def _body(request: Request) -> bytes:
    """Raises UploadTooLarge before it holds more."""
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MAX_MIB * MIB:
            raise UploadTooLarge(f"The words are larger than {MAX_MIB} MiB, the limit of this route.")
    return bytes(body)
