"""The FastAPI application: the routes, and one handler for every error."""

from typing import Any

from fastapi import FastAPI, Request, Security, params
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match, WebSocketRoute
from starlette.websockets import WebSocket

from medasr_service.api import documentation, realtime, request_ids, subtitles, transcriptions
from medasr_service.api.answers import ErrorBody, Health, Model, ModelList
from medasr_service.api.as_served import AsServed
from medasr_service.api.observed import Observed
from medasr_service.api.page import add_panel
from medasr_service.api.refusals import error_response, refuse
from medasr_service.api.request_ids import RequestIds
from medasr_service.api.served import Served, served_or_503
from medasr_service.api.spool import Room
from medasr_service.errors import InvalidRequest, MedASRError
from medasr_service.settings import Settings
from medasr_service.version import VERSION

# FastAPI's own, from 0.165 on, has queries in its spans, and hands bodies to who asks: ours has neither.
_NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
# For the documentation alone: KeyCheck refuses before a route is found.
_BEARER = Security(HTTPBearer(auto_error=False, description="A key of MEDASR_API_KEYS"))


def create_app(settings: Settings) -> FastAPI:
    """The application; ``app.state.served`` is set by whoever has the model. Its docs need no other host."""
    app: FastAPI = FastAPIOffline(
        None,  # pages of its own: FastAPI's know nothing of a path in front of them
        None,
        responses={"default": {"description": "An error, in OpenAI's shape", "model": ErrorBody}},
        telemetry=_NO_TELEMETRY,
        **documentation.application("medasr-service"),
    )
    app.state.settings = settings
    app.state.served = None
    app.state.upload_room = Room.of(settings)
    key = [] if settings.is_open else [_BEARER]
    app.state.jobs = None
    app.include_router(transcriptions.router, dependencies=key)
    app.include_router(subtitles.router, dependencies=key)
    app.include_router(realtime.router)
    if settings.jobs:
        from medasr_service.api import jobs

        app.include_router(jobs.router, dependencies=key)
    _add_models(app, key)
    app.add_api_route(
        "/health",
        _health,
        tags=["service"],
        response_model=Health,
        responses={503: {"description": "The model has not run yet, or the service leaves", "model": Health}},
    )
    documentation.describe(app)
    add_panel(app)
    app.add_route("/{path:path}", _unknown_route, methods=_METHODS, include_in_schema=False)
    app.router.routes.append(WebSocketRoute("/{path:path}", _unknown_socket))
    for kind in (MedASRError, HTTPException, Exception):
        app.add_exception_handler(kind, _on_error)
    app.add_middleware(AsServed)
    app.add_middleware(Observed)
    app.add_middleware(RequestIds)  # the last is the outermost
    return app


def _add_models(app: FastAPI, key: list[params.Depends]) -> None:
    missing: dict[int | str, dict[str, Any]] = {404: {"description": "No such model", "model": ErrorBody}}
    refused = documentation.failures(401, 503)
    shown: dict[str, Any] = {"tags": ["models"], "dependencies": key, "response_model_exclude_unset": True}
    app.add_api_route("/v1/models", _list_models, response_model=ModelList, responses=refused, **shown)
    app.add_api_route(
        "/v1/models/{model:path}",
        _retrieve_model,
        response_model=Model,
        responses={**refused, **missing},
        **shown,
    )


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _list_models(request: Request) -> dict[str, object]:
    """The one model that is served, under its own name and under each alias."""
    return {"object": "list", "data": served_or_503(request.app.state).cards}


def _retrieve_model(request: Request, model: str) -> dict[str, object]:
    """The model, under its own name or an alias."""
    return served_or_503(request.app.state).card_of(model)


def _health(request: Request) -> JSONResponse:
    """200 once the model has really run; 503 before, and while the service leaves."""
    served: Served | None = request.app.state.served
    if served is None:
        return JSONResponse({"status": "starting", "version": VERSION}, status_code=503)
    settings: Settings = request.app.state.settings
    body = {
        "status": served.status,
        "model": served.checkpoint.id,
        "type": "automatic-speech-recognition",
        "revision": served.checkpoint.revision,
        "engine": served.engine or None,
        "decodings": list(served.transcriber.decodings),  # lm: with a language model
        "jobs": settings.jobs,  # whether /v1/jobs is there
        "low_confidence": settings.low_confidence,
        "docs": settings.public_docs or settings.is_open,
        "demo": served.checkpoint.demo,
        "version": VERSION,
        **served.notice,
    }
    return JSONResponse(body, status_code=200 if served.ready else 503)


async def _unknown_route(request: Request) -> Response:
    """404 in OpenAI's shape, or 405 where the path exists under another method."""
    for route in (*request.app.routes, *transcriptions.router.routes, *subtitles.router.routes):
        if route.matches(request.scope)[0] is Match.PARTIAL and hasattr(route, "methods"):
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(route.methods))})
    raise HTTPException(404)


async def _unknown_socket(websocket: WebSocket) -> None:
    """404 before it opens, in OpenAI's shape, where the server can answer at all."""
    error = InvalidRequest("There is no such route.", code="unknown_route", status=404)
    await refuse(error, websocket.scope, websocket.receive, websocket.send)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    """Every error to OpenAI's shape; what was not raised on purpose says nothing of its cause."""
    if isinstance(error, MedASRError):
        return error_response(error)
    if isinstance(error, HTTPException):
        message, code = _HTTP_ERRORS.get(error.status_code, (str(error.detail), None))
        failure = InvalidRequest(message, code=code, status=error.status_code)
        return error_response(failure, error.headers)
    return error_response(
        MedASRError("The service failed; its log says why."), request_ids.headers_of(request.scope)
    )


_HTTP_ERRORS: dict[int, tuple[str, str | None]] = {
    404: ("There is no such route.", "unknown_route"),
    405: ("This route does not take this method.", "method_not_allowed"),
}
