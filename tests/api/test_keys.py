"""API keys: without one nothing answers but the probes, and nothing is read."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from medasr_service import settings as settings_module
from medasr_service.accounts.keys import Keys
from medasr_service.api.app import create_app
from medasr_service.api.keys import KeyCheck
from medasr_service.settings import Settings
from tests.conftest import http_scope

ALICE, BOB = "alice-0123456789abcdef", "bob+/=0123456789abcdef"
KEYS = SecretStr(f"{ALICE}, {BOB}")


async def everything(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers 200 on every route, and reads all that it is sent."""
    if scope["type"] == "websocket":
        websocket = WebSocket(scope, receive, send)
        await websocket.accept(subprotocol="realtime")
        await websocket.send_text("hello")
        await websocket.close()
        return
    size = len(await Request(scope, receive).body()) if scope["method"] == "POST" else 0
    await PlainTextResponse(str(size))(scope, receive, send)


def guarded(app: ASGIApp = everything, **settings: Any) -> TestClient:
    return TestClient(KeyCheck(app, Settings(**{"api_keys": KEYS, **settings})))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("key", [ALICE, BOB])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_each_key_opens(key: str, scheme: str) -> None:
    assert guarded().get("/v1/models", headers={"Authorization": f"{scheme} {key}"}).status_code == 200


WRONG: dict[str, dict[str, Any]] = {
    "no key": {},
    "an empty key": bearer(""),
    "another key": bearer("mallory-0123456789abcdef"),
    "the beginning of a key": bearer(ALICE[:-1]),
    "more than a key": bearer(f"{ALICE}x"),
    "a key in capitals": bearer(ALICE.upper()),
    "both keys at once": bearer(f"{ALICE},{BOB}"),
    "a key without a scheme": {"Authorization": ALICE},
    "another scheme": {"Authorization": f"Basic {ALICE}"},
    "a key in another header": {"X-API-Key": ALICE},
    "the subprotocol of a WebSocket": {"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{ALICE}"},
    "a key that is not ASCII": {"Authorization": b"Bearer \xff\xfe\xe4"},
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("path", ["/v1/models", "/transcribe", "/metrics", "/docs", "/openapi.json", "/nope"])
def test_without_a_key_every_route_is_closed(name: str, path: str) -> None:
    answer = guarded().get(path, headers=WRONG[name])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        None,
        "invalid_api_key",
    )
    assert ALICE not in answer.text
    assert "mallory" not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/health"])
def test_probes_need_no_key(path: str) -> None:
    assert guarded().get(path).status_code == 200


def test_a_probe_opens_nothing_beside_it() -> None:
    for path in ("/livez/", "/health/x", "/livez/../v1/models", "/readyz%2f", "http://testserver//livez"):
        assert guarded().get(path).status_code == 401


def test_metrics_and_docs_open_by_setting() -> None:
    assert guarded(public_metrics=True).get("/metrics").status_code == 200
    assert guarded(public_metrics=True).get("/docs").status_code == 401
    for path in ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"):
        assert guarded(public_docs=True).get(path).status_code == 200
    assert guarded(public_docs=True).get("/metrics").status_code == 401


def test_without_keys_everyone_is_let_in() -> None:
    assert guarded(api_keys=None).get("/v1/models", headers=WRONG["another key"]).status_code == 200


def test_the_documentation_names_the_key_and_no_answer_that_never_comes() -> None:
    schema = create_app(Settings(api_keys=KEYS)).openapi()
    operations = {path: next(iter(item.values())) for path, item in schema["paths"].items()}
    assert operations["/v1/models"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in operations["/health"]
    assert "401" in operations["/v1/audio/transcriptions"]["responses"]
    assert not [path for path, each in operations.items() if "422" in each["responses"]]
    assert "security" not in str(create_app(Settings()).openapi()["paths"]["/v1/models"])


async def test_a_refused_upload_is_not_read() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        pytest.fail("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = http_scope("/transcribe")
    await KeyCheck(everything, Settings(api_keys=KEYS))(scope, receive, send)
    assert sent[0]["status"] == 401
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        (bearer(BOB), None),
        ({}, ["realtime", f"openai-insecure-api-key.{ALICE}"]),
        ({}, [f"openai-insecure-api-key.{ALICE}", "openai-beta.realtime-v1"]),
    ],
)
def test_a_websocket_opens_with_a_key(headers: dict[str, str], subprotocols: list[str] | None) -> None:
    with guarded().websocket_connect("/v1/realtime", headers=headers, subprotocols=subprotocols) as socket:
        assert socket.receive_text() == "hello"


@pytest.mark.parametrize("subprotocols", [None, ["realtime"], ["openai-insecure-api-key.wrong"]])
@pytest.mark.parametrize("path", ["/v1/realtime", "/livez", f"/v1/realtime?api_key={ALICE}"])
def test_a_websocket_without_a_key_is_refused_before_it_opens(
    path: str, subprotocols: list[str] | None
) -> None:
    with pytest.raises(Exception) as refused, guarded().websocket_connect(path, subprotocols=subprotocols):  # noqa: PT011
        pytest.fail("it was opened")
    answer = refused.value
    assert getattr(answer, "status_code", None) == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"  # type: ignore[attr-defined]


async def test_a_server_that_cannot_answer_a_websocket_closes_it() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/v1/realtime",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }
    await KeyCheck(everything, Settings(api_keys=KEYS))(scope, receive, send)
    assert [(message["type"], message.get("code")) for message in sent] == [("websocket.close", 1008)]


def test_every_key_is_compared_whatever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def count(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("medasr_service.accounts.keys.hmac.compare_digest", count)
    keys = Keys(["a" * 16, "b" * 16, "c" * 16])
    assert keys.find("a" * 16)
    assert not keys.find("d")
    assert not keys.find(None)
    assert len(compared) == 9
    assert {len(side) for pair in compared for side in pair} == {32}


def test_the_keys_are_in_no_representation() -> None:
    settings = Settings(api_keys=KEYS)
    assert settings.keys == [ALICE, BOB]
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert ALICE not in text
        assert BOB not in text


@pytest.mark.parametrize("keys", ["short", f"{ALICE},short", f"{ALICE} {BOB}", "ä" * 20, " , ,"])
def test_a_weak_key_stops_the_service_and_is_not_shown(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("MEDASR_API_KEYS", keys)
    with pytest.raises(SystemExit) as stop:
        settings_module.load()
    assert str(stop.value).startswith("medasr: setting api_keys: ")
    assert keys not in str(stop.value)
    with pytest.raises(ValueError, match="api_keys") as error:
        Settings()
    assert keys not in str(error.value)


def test_the_variable_holds_several_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASR_API_KEYS", f" {ALICE} ,{BOB},")
    assert settings_module.load().keys == [ALICE, BOB]
