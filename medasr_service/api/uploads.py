"""Uploads: bounded in size and in time, read into the fields of a form."""

import json
import time
from typing import Any, BinaryIO, cast

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medasr_service.api.pace import SCOPE_KEY, Clock, Pace, Patience
from medasr_service.api.refusals import HANG_UP, error_response
from medasr_service.api.spool import MIB, Room, Spool
from medasr_service.decoding.keywords import MAX_TERMS
from medasr_service.errors import InvalidRequest, UploadStalled, UploadTooLarge
from medasr_service.settings import Settings

FIELDS_BYTES = MIB  # of all fields besides the audio
FORM_OVERHEAD = 2 * FIELDS_BYTES  # with the headers of their parts
CHARSETS = (b"utf-8", b"us-ascii", b"iso-8859-1", b"latin-1")  # others take long, or are no text
MAX_FIELDS = 64 + 2 * MAX_TERMS  # too many keywords get an answer that says so


class BodyLimit:
    """ASGI middleware: reads no further where a request is too large (413) or comes too slowly (408)."""

    def __init__(
        self, app: ASGIApp, max_upload_mb: int, patience: Patience, clock: Clock = time.monotonic
    ) -> None:
        self._app = app
        self._limit = max_upload_mb * MIB + FORM_OVERHEAD
        self._patience = patience
        self._clock = clock
        self._too_large = _too_large(max_upload_mb)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        if announced.isdigit() and int(announced) > self._limit:
            return await error_response(self._too_large, HANG_UP)(scope, receive, send)
        pace, started = Pace(self._patience, self._clock), False
        failure: InvalidRequest | None = None

        async def limited_receive() -> Message:
            nonlocal failure
            if pace.whole:  # what may come now is the end of the connection
                return await receive()
            try:
                message = await pace.next(receive)
                if pace.received > self._limit:
                    raise self._too_large
            except (UploadStalled, UploadTooLarge) as error:
                failure = error
                raise
            return message

        async def watched_send(message: Message) -> None:
            nonlocal started
            if failure is None:
                started = True
                await send(message)

        try:
            await self._app({**scope, SCOPE_KEY: pace}, limited_receive, watched_send)
        except InvalidRequest:
            if failure is None:
                raise
        if failure is not None and not started:
            await error_response(failure, HANG_UP)(scope, receive, send)


def _too_large(max_upload_mb: int) -> UploadTooLarge:
    return UploadTooLarge(f"The recording is larger than {max_upload_mb:,} MiB, the limit of this service.")


class _AudioFormParser(MultiPartParser):
    """Starlette's parser, with a spool of our size and place; the recording needs no file name."""

    def __init__(self, request: Request, settings: Settings, room: Room, file_field: str) -> None:
        super().__init__(request.headers, request.stream(), max_files=1, max_fields=MAX_FIELDS)
        self._settings = settings
        self._room = room
        self._file_field = file_field.encode()
        self._field_bytes = self._file_bytes = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """The recording is bounded to the byte; so are all fields together, which stay in memory."""
        if self._current_part.file is None:
            self._field_bytes += end - start
            if self._field_bytes > FIELDS_BYTES:
                raise MultiPartException(f"Its fields have more than {FIELDS_BYTES:,} bytes.")
        else:
            self._file_bytes += end - start
            if self._file_bytes > self._settings.max_upload_mb * MIB:
                raise _too_large(self._settings.max_upload_mb)
        super().on_part_data(data, start, end)

    def on_headers_finished(self) -> None:
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if options.get(b"name") == self._file_field and b"filename" not in options:
            part.content_disposition = (part.content_disposition or b"") + b'; filename="audio"'
        super().on_headers_finished()
        if part.file is not None:
            part.file.file.close()
            spool = Spool(self._settings, self._room)
            self._files_to_close_on_error.append(spool)
            part.file.file = cast(BinaryIO, spool)

    async def parse(self) -> FormData:
        """Whatever happens, no spool stays open but those of the form."""
        kept: set[int] = set()
        try:
            form = await super().parse()
            kept = {id(value.file) for value in form.values() if isinstance(value, UploadFile)}
            return form
        finally:
            for file in self._files_to_close_on_error:
                if id(file) not in kept:
                    file.close()


async def read_json(request: Request) -> dict[str, Any]:
    """A body of fields alone. Raises InvalidRequest."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FIELDS_BYTES:
            raise InvalidRequest(f"The JSON has more than {FIELDS_BYTES:,} bytes.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest("The body is no JSON object.")
    return found


async def read_form(request: Request, settings: Settings, room: Room, *, file_field: str) -> FormData:
    """The fields of a multipart request; the caller closes the form.

    Raises InvalidRequest where the body is not a well-formed multipart form, UploadTooLarge where the
    recording is over the limit, NoRoom where it cannot be kept.
    """
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data":
        raise InvalidRequest(
            f"Send the recording as multipart/form-data, in the field {file_field!r}.", param=file_field
        )
    if options.get(b"charset", b"utf-8").lower() not in CHARSETS:
        raise InvalidRequest("The form cannot be read: its charset must be utf-8.")
    try:
        return await _AudioFormParser(request, settings, room, file_field).parse()
    except MultiPartException as error:
        raise InvalidRequest(f"The form cannot be read: {error.message}") from None
    except UnicodeError:
        raise InvalidRequest("The form cannot be read: its text is not in its charset.") from None
