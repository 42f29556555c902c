"""What /docs and /openapi.json say. Its pages need no other host, and work below any path of a proxy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from medasr_service.api.answers import ErrorBody, Transcription, VerboseTranscription
from medasr_service.api.examples import FAILURES, TEXTS, TRANSCRIPTS
from medasr_service.api.parameters import Parameters
from medasr_service.api.refusals import error_body
from medasr_service.errors import MedASRError
from medasr_service.version import VERSION

Json = dict[str, Any]
ASYNCAPI = Path(__file__).parent / "asyncapi.yaml"
ABOUT = """\
Medical dictation to text with MedASR, behind OpenAI's audio transcription API. Fields and answers are
OpenAI's; what is ours is said to be. The live socket is described in [asyncapi.yaml](asyncapi.yaml)."""


def failures(*statuses: int) -> dict[int | str, Json]:
    """What a route may refuse with, each status with examples of its own; all of them where none is named."""
    return {status: _failure(*FAILURES[status]) for status in statuses or FAILURES}


def _failure(description: str, errors: Mapping[str, MedASRError]) -> Json:
    content = {"application/json": {"examples": _examples(errors)}}
    return {"description": description, "model": ErrorBody, "content": content}


def _examples(errors: Mapping[str, MedASRError]) -> Json:
    return {name: {"summary": error.message, "value": error_body(error)} for name, error in errors.items()}


def transcribed() -> dict[int | str, Json]:
    """What a recording is answered with."""
    content = {"application/json": {"examples": TRANSCRIPTS}, **TEXTS}
    done: Json = {
        "description": "The transcript",
        "model": Transcription | VerboseTranscription,
        "content": content,
    }
    return {200: done, **failures()}


def form(field: str, about: str) -> Json:
    """The body of a request with a recording: Swagger UI lets one choose a file for it."""
    fields = {name: _plain(schema) for name, schema in Parameters.model_json_schema()["properties"].items()}
    file = {"type": "string", "format": "binary", "description": about}
    schema = {"type": "object", "required": [field], "properties": {field: file, **fields}}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


SRT: Json = {"schema": {"type": "string"}, "example": TEXTS["text/plain"]["examples"]["srt"]["value"]}
VTT: Json = TEXTS["text/vtt"]


def inlined(model: type[BaseModel]) -> Json:
    """The schema of a body that is no parameter of its route, without references."""
    schema = model.model_json_schema()
    known = schema.pop("$defs", {})

    def whole(node: Any) -> Any:
        if isinstance(node, dict):
            found = known[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            return {name: whole(value) for name, value in found.items()}
        return [whole(each) for each in node] if isinstance(node, list) else node

    return dict(whole(schema))


def _plain(schema: Json) -> Json:
    """Without null, which a form cannot send, and titles, which say nothing."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    found = {**(kinds[0] if kinds else {}), **schema}
    return {k: v for k, v in found.items() if k not in ("anyOf", "title") and (k, v) != ("default", None)}


NATIVE: Json = {
    "post": {
        "tags": ["audio"],
        "summary": "BentoML's own route",
        "description": "For BentoML's clients: the recording is in the field `audio`, and the answer is"
        " always verbose_json with words.",
        "operationId": "transcribe_native",
        "requestBody": form("audio", "The recording."),
    }
}
REALTIME: Json = {
    "get": {
        "tags": ["live"],
        "summary": "The live socket",
        "description": "A WebSocket: OpenAI's Realtime API, for transcription. Its events are described in"
        " [asyncapi.yaml](asyncapi.yaml). This page cannot open one.",
        "operationId": "realtime",
        "parameters": [
            {
                "name": "intent",
                "in": "query",
                "description": "Nothing else is served.",
                "schema": {"type": "string", "enum": ["transcription"], "default": "transcription"},
            },
            {
                "name": "model",
                "in": "query",
                "description": "One that /v1/models lists; may be left out.",
                "schema": {"type": "string"},
            },
        ],
        "responses": {"101": {"description": "The socket is open; the first event is session.created"}},
    }
}


def describe(app: FastAPI) -> None:
    """Adds the pages, and what FastAPI cannot know: the routes that are BentoML's, and the socket."""
    made: Callable[[], Json] = app.openapi

    def openapi() -> Json:
        found = made()
        if "/transcribe" not in found["paths"]:
            _restore(found)
            asked = found["paths"]["/v1/audio/transcriptions"]["post"]
            responses = {k: v for k, v in asked["responses"].items() if k != "200"}
            verbose = {"schema": {"$ref": "#/components/schemas/VerboseTranscription"}}
            responses["200"] = {"description": "The transcript", "content": {"application/json": verbose}}
            secured = {"security": asked["security"]} if "security" in asked else {}
            for path, described in (("/transcribe", NATIVE), ("/v1/realtime", REALTIME)):
                [(method, operation)] = described.items()
                found["paths"][path] = {method: {"responses": responses, **operation, **secured}}
        return found

    app.openapi = openapi  # type: ignore[method-assign]
    for path, page in (("/docs", _swagger), ("/redoc", _redoc), ("/asyncapi.yaml", _asyncapi)):
        app.add_route(path, page, include_in_schema=False)


def _restore(document: Json) -> None:
    """The examples whole: FastAPI leaves out what is null, and an error has its four keys always."""
    kept = {str(status): _examples(errors) for status, (_, errors) in FAILURES.items()}
    kept["200"] = TRANSCRIPTS
    for route in document["paths"].values():
        for operation in route.values():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/json", {})
                if "examples" in content:
                    content["examples"] = kept[status]


def _root(request: Request) -> str:
    """The way from the page to the root of the service, whatever a proxy has put in front of it."""
    sent: bytes = request.scope.get("raw_path") or b""
    return ".." if sent.partition(b"?")[0].endswith(b"/") else "."


def _swagger(request: Request) -> HTMLResponse:
    root = _root(request)
    files = f"{root}/static-offline-docs"
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="medasr-service",
        swagger_js_url=f"{files}/swagger-ui-bundle.js",
        swagger_css_url=f"{files}/swagger-ui.css",
        swagger_favicon_url=f"{files}/favicon.png",
    )


def _redoc(request: Request) -> HTMLResponse:
    root = _root(request)
    files = f"{root}/static-offline-docs"
    return get_redoc_html(
        openapi_url=f"{root}/openapi.json",
        title="medasr-service",
        redoc_js_url=f"{files}/redoc.standalone.js",
        redoc_favicon_url=f"{files}/favicon.png",
        with_google_fonts=False,
    )


def _asyncapi(request: Request) -> Response:
    return FileResponse(ASYNCAPI, media_type="application/yaml")


def application(title: str) -> Json:
    """What the application says of itself. The server is where the document is, below any path."""
    return {"title": title, "version": VERSION, "description": ABOUT, "servers": [{"url": "."}]}
