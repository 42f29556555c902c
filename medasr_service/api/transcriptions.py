"""POST /v1/audio/transcriptions: OpenAI's transcription request over the Transcriber."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData, State, UploadFile

from medasr_service.api import documentation, parameters, uploads
from medasr_service.api.clients import client_of
from medasr_service.api.connection import while_connected
from medasr_service.api.event_stream import EventStream
from medasr_service.api.heard import Heard
from medasr_service.api.pace import pace_of
from medasr_service.api.parameters import Parameters
from medasr_service.api.receipts import receipt_of
from medasr_service.api.served import Served, served_or_503
from medasr_service.audio.reader import in_thread
from medasr_service.audio.stream import AudioInfo
from medasr_service.errors import EmptyAudio, InvalidAudio, InvalidRequest
from medasr_service.settings import Settings
from medasr_service.telemetry import account, metrics
from medasr_service.telemetry.account import stage
from medasr_service.text import formats
from medasr_service.text.transcript import Segment, Transcript
from medasr_service.transcriber import Options

router = APIRouter(tags=["audio"])

_REQUEST_BODY = documentation.form("file", "The recording: WAV, FLAC, MP3, M4A, OGG, WebM and others.")
_RESPONSES = documentation.transcribed()


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
    async with AsyncExitStack() as stack:
        upload = await stack.enter_async_context(_upload(request, request.app.state, "file"))
        if upload.fields.stream:
            return await _stream(request, upload, stack)
        transcript = await _transcribe(request, upload)
    return answer(transcript, upload.fields, upload.served)


@router.post(
    "/v1/audio/translations",
    response_model=None,
    responses=_RESPONSES,
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def translate(request: Request) -> Response:
    """Translate a recording into English: what is heard here is English, and this is its transcription."""
    return await transcribe(request)


async def transcribe_upload(request: Request, state: State, *, file_field: str) -> Transcript:
    """Reads the form, checks it, runs the recording. Raises MedASRError and its children."""
    async with _upload(request, state, file_field) as upload:
        return await _transcribe(request, upload)


@dataclass(frozen=True)
class _Upload:
    """A request that has been read and checked."""

    served: Served
    settings: Settings
    recording: BinaryIO
    fields: Parameters
    options: Options


@asynccontextmanager
async def _upload(request: Request, state: State, file_field: str) -> AsyncIterator[_Upload]:
    """The request's place among those under way, and its recording, both until the last read of it."""
    served = served_or_503(state)
    settings: Settings = state.settings
    with served.admitted(client_of(request.scope), pace_of(request.scope)):
        with stage("upload"):
            form = await uploads.read_form(request, settings, state.upload_room, file_field=file_field)
        try:
            fields = parameters.parse(form, request.query_params)
            if fields.model is not None and not served.serves(fields.model):
                raise served.refusal(fields.model, status=400)
            account.answered_as(f"{fields.response_format}{'_stream' if fields.stream else ''}")
            recording = recording_of(form, file_field)
            yield _Upload(served, settings, recording, fields, fields.options(settings))
        except InvalidAudio as error:
            metrics.DECODE_FAILURES.labels(error.reason).inc()
            error.param = file_field
            raise
        finally:
            await form.close()


async def _transcribe(request: Request, upload: _Upload) -> Transcript:
    heard = Heard()

    async def hear(info: AudioInfo) -> None:
        heard.recording(info.duration)
        await receipt_of(request.scope).charge(info.duration)

    work = upload.served.transcriber.transcribe(
        upload.recording, upload.options, on_info=hear, on_window=heard.until
    )
    transcript = await while_connected(request.receive, work)
    heard.marked(each.kind for each in transcript.unclear)
    return transcript


def answer(transcript: Transcript, fields: Parameters, served: Served, model: str = "") -> Response:
    """In the format that is asked for; ``model``: which one has heard it, where that may be another one."""
    if fields.response_format in formats.TEXT_FORMATS:
        write, media_type = formats.TEXT_FORMATS[fields.response_format]
        return PlainTextResponse(write(transcript), media_type=media_type)
    if fields.response_format == "json":
        return JSONResponse(formats.to_json(transcript, logprobs="logprobs" in fields.include))
    return JSONResponse(verbose(transcript, fields, served, model))


def verbose(transcript: Transcript, fields: Parameters, served: Served, model: str = "") -> formats.Json:
    granularities = fields.timestamp_granularities
    body = formats.to_verbose_json(
        transcript, words="word" in granularities, segments="segment" in granularities
    )
    return {**body, "model": model or served.checkpoint.id, **served.notice}


def event(segment: Segment, fields: Parameters, progress: formats.Json) -> formats.Json:
    """A segment in a stream of them; in verbose_json with its times, and how far the work is."""
    delta = formats.to_delta(segment, logprobs="logprobs" in fields.include)
    if fields.response_format != "verbose_json":
        return delta
    words = "word" in fields.timestamp_granularities
    return {**delta, **formats.to_segment(segment, words=words), "progress": progress}


def last_event(transcript: Transcript, fields: Parameters, served: Served, model: str = "") -> formats.Json:
    frame_s = served.checkpoint.geometry.frame_s
    done = formats.to_done(transcript, frame_s=frame_s, logprobs="logprobs" in fields.include)
    return {
        **(verbose(transcript, fields, served, model) if fields.response_format == "verbose_json" else {}),
        **done,
    }


async def _stream(request: Request, upload: _Upload, resources: AsyncExitStack) -> EventStream:
    """Segments as they come; the upload stays open, and its place taken, until the last of them."""
    transcriber, fields = upload.served.transcriber, upload.fields
    warned = await while_connected(request.receive, in_thread(transcriber.check, upload.options))
    info = await while_connected(
        request.receive, transcriber.inspect(upload.recording, upload.options.damaged)
    )
    heard, heard_s = Heard(), 0.0
    heard.recording(info.duration)
    await receipt_of(request.scope).charge(info.duration)

    def progress() -> formats.Json:
        return {"seconds": round(heard_s, 3), "duration": round(info.duration, 3)}

    def hear(seconds: float) -> None:
        nonlocal heard_s
        heard_s = seconds
        heard.until(seconds)

    async def events() -> AsyncGenerator[formats.Json, None]:
        found = []
        stream = transcriber.stream(upload.recording, info, upload.options, on_window=hear)
        async with aclosing(stream):
            async for segment in stream:
                found.append(segment)
                heard.marked(each.kind for each in segment.unclear)
                yield event(segment, fields, progress())
        yield last_event(transcriber.joined(found, info, warned), fields, upload.served)

    return EventStream(
        events(),
        lambda: json.dumps(progress()),
        resources.pop_all(),
        send_timeout_s=upload.settings.send_timeout_s,
    )


def recording_of(form: FormData, field: str) -> BinaryIO:
    file = form.get(field)
    if not isinstance(file, UploadFile):
        raise InvalidRequest(f"The request has no field {field!r} with a recording.", param=field)
    if not file.size:
        raise EmptyAudio("The file is empty.")
    return file.file
