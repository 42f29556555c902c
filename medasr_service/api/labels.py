"""What BentoML's metrics call a route.

It calls it by the path that a client sent: there is no end to those, and anything may stand in one. Its own
middleware is the outermost; ours goes round it when the server starts, and gives the path back inside. So
does what names requests, and what counts them: BentoML's time limit is inside them, too.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from medasr_service.api.as_served import AsServed, canonical
from medasr_service.api.observed import Observed, Told
from medasr_service.api.request_ids import RequestIds
from medasr_service.api.routes import label

_SENT = "medasr.path"


class RouteLabels:
    """ASGI middleware; the outermost of those that are added to the service."""

    def __init__(self, app: ASGIApp, told: Told = ()) -> None:
        self._app = AsServed(app)
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            server = scope["app"]
            server.middleware_stack = RequestIds(Observed(_labelled(server.middleware_stack), self._told))
        elif _SENT in scope:
            scope = {**scope, "path": scope[_SENT]}
        await self._app(scope, receive, send)


def _labelled(app: ASGIApp) -> ASGIApp:
    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, _SENT: scope["path"], "path": label(canonical(scope["path"]))}
        await app(scope, receive, send)

    return outermost
