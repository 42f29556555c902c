"""What metrics and the access log call a route.

BentoML calls it by the path that a client sent: there is no end to those, and anything may stand in one. Its
own middleware is the outermost; ours goes round it when the server starts, and gives the path back inside. So
does what names requests: BentoML's access log and its time limit are inside it, too.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from medasr_service.api import request_ids
from medasr_service.api.as_served import AsServed, canonical
from medasr_service.api.keys import METRICS, PAGE, PROBES
from medasr_service.api.request_ids import RequestIds

AUDIO = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations", "/transcribe"})
API = AUDIO | frozenset({"/v1/realtime", "/v1/models", "/v1/jobs", "/v1/audio/subtitles"})
DOCS = frozenset(
    {"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/asyncapi.yaml", "/schema.json"}
)
ROUTES = API | DOCS | METRICS | PAGE | PROBES
FOLDERS = ("/v1/models/", "/v1/jobs/", "/panel/", "/static-offline-docs/")
OTHER = "/other"
_SENT = "medasr.path"


def label(path: str) -> str:
    """The route of a path, of which there are few."""
    if path in ROUTES:
        return path
    return next((f"{folder}*" for folder in FOLDERS if path.startswith(folder)), OTHER)


class RouteLabels:
    """ASGI middleware; the outermost of those that are added to the service."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = AsServed(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            server = scope["app"]
            server.middleware_stack = RequestIds(_labelled(server.middleware_stack))
            request_ids.put_in_log()
        elif _SENT in scope:
            scope = {**scope, "path": scope[_SENT]}
        await self._app(scope, receive, send)


def _labelled(app: ASGIApp) -> ASGIApp:
    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, _SENT: scope["path"], "path": label(canonical(scope["path"]))}
        await app(scope, receive, send)

    return outermost
