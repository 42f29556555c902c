"""The hop from the entry to the model, in a trace: BentoML's client says in whose span it asks."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from medasr_service.telemetry import traces


class Hop:
    """ASGI middleware of the model; probes, which come in no span, make none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parent = Headers(scope=scope).get(traces.HEADER, "") if scope["type"] == "http" else ""
        if not traces.trace_id_of(parent):
            return await self._app(scope, receive, send)
        with traces.served("model", parent):
            await self._app(scope, receive, send)
