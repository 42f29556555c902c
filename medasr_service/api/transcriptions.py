"""POST /v1/audio/transcriptions: OpenAI's transcription request over the Transcriber."""

import asyncio
from collections.abc import Coroutine
from typing import Any, BinaryIO, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData, State, UploadFile

from medasr_service import formats
from medasr_service.api import parameters, uploads
from medasr_service.api.parameters import Parameters
from medasr_service.api.served import Served, served_or_503
from medasr_service.errors import ClientDisconnected, EmptyAudio, InvalidRequest
from medasr_service.settings import Settings
from medasr_service.transcript import Transcript

T = TypeVar("T")

router = APIRouter(tags=["audio"])

_FILE = {"file": {"type": "string", "format": "binary", "description": "The recording."}}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {**_FILE, **Parameters.model_json_schema()["properties"]},
            },
            "examples": {
                "plain": {"summary": "Text only", "value": {"file": "sample.wav"}},
                "words": {
                    "summary": "Segments and words with times",
                    "value": {
                        "file": "sample.wav",
                        "response_format": "verbose_json",
                        "timestamp_granularities": ["word", "segment"],
                    },
                },
            },
        }
    },
}
_ERROR = {
    "error": {
        "message": "The file is empty.",
        "type": "invalid_request_error",
        "param": "file",
        "code": "empty_audio",
    }
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
                    "text": "FINDINGS:\nThe lungs are clear.",
                    "usage": {"type": "duration", "seconds": 2.9},
                }
            },
            "text/plain": {"example": "FINDINGS:\nThe lungs are clear."},
        }
    },
    **{
        status: {"description": text, "content": {"application/json": {"example": _ERROR}}}
        for status, text in {
            400: "A field or the recording is wrong",
            413: "Too large or too long",
            415: "Not audio",
            429: "Too many transcriptions under way",
            503: "The model is not ready",
        }.items()
    },
}


@router.post(
    "/v1/audio/transcriptions",
    response_model=None,
    responses=_RESPONSES,
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def transcribe(request: Request) -> Response:
    """Transcribe a recording.

    Fields may also be given in the query. `prompt` and `temperature` are accepted and change nothing:
    the model has neither.
    """
    served: Served = served_or_503(request.app.state)
    transcript, fields = await transcribe_upload(request, request.app.state)
    if fields.response_format in formats.TEXT_FORMATS:
        write, media_type = formats.TEXT_FORMATS[fields.response_format]
        return PlainTextResponse(write(transcript), media_type=media_type)
    if fields.response_format == "json":
        return JSONResponse(formats.to_json(transcript, logprobs="logprobs" in fields.include))
    body = formats.to_verbose_json(transcript, words="word" in fields.timestamp_granularities)
    return JSONResponse({**body, "model": served.checkpoint.id, **served.notice})


async def transcribe_upload(
    request: Request, state: State, *, file_field: str = "file"
) -> tuple[Transcript, Parameters]:
    """Reads the form, checks it, runs the recording. Raises MedASRError and its children."""
    served = served_or_503(state)
    settings: Settings = state.settings
    with served.admitted():
        form = await uploads.read_form(request, settings, file_field=file_field)
        try:
            fields = parameters.parse(form, request.query_params)
            if fields.model is not None and not served.serves(fields.model):
                raise served.refusal(fields.model, status=400)
            recording, options = _recording(form, file_field), fields.options(settings)
            work = served.transcriber.transcribe(recording, options)
            return await _while_connected(request, work), fields
        finally:
            await form.close()


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which is given up as soon as nobody waits for it any more."""
    task = asyncio.ensure_future(work)
    hang_up = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((task, hang_up), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected
        return task.result()
    finally:
        for each in (task, hang_up):
            each.cancel()
        await asyncio.wait((task, hang_up))  # the recording is closed only after the last read of it


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _recording(form: FormData, field: str) -> BinaryIO:
    file = form.get(field)
    if not isinstance(file, UploadFile):
        raise InvalidRequest(f"The request has no field {field!r} with a recording.", param=field)
    if not file.size:
        raise EmptyAudio("The file is empty.")
    return file.file
