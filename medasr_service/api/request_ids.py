"""X-Request-ID: one name for a request, with the client, in the answer and in the log.

A client's own is taken where it is short and plain, so that it can say nothing else in a log; another is made
in the place of any other.
"""

import re
import uuid

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_SCOPE_KEY = "medasr.request_id"
_ANSWERS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class RequestIds:
    """ASGI middleware; everything that answers or logs must be inside it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _SCOPE_KEY in scope:
            return await self._app(scope, receive, send)
        name = scope[_SCOPE_KEY] = taken_or_made(scope)  # in place: what answers a failure is outside

        async def named_send(message: Message) -> None:
            if message["type"] in _ANSWERS:
                others = [(k, v) for k, v in message.get("headers", ()) if k.lower() != HEADER.encode()]
                message = {**message, "headers": [*others, (HEADER.encode(), name.encode())]}
            await send(message)

        await self._app(scope, receive, named_send)


def taken_or_made(scope: Scope) -> str:
    """The id that the client gave, or a new one."""
    given = Headers(scope=scope).get(HEADER, "").strip()
    return given if _ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"


def of(scope: Scope) -> str:
    """That of a request that has one; empty for any other."""
    return str(scope.get(_SCOPE_KEY, ""))


def headers_of(scope: Scope) -> dict[str, str]:
    """For an answer that is made outside of what is watched here."""
    return {HEADER: scope[_SCOPE_KEY]} if _SCOPE_KEY in scope else {}
