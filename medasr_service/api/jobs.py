"""/v1/jobs: a recording that is transcribed while nobody holds the line. Imported only where jobs are on."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import State

from medasr_service.api import documentation, parameters, transcriptions, uploads
from medasr_service.api.clients import client_of
from medasr_service.api.event_stream import EventStream
from medasr_service.api.pace import pace_of
from medasr_service.api.parameters import Parameters
from medasr_service.api.receipts import receipt_of
from medasr_service.api.served import Served, served_or_503
from medasr_service.errors import Draining, InvalidRequest, MedASRError
from medasr_service.jobs.jobs import Jobs
from medasr_service.jobs.record import Asked, Job
from medasr_service.settings import Settings
from medasr_service.telemetry import account
from medasr_service.text import formats

router = APIRouter(tags=["jobs"], prefix="/v1/jobs")

LOOK_S = 0.5  # between two looks at a job whose events are read
MAX_KEY = 255  # characters of an Idempotency-Key
OWN_FIELDS = ("url", "webhook_url")
_BODY = documentation.form("file", "The recording; or send JSON with `url` in its place.")


@router.post("", response_model=None, status_code=202, openapi_extra={"requestBody": _BODY})
async def submit(request: Request) -> Response:
    """Hand in a recording.

    The form of `/v1/audio/transcriptions`, or JSON with the same fields and `url`. `webhook_url`
    is told of the end.
    """
    served, jobs = _parts(request.app.state)
    settings: Settings = request.app.state.settings
    client = client_of(request.scope)
    async with AsyncExitStack() as stack:
        stack.enter_context(served.admitted(client, pace_of(request.scope)))
        if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
            fields, own, sound = *_of_json(await uploads.read_json(request)), None
        else:
            room = request.app.state.upload_room
            form = await uploads.read_form(request, settings, room, file_field="file")
            stack.push_async_callback(form.close)
            fields = parameters.parse(form, request.query_params)
            own = {name: str(form[name]).strip() for name in OWN_FIELDS if form.get(name)}
            sound = None if "url" in own and "file" not in form else transcriptions.recording_of(form, "file")
        job = await jobs.submit(
            client,
            _asked(fields, own, served, settings, request),
            sound,
            idempotency_key=_idempotency_key(request),
        )
    return JSONResponse(_shown(job, jobs), status_code=202, headers={"Location": f"/v1/jobs/{job.id}"})


@router.get("", response_model=None)
async def list_jobs(
    request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None
) -> Response:
    """Your own jobs, the newest first; `after` is the id behind which the page begins."""
    _, jobs = _parts(request.app.state, ready=False)
    found, more = await jobs.jobs(client_of(request.scope), limit, after)
    data = [_shown(each, jobs) for each in found]
    ends = (
        {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
        if data
        else {"first_id": None, "last_id": None}
    )
    return JSONResponse({"object": "list", "data": data, **ends, "has_more": more})


@router.get("/{job_id}", response_model=None)
async def retrieve(request: Request, job_id: str) -> Response:
    """How far a job is."""
    _, jobs, job = await _found(request, job_id)
    shown = _shown(job, jobs)
    if job.state == "failed":
        failure = await jobs.failure(job)
        shown["error"] = {k: getattr(failure, k) for k in ("message", "type", "param", "code")}
    return JSONResponse(shown)


@router.post("/{job_id}/cancel", response_model=None)
async def cancel(request: Request, job_id: str) -> Response:
    """End a job that is not over yet. Its sound and its text are gone behind this."""
    _, jobs = _parts(request.app.state, ready=False)
    return JSONResponse(_shown(await jobs.cancel(client_of(request.scope), job_id), jobs))


@router.delete("/{job_id}", response_model=None)
@router.delete("/{job_id}/result", response_model=None, include_in_schema=False)
async def delete(request: Request, job_id: str) -> Response:
    """End a job, and take away its sound and its text at once."""
    _, jobs = _parts(request.app.state, ready=False)
    await jobs.delete(client_of(request.scope), job_id)
    return JSONResponse({"id": job_id, "object": "transcription.job.deleted", "deleted": True})


@router.get("/{job_id}/result", response_model=None, responses=documentation.transcribed())
async def result(request: Request, job_id: str) -> Response:
    """The transcript, in any format: what the request without jobs would have been answered with."""
    served, jobs, job = await _found(request, job_id)
    fields = parameters.asked_again((await jobs.asked(job)).fields, request.query_params)
    if job.state == "failed":
        raise (await jobs.failure(job)).error()
    if job.state != "succeeded":
        code = "job_cancelled" if job.over else "job_not_finished"
        raise InvalidRequest(f"The job is {job.state}: it has no result.", status=409, code=code)
    heard = await jobs.heard(job)
    return transcriptions.answer(heard.transcript, fields, served, heard.model)


@router.get("/{job_id}/events", response_model=None)
async def events(request: Request, job_id: str) -> Response:
    """Segments so far, then as they come, as `stream=true` sends them.

    Each event has an id; a client that was cut off goes on behind the `Last-Event-ID` that it sends.
    """
    served, jobs, job = await _found(request, job_id)
    fields = parameters.asked_again((await jobs.asked(job)).fields, request.query_params)
    last = request.headers.get("last-event-id", "").strip()
    begin = int(last) + 1 if last.isdigit() and len(last) < 10 else 0
    following = _Following(jobs, job, client_of(request.scope), served)
    if job.over and begin > await following.last_id():
        return Response(status_code=204)  # at which a browser's EventSource asks no more
    return EventStream(
        following.events(fields, begin),
        lambda: json.dumps(following.progress),
        AsyncExitStack(),
        send_timeout_s=request.app.state.settings.send_timeout_s,
        first_id=begin,
    )


class _Following:
    """A job whose events are read."""

    def __init__(self, jobs: Jobs, job: Job, client: str, served: Served) -> None:
        self._jobs = jobs
        self._job = job
        self._client = client
        self._served = served

    @property
    def progress(self) -> formats.Json:
        return {"seconds": self._job.seconds, "duration": self._job.duration, "state": self._job.state}

    async def last_id(self) -> int:
        """Of the last event of a job that is over."""
        return len((await self._jobs.heard(self._job)).transcript.segments) if self._succeeded else 0

    @property
    def _succeeded(self) -> bool:
        return self._job.state == "succeeded"

    async def events(self, fields: Parameters, begin: int) -> AsyncGenerator[formats.Json, None]:
        part = said = 0
        while not self._job.over:
            for number in range(part, self._job.parts):
                for segment in await self._jobs.segments(self._job, number):
                    said = segment.id + 1
                    if segment.id >= begin:
                        yield transcriptions.event(segment, fields, self.progress)
            part = max(part, self._job.parts)
            await asyncio.sleep(LOOK_S)
            if self._served.draining:
                raise Draining
            self._job = await self._jobs.job(self._client, self._job.id)
        if not self._succeeded:
            raise await self._ended()
        heard = await self._jobs.heard(self._job)
        for segment in heard.transcript.segments[max(begin, said) :]:
            yield transcriptions.event(segment, fields, self.progress)
        yield transcriptions.last_event(heard.transcript, fields, self._served, heard.model)

    async def _ended(self) -> MedASRError:
        if self._job.state == "failed":
            return (await self._jobs.failure(self._job)).error()
        return InvalidRequest("The job was cancelled.", status=409, code="job_cancelled")


def _parts(state: State, *, ready: bool = True) -> tuple[Served, Jobs]:
    """Raises NotReady; a job can be ended also where the model is away."""
    served: Served | None = state.served
    if ready or served is None:
        served = served_or_503(state)
    if served.draining:
        raise Draining
    return served, state.jobs


async def _found(request: Request, job_id: str) -> tuple[Served, Jobs, Job]:
    served, jobs = _parts(request.app.state, ready=False)
    return served, jobs, await jobs.job(client_of(request.scope), job_id)


def _asked(
    fields: Parameters, own: dict[str, str], served: Served, settings: Settings, request: Request
) -> Asked:
    if fields.model is not None and not served.serves(fields.model):
        raise served.refusal(fields.model, status=400)
    kept = fields.model_dump(mode="json", exclude_unset=True, exclude={"stream"})
    key, found = receipt_of(request.scope).name, account.current()
    audit = found.audit_id if found else ""
    return Asked(options=fields.options(settings), fields=kept, key=key, audit=audit, **own)


def _of_json(body: dict[str, Any]) -> tuple[Parameters, dict[str, str]]:
    own = {name: body.pop(name) for name in OWN_FIELDS if body.get(name)}
    if wrong := [name for name, value in own.items() if not isinstance(value, str)]:
        raise InvalidRequest(f"{wrong[0]} is no text.", param=wrong[0])
    if "url" not in own:
        raise InvalidRequest("Send a recording in a form, or JSON with its url.", param="url")
    return parameters.parse_json(body), own


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > MAX_KEY:
        raise InvalidRequest(f"The Idempotency-Key has more than {MAX_KEY} characters.")
    return key or None


def _shown(job: Job, jobs: Jobs) -> dict[str, Any]:
    expires_s = jobs.expires_s(job)
    return {
        "id": job.id,
        "object": "transcription.job",
        "status": job.state,
        "created_at": int(job.created),
        "started_at": job.started and int(job.started),
        "finished_at": job.ended and int(job.ended),
        "expires_at": expires_s and int(expires_s),
        "progress": {"seconds": job.seconds, "duration": job.duration},
        "error": None,
    }
