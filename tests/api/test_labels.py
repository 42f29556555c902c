"""Metrics and the log name routes, and nothing that a client wrote."""

import re

import httpx
import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from medasr_service.api.app import create_app
from medasr_service.api.labels import RouteLabels
from medasr_service.api.routes import FOLDERS, OTHER, ROUTES, label
from medasr_service.settings import Settings
from tests.conftest import Service


def test_every_route_that_is_documented_has_a_label() -> None:
    documented = create_app(Settings()).openapi()["paths"]
    assert {label(path.replace("{model}", "x")) for path in documented} == {
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/audio/subtitles",
        "/v1/models",
        "/v1/models/*",
        "/health",
        "/transcribe",
        "/v1/realtime",
    }


@pytest.mark.parametrize("path", ["/jane-doe", "/v1/audio/transcriptions/x", "", "//health", "/docs/x"])
def test_what_is_no_route_has_one_label_in_all(path: str) -> None:
    assert label(path) == OTHER


def test_there_are_few_labels() -> None:
    labels = {label(f"{folder}{i}") for folder in (*ROUTES, *FOLDERS) for i in range(100)}
    assert len(labels) == len(FOLDERS) + 1


def test_outside_is_the_label_and_inside_the_path() -> None:
    outside: list[str] = []

    class Watching:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                outside.append(scope["path"])
            await self.app(scope, receive, send)

    async def path(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.url.path)

    app = Starlette(
        routes=[Route("/{path:path}", path)], middleware=[Middleware(Watching), Middleware(RouteLabels)]
    )
    with TestClient(app) as client:
        assert client.get("/jane-doe").text == "/jane-doe"
        assert client.get("/health").text == "/health"
    assert outside == [OTHER, "/health"]


@pytest.mark.e2e
def test_neither_metrics_nor_log_hold_what_a_client_wrote(service: Service) -> None:
    paths = [
        f"{folder}jane-doe-{i}" for folder in ("/", "/panel/", "/v1/models/", "/a%20b/") for i in range(9)
    ]
    statuses = {httpx.get(service.url + path).status_code for path in paths}
    assert statuses == {404}
    httpx.post(f"{service.url}/nope", headers={"Content-Type": "text/jane-doe"})
    metrics = httpx.get(f"{service.url}/metrics").text
    endpoints = set(re.findall(r'endpoint="([^"]*)"', metrics))
    assert {OTHER, "/panel/*", "/v1/models/*"} <= endpoints
    assert endpoints <= {*ROUTES, *(f"{folder}*" for folder in FOLDERS), OTHER, "/infer", "/engine"}
    assert "jane-doe" not in metrics + service.log.read_text()


@pytest.mark.e2e
def test_a_websocket_is_labelled_too(service: Service) -> None:
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{service.port}/v1/jane-doe-socket")
    assert "jane-doe-socket" not in httpx.get(f"{service.url}/metrics").text + service.log.read_text()
