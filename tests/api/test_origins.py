"""Pages of other origins, and names that a stranger's page can take: what is refused, and what passes."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.testclient import WebSocketDenialResponse
from starlette.types import ASGIApp

from medasr_service.api.keys import PROBES, KeyCheck
from medasr_service.api.origins import OriginCheck
from medasr_service.settings import Settings
from tests.api.test_keys import ALICE, everything

OWN, FOREIGN, FRIEND = "http://medasr:8400", "https://evil.example", "https://app.example.org"
KEYS = SecretStr(ALICE)


def door(app: ASGIApp = everything, base_url: str = OWN, **settings: Any) -> TestClient:
    return TestClient(OriginCheck(app, Settings(**settings)), base_url=base_url)


def refused(answer: Any, code: str) -> bool:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "evil" not in answer.text
    return (answer.status_code, error["code"]) == (403, code)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "http://medasr:8401", "http://medasr", "http://medasr:8400.evil.example", ""]
)
def test_a_foreign_page_may_change_nothing(method: str, origin: str) -> None:
    answer = door().request(method, "/v1/audio/transcriptions", headers={"Origin": origin}, content=b"x")
    assert refused(answer, "origin_not_allowed")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("settings", [{}, {"api_keys": KEYS}])
def test_a_foreign_page_opens_no_socket(settings: dict[str, Any]) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        door(**settings).websocket_connect("/v1/realtime", headers={"Origin": FOREIGN}),
    ):
        pass
    assert refused(caught.value, "origin_not_allowed")


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/transcribe", "/nope"])
def test_a_foreign_page_is_told_before_it_sends(path: str) -> None:
    asked = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}
    answer = door().options(path, headers=asked)
    assert refused(answer, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": OWN},
        {"Origin": OWN.upper()},
        {"Origin": "https://medasr:8400"},  # a proxy in front that speaks TLS
        {"Origin": "https://dictation.example.org", "Sec-Fetch-Site": "same-origin"},  # and changes the Host
    ],
)
def test_clients_and_the_own_page_pass(headers: dict[str, str]) -> None:
    assert door().post("/v1/audio/transcriptions", headers=headers).status_code == 200
    headers = {"Host": "medasr:8400", **headers}  # the test client gives a socket another one
    with door().websocket_connect("/v1/realtime", headers=headers) as socket:
        assert socket.receive_text() == "hello"


def test_a_page_that_is_allowed_may_ask_and_read() -> None:
    client = door(allow_origins=f"{FRIEND}, http://localhost:3000")
    asked = {
        "Origin": FRIEND,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-stainless-lang",
    }
    answer = client.options("/v1/audio/transcriptions", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert answer.headers["access-control-allow-headers"] == "authorization, x-stainless-lang"
    assert "POST" in answer.headers["access-control-allow-methods"]
    answer = client.post("/v1/audio/transcriptions", headers={"Origin": FRIEND})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, FRIEND)
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers
    with client.websocket_connect("/v1/realtime", headers={"Origin": FRIEND}) as socket:
        assert socket.receive_text() == "hello"
    assert refused(client.post("/transcribe", headers={"Origin": FOREIGN}), "origin_not_allowed")


def test_a_page_that_is_allowed_reads_refusals_too() -> None:
    """Its preflight brings no key, and needs none."""
    settings = Settings(api_keys=KEYS, allow_origins=FRIEND)
    client = TestClient(OriginCheck(KeyCheck(everything, settings), settings))
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/audio/transcriptions", headers=asked).status_code == 200
    answer = client.post("/v1/audio/transcriptions", headers={"Origin": FRIEND})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, FRIEND)


def test_every_page_may_be_allowed() -> None:
    answer = door(allow_origins="*").post("/transcribe", headers={"Origin": FOREIGN})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


def test_looking_is_open_but_not_readable() -> None:
    answer = door().get("/v1/models", headers={"Origin": FOREIGN})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


OWN_NAMES = [
    *("127.0.0.1", "127.0.0.1:8400", "[::1]", "[::1]:8400", "192.168.1.5", "[fe80::1%25eth0]:8400"),
    *("localhost", "LOCALHOST:8400", "localhost.", "medasr.localhost:8400", "medasr", "medasr:8400"),
]
FOREIGN_NAMES = [
    *(
        "evil.example",
        "evil.example:8400",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example.",
    ),
    *(
        "127.0.0.1@evil.example",
        "[evil.example]",
        "medasr.svc.cluster.local",
        "a b.c",
        "1.2.3",
        "x:y:z.example",
    ),
]


@pytest.mark.parametrize("host", OWN_NAMES)
@pytest.mark.parametrize("path", ["/", "/v1/models"])
def test_addresses_and_local_names_pass(host: str, path: str) -> None:
    assert door().get(path, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN_NAMES)
def test_a_name_that_a_page_can_take_is_refused_without_keys(host: str) -> None:
    """The page is of the same origin then, and could even look."""
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    for method, path in (("GET", "/"), ("GET", "/v1/models"), ("POST", "/transcribe")):
        assert refused(door().request(method, path, headers=headers), "host_not_allowed")
    with pytest.raises(WebSocketDenialResponse), door().websocket_connect("/v1/realtime", headers=headers):
        pass


@pytest.mark.parametrize("host", FOREIGN_NAMES)
def test_with_keys_every_host_passes(host: str) -> None:
    assert door(api_keys=KEYS).get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("allowed", "host", "passes"),
    [
        ("medasr.example.org", "medasr.example.org:443", True),
        ("medasr.example.org", "other.example.org", False),
        ("x.example, *.Example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "evilexample.org", False),
        ("*", "anything.example", True),
    ],
)
def test_a_host_may_be_allowed(allowed: str, host: str, passes: bool) -> None:
    answer = door(allow_hosts=allowed).get("/v1/models", headers={"Host": host})
    assert (answer.status_code == 200) is passes


@pytest.mark.parametrize("path", sorted(PROBES))
def test_probes_answer_under_every_name(path: str) -> None:
    assert door().get(path, headers={"Host": "evil.example"}).status_code == 200


@pytest.mark.parametrize("value", ["app.example.org", "https://app.example.org/page", "https://a b"])
def test_what_is_no_origin_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        Settings(allow_origins=f"{FRIEND},{value}")
