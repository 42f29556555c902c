"""Each request has an account, from its header to the last byte of its answer; who counts gets it then."""

from collections.abc import Callable, Sequence
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medasr_service.api import request_ids
from medasr_service.api.as_served import canonical
from medasr_service.api.clients import address_of
from medasr_service.api.keys import METRICS, PROBES
from medasr_service.api.routes import label
from medasr_service.telemetry import access, account, metrics, traces
from medasr_service.telemetry.account import LIVE, Account

Told = Sequence[Callable[[Account], None]]

ALWAYS: Told = (metrics.count, access.write)
NOT_COUNTED = PROBES | METRICS  # machines ask them all day
SCOPE_KEY = "medasr.account"
TRACE_ID = "x-trace-id"  # beside X-Request-ID, where the request is part of a trace
SWITCHED, REFUSED, FAILED = 101, 403, 500  # statuses: of a socket that opened, one that did not, no answer


class Observed:
    """ASGI middleware, inside what names requests; everything that answers must be inside it.

    ``told`` hears of each request once it is over, besides the counters and the log.
    """

    def __init__(self, app: ASGIApp, told: Told = ()) -> None:
        self._app = app
        self._told = (*ALWAYS, *told)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = canonical(scope["path"]) if scope["type"] in ("http", "websocket") else ""
        if not path or path in NOT_COUNTED or SCOPE_KEY in scope:
            return await self._app(scope, receive, send)
        kept = scope[SCOPE_KEY] = _begun(scope, label(path))
        started = perf_counter()

        async def counted_receive() -> Message:
            message = await receive()
            kept.upload_bytes += len(message.get("body", b""))
            return message

        async def watched_send(message: Message) -> None:
            if not kept.status and (status := _status(message)):
                kept.status = status
                if kept.trace_id:
                    named = (TRACE_ID.encode(), kept.trace_id.encode())
                    message = {**message, "headers": [*message.get("headers", ()), named]}
            elif kept.first_byte_s is None and message.get("body"):
                kept.first_byte_s = perf_counter() - started
            await send(message)

        parent = Headers(scope=scope).get(traces.HEADER, "")
        with account.opened(kept), traces.served(f"{kept.method} {kept.route}", parent) as span:
            kept.trace_id = span.trace_id or traces.trace_id_of(parent)
            try:
                await self._app(scope, counted_receive, watched_send)
            finally:
                kept.whole_s = perf_counter() - started
                if not kept.status:
                    kept.fail("server_error", status=FAILED)
                span.note(**_attributes(kept))
                if kept.code != account.OK:
                    span.fail(kept.code)
                for tell in self._told:
                    tell(kept)


def _begun(scope: Scope, route: str) -> Account:
    return Account(
        route,
        method=scope.get("method", LIVE),
        request_id=request_ids.of(scope),
        address=address_of(scope),
    )


def _attributes(kept: Account) -> dict[str, float | str]:
    """HTTP's under the names that OpenTelemetry gives them; the others are ours (traces.py)."""
    return {
        "http.request.method": kept.method,
        "http.route": kept.route,
        "http.response.status_code": kept.status,
        "format": kept.format,
        "upload_bytes": kept.upload_bytes,
        "audio_s": kept.audio_s,
        "transcribed_s": kept.transcribed_s,
        **{f"{name}_s": seconds for name, seconds in kept.stages.items()},
    }


def _status(message: Message) -> int:
    match message["type"]:
        case "http.response.start" | "websocket.http.response.start":
            return int(message["status"])
        case "websocket.accept":
            return SWITCHED
        case "websocket.close":
            return REFUSED
    return 0
