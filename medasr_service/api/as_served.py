"""Requests as clients write them, to requests as routes have them: one spelling of a path, HEAD as GET."""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLASHES = re.compile(r"/{2,}")


def canonical(path: str) -> str:
    """Without doubled slashes, and without one at the end: "/v1//models/" is "/v1/models"."""
    return _SLASHES.sub("/", path).rstrip("/") or "/"


class AsServed:
    """ASGI middleware; what decides by path or method must be inside it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, "path": canonical(scope["path"])}
        if scope.get("method") != "HEAD":
            return await self._app(scope, receive, send)

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)
