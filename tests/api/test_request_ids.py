"""X-Request-ID on every answer; paths and methods as clients write them."""

import re
from collections.abc import Callable

import httpx
import openai
import pytest
from fastapi.testclient import TestClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from medasr_service.api.as_served import canonical
from medasr_service.transcriber import Transcriber
from tests.conftest import CLIPS, Service

ROUTE = "/v1/audio/transcriptions"
GOOD = min((clip.path for clip in CLIPS), key=lambda path: path.stat().st_size).read_bytes()
HEADER = "X-Request-ID"
MADE = re.compile(r"req_[0-9a-f]{32}")
ANSWERS = [
    ("GET", "/health", 200),
    ("GET", "/", 200),
    ("GET", "/v1/models", 200),
    ("GET", "/nope", 404),
    ("GET", ROUTE, 405),
    ("POST", ROUTE, 400),
    ("GET", "/docs", 200),
    ("GET", "/panel/nope.js", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_has_a_name(client: TestClient, method: str, path: str, status: int) -> None:
    first, second = (client.request(method, path) for _ in range(2))
    assert first.status_code == status
    assert MADE.fullmatch(first.headers[HEADER])
    assert first.headers[HEADER] != second.headers[HEADER]
    assert client.request(method, path, headers={HEADER: "visit-17.a:b"}).headers[HEADER] == "visit-17.a:b"


def test_a_failure_and_a_stream_have_a_name(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"file": ("a.flac", GOOD)}
    streamed = client.post(ROUTE, files=files, data={"stream": "true"}, headers={HEADER: "one"})
    assert (streamed.status_code, streamed.headers[HEADER]) == (200, "one")

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Transcriber, "inspect", fail)
    failed = client.post(ROUTE, files=files, headers={HEADER: "two"})
    assert (failed.status_code, failed.headers.get_list(HEADER)) == (500, ["two"])


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "x" * 129, "-a", "a\tb", "ä", "a;b", "(request_id=x)", "a\x0bb"]
)
def test_what_could_say_more_than_a_name_is_not_taken(client: TestClient, given: str) -> None:
    answer = client.get("/health", headers=[(HEADER.encode(), given.encode())])
    assert MADE.fullmatch(answer.headers[HEADER])


def test_a_socket_has_a_name(client: TestClient) -> None:
    with client.websocket_connect("/v1/realtime?intent=transcription", headers={HEADER: "three"}) as socket:
        assert (b"x-request-id", b"three") in list(socket.extra_headers or [])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models/", "/v1/models"),
        ("//v1///models//", "/v1/models"),
        ("/", "/"),
        ("//", "/"),
        ("", "/"),
        ("/v1/models/google/medasr", "/v1/models/google/medasr"),
        ("/a//../b/", "/a/../b"),
    ],
)
def test_a_path_has_one_spelling(path: str, expected: str) -> None:
    assert canonical(path) == expected == canonical(expected)


def test_a_slash_too_many_does_no_harm(client: TestClient) -> None:
    for path in (f"{ROUTE}/", "/v1//audio/transcriptions", f"http://testserver/{ROUTE}"):
        assert client.post(path, files={"file": ("a.flac", GOOD)}).status_code == 200
    assert client.get("/v1/models/").json() == client.get("/v1/models").json()
    assert client.get("/docs/").status_code == 200
    with client.websocket_connect("/v1/realtime/?intent=transcription") as socket:
        assert socket.receive_json()["type"] == "session.created"


@pytest.mark.parametrize(
    "path", ["/health", "/v1/models", "/v1/models/medasr-demo", "/docs", "/openapi.json", "/"]
)
def test_head_is_get_without_its_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_head_of_what_takes_no_get_is_refused(client: TestClient) -> None:
    answer = client.head(ROUTE)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_translation_into_english_is_the_transcription(client: TestClient) -> None:
    files, fields = {"file": ("a.flac", GOOD)}, {"response_format": "verbose_json"}
    answers = [
        client.post(f"/v1/audio/{name}", files=files, data=fields)
        for name in ("transcriptions", "translations")
    ]
    assert answers[0].status_code == 200
    assert answers[0].json() == answers[1].json()


def test_keys_are_asked_for_whatever_the_spelling(make_client: Callable[..., TestClient]) -> None:
    from medasr_service.api.as_served import AsServed
    from medasr_service.api.keys import KeyCheck
    from medasr_service.settings import Settings

    settings = Settings(api_keys="k" * 32)
    closed = TestClient(AsServed(KeyCheck(make_client(api_keys="k" * 32).app, settings)))
    for path in ("/v1/models/", "//v1/models", "/health//../v1/models", "/panel//../../v1/models", "/docs/"):
        assert closed.get(path).status_code in (401, 404), path
    assert closed.get("//health/").status_code == 200


@pytest.mark.e2e
def test_the_service_names_every_answer(service: Service) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/health", "/nope", "/v1/models/"):
        assert httpx.get(service.url + path, headers={HEADER: "e2e-1"}).headers.get_list(HEADER) == ["e2e-1"]
    assert httpx.head(f"{service.url}/health").status_code == 200
    assert httpx.head(f"{service.url}/livez/").status_code == 200
    assert MADE.fullmatch(httpx.post(f"{service.url}/transcribe").headers[HEADER])
    address = f"ws://127.0.0.1:{service.port}/v1/"
    with connect(f"{address}realtime?intent=transcription", additional_headers={HEADER: "e2e-2"}) as socket:
        assert socket.response is not None
        assert socket.response.headers[HEADER] == "e2e-2"
    with pytest.raises(InvalidStatus) as caught:
        connect(f"{address}nope", additional_headers={HEADER: "e2e-3"})
    assert (caught.value.response.status_code, caught.value.response.headers[HEADER]) == (404, "e2e-3")
    service.wait_until_said("(request_id=e2e-1)", "(request_id=e2e-2)")


@pytest.mark.e2e
def test_the_native_api_names_its_own_field(service: Service) -> None:
    for files in (
        {"audio": ("a.wav", b"not audio at all")},
        {"audio": ("a.wav", b"")},
        {"file": ("a.wav", GOOD)},
    ):
        error = httpx.post(f"{service.url}/transcribe/", files=files).json()["error"]
        assert error["param"] == "audio", error


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # of OpenAI's own translations
def test_openai_translates_and_tells_its_request_id(service: Service) -> None:
    sdk = openai.OpenAI(base_url=f"{service.url}/v1/", api_key="none", max_retries=0)
    answer = sdk.audio.translations.create(model="medasr-demo", file=("a.flac", GOOD))
    assert answer.text == sdk.audio.transcriptions.create(model="medasr-demo", file=("a.flac", GOOD)).text
    assert MADE.fullmatch(str(answer._request_id))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.audio.transcriptions.create(model="medasr-demo", file=("a.flac", GOOD), language="de")
    assert MADE.fullmatch(str(caught.value.request_id))
