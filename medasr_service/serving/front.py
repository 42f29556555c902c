"""In front of BentoML's proxy: what it does not hand on, or not well.

The service behind it sees one client, the proxy. So it is told the address from which the request came,
whatever the client says of it, and where the client hangs up, so does the proxy. An upload is sent on once
the service asks for it: an answer that comes before would be lost where the proxy still sends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORWARDED_FOR = b"x-forwarded-for"
# Of one connection alone, which the proxy takes for those of the next, and fails.
OF_THE_HOP = frozenset({b"connection", b"expect", b"keep-alive", b"transfer-encoding"})


class Front:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body_has_come = asyncio.Event()
        has_gone = False

        async def watched() -> Message:
            message = await receive()
            if not message.get("more_body"):
                body_has_come.set()
            return message

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                dropped = {b"date"}  # the server in front writes its own
                if body_has_come.is_set():
                    dropped.add(b"connection")
                message["headers"] = [each for each in message["headers"] if each[0].lower() not in dropped]
            elif not message.get("more_body"):
                watch.cancel()  # the end is no hanging up
            await send(message)

        async def hang_up() -> None:
            nonlocal has_gone
            await body_has_come.wait()  # until then whoever reads it hears of it
            while (await receive())["type"] != "http.disconnect":
                pass
            has_gone = work.cancel()

        work = asyncio.ensure_future(self._app({**scope, "headers": _headers(scope)}, watched, told))
        watch = asyncio.ensure_future(hang_up())
        try:
            await work
        except asyncio.CancelledError:
            if not has_gone:
                raise
        finally:
            watch.cancel()


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    given = dict(scope["headers"])
    headers = [each for each in scope["headers"] if each[0] not in {*OF_THE_HOP, FORWARDED_FOR}]
    # One that is kept may be closed by the service just as the proxy sends: each request has its own.
    headers.append((b"connection", b"close"))
    if client := scope.get("client"):
        headers.append((FORWARDED_FOR, client[0].encode()))
    if given.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in given:
        headers.append((b"expect", b"100-continue"))
    return headers


def without_pages(proxy: Starlette) -> Starlette:
    """FastAPI gives the proxy pages of its own, in the place of the service's: open, and with scripts of a
    stranger's server.
    """
    proxy.router.routes = [
        each for each in proxy.routes if isinstance(each, Route) and "path" in each.param_convertors
    ]
    return proxy


def patient(check: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    """BentoML's question whether the service is there: on a slow machine its port is, seconds before it
    answers, and that is no reason to end it.
    """

    async def asked(*about: Any) -> bool:
        try:
            return await check(*about)
        except TimeoutError:
            return False

    return asked
