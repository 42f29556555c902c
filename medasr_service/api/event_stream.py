"""Server-sent events: an answer that grows while the work goes on."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from itertools import count
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from medasr_service.api.connection import ended, while_connected
from medasr_service.api.refusals import error_body, noted
from medasr_service.errors import ClientDisconnected, MedASRError

COMMENT_S = 2.0  # proxies cut a connection on which nothing is said
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would hold the events back

Json = dict[str, Any]


class EventStream(StreamingResponse):
    """Sends each event as soon as it is there; an error in the middle is the last event.

    Headers wait for the first event, COMMENT_S at most, so that what fails at once has a status of its own.
    ``first_id``: of the first event, where each has one, so that a client who was cut off can say where.
    ``comment`` says how far the work is, where no event comes. ``resources`` are closed behind the last
    event, or as soon as the client hangs up, or takes nothing for ``send_timeout_s``.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Json, None],
        comment: Callable[[], str],
        resources: AsyncExitStack,
        *,
        send_timeout_s: float,
        first_id: int | None = None,
    ) -> None:
        super().__init__((), headers=HEADERS)
        self._ids = None if first_id is None else count(first_id)
        self._events = events
        self._comment = comment
        self._resources = resources
        self._send_timeout_s = send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def say(message: Message) -> None:
            nonlocal started
            started = True
            try:
                async with asyncio.timeout(self._send_timeout_s):
                    await send(message)
            except (TimeoutError, OSError):
                raise ClientDisconnected from None

        async with self._resources:
            try:
                await while_connected(receive, self._send_all(say))
            except ClientDisconnected as error:
                noted(error)
                if not started:
                    raise

    async def _send_all(self, say: Send) -> None:
        """All messages from one task: BentoML's metrics keep the status in a context variable."""
        started = False
        try:
            async with aclosing(self._texts()) as texts:
                async for text in texts:
                    if not started:
                        await say({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                        started = True
                    await say({"type": "http.response.body", "body": text.encode(), "more_body": True})
        except ClientDisconnected:
            raise
        except Exception as error:
            if not started:
                raise
            shown = error if isinstance(error, MedASRError) else MedASRError(FAILED)
            noted(shown)
            await self._finish(say, _data({"type": "error", **error_body(shown)}))
            if shown is not error:
                raise
        else:
            await self._finish(say)

    async def _finish(self, say: Send, text: str = "") -> None:
        await say({"type": "http.response.body", "body": text.encode(), "more_body": False})

    async def _texts(self) -> AsyncGenerator[str, None]:
        """Events as they go over the wire, and comments between them."""
        coming: asyncio.Future[Json] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(self._events))
                await asyncio.wait([coming], timeout=COMMENT_S)
                if not coming.done():
                    yield f": {self._comment()}\n\n"
                    continue
                try:
                    event = coming.result()
                except StopAsyncIteration:
                    return
                finally:
                    coming = None
                number = "" if self._ids is None else f"id: {next(self._ids)}\n"
                yield number + _data(event)
        finally:
            if coming:
                coming.cancel()
                await ended(coming)
            await self._events.aclose()


FAILED = "The service failed; its log says why."


def _data(event: Json) -> str:
    """With its type in front: some clients read only that, others only the data."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
