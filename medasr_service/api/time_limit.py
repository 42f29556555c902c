"""How long a request may take until its answer begins."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medasr_service.api.refusals import HANG_UP, error_response
from medasr_service.errors import TimedOut


class TimeLimit:
    """ASGI middleware: what has not begun to answer in ``timeout`` seconds is cancelled, and gets 504.

    Nothing is kept of a request that is over. A WebSocket has limits of its own.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self._app = app
        self._timeout_s = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def watched_send(message: Message) -> None:
            if limit.expired():
                return  # it is being cancelled, and 504 comes instead
            limit.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                await self._app(scope, receive, watched_send)
        except TimeoutError:
            if not limit.expired():
                raise
            error = TimedOut(f"There is no answer after {self._timeout_s:g} s.")
            await error_response(error, HANG_UP)(scope, receive, send)
