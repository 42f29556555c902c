"""Errors as a client sees them: OpenAI's shape, on every route and in every middleware."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from medasr_service.errors import MedASRError, UploadTooLarge
from medasr_service.telemetry import account

HANG_UP = {"Connection": "close"}  # beside an answer that comes before the body was read
TURNED_AWAY = frozenset({401, 403, 408, 413, 429, 431, 503})  # statuses: nothing was wrong with the rest
POLICY_VIOLATION = 1008  # the WebSocket's code


def error_body(error: MedASRError) -> dict[str, dict[str, str | None]]:
    """OpenAI's shape of an error."""
    body = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return {"error": body}


def noted(error: MedASRError, *, begun: bool = False) -> None:
    """How the request that is being answered ends; ``begun``: it was let in, and worked on."""
    if found := account.current():
        turned_away = error.status in TURNED_AWAY and not begun
        found.fail(error.code or error.reason, error.reason if turned_away else None)


def error_response(error: MedASRError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer; it is an ASGI application too."""
    noted(error)
    retry = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    hang_up = HANG_UP if isinstance(error, UploadTooLarge) else {}  # the rest of it is not read
    headers = {**(headers or {}), **retry, **hang_up}
    return JSONResponse(error_body(error), status_code=error.status, headers=headers)


async def refuse(
    error: MedASRError,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answers in the place of the application, before anything of the body or of a socket is read."""
    refusal = error_response(error, {**(headers or {}), **HANG_UP})
    if scope["type"] == "http":
        return await refusal(scope, receive, send)
    websocket = WebSocket(scope, receive, send)
    if "websocket.http.response" in scope.get("extensions", {}):
        await websocket.send_denial_response(refusal)
    else:
        await websocket.close(POLICY_VIOLATION)
