"""Each request has an account, and those who count get it once, whatever becomes of it."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send

from medasr_service.api.observed import Observed
from medasr_service.errors import InvalidAudio, NotReady
from medasr_service.telemetry.account import Account, current, opened, stage
from medasr_service.text.transcript import Segment, Unclear
from medasr_service.transcriber import Transcriber
from tests.conftest import SAMPLE, SAMPLE_S, http_scope

ROUTE = "/v1/audio/transcriptions"
FILES = {"file": ("jane-doe.wav", SAMPLE.read_bytes())}


@pytest.fixture
def told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> list[Account]:
    """The accounts of what is asked for in the test."""
    accounts: list[Account] = []
    monkeypatch.setattr("medasr_service.api.observed.ALWAYS", (accounts.append,))
    return accounts


@pytest.fixture
def fresh(told: list[Account], make_client: Callable[..., TestClient]) -> TestClient:
    """A client whose application is made behind ``told``."""
    return make_client()


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_an_account_has_what_came_and_what_became_of_it(fresh: TestClient, told: list[Account]) -> None:
    fresh.post(ROUTE, files=FILES, data={"response_format": "srt"}, headers={"X-Request-ID": "one"})
    [account] = told
    assert (account.route, account.method, account.request_id) == (ROUTE, "POST", "one")
    assert (account.status, account.code, account.reason, account.format) == (200, "ok", None, "srt")
    assert account.audio_s == account.transcribed_s == pytest.approx(SAMPLE_S, abs=0.01)
    assert account.upload_bytes > SAMPLE.stat().st_size
    assert set(account.stages) == {
        "upload",
        "decode",
        "stitch",
        "text",
    }  # wait and inference are the server's
    assert account.first_byte_s
    assert 0 < account.first_byte_s <= account.whole_s


def test_a_stream_is_counted_up_to_its_last_byte(fresh: TestClient, told: list[Account]) -> None:
    fresh.post(ROUTE, files=FILES, data={"stream": "true"})
    [account] = told
    assert (account.format, account.code) == ("json_stream", "ok")
    assert account.transcribed_s == pytest.approx(account.audio_s)
    assert account.first_byte_s
    assert account.first_byte_s < account.whole_s


@pytest.mark.parametrize(
    ("error", "status", "code", "reason"),
    [
        (InvalidAudio("no", reason="crashed"), 400, "invalid_audio", None),
        (NotReady("no", reason="model_lost"), 503, "not_ready", "model_lost"),
        (RuntimeError("secret"), 500, "server_error", None),
    ],
)
@pytest.mark.parametrize("stream", ["false", "true"])
def test_an_error_is_the_outcome(
    fresh: TestClient,
    told: list[Account],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
    reason: str | None,
    stream: str,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Transcriber, "inspect", fail)
    fresh.post(ROUTE, files=FILES, data={"stream": stream})
    [account] = told
    assert (account.status, account.code, account.reason) == (status, code, reason)


def test_routes_that_are_none_and_words_of_clients_are_no_labels(
    fresh: TestClient, told: list[Account]
) -> None:
    fresh.get("/jane-doe")
    fresh.post(ROUTE, files=FILES, data={"model": "jane-doe"})
    fresh.post(ROUTE, files=FILES, data={"response_format": "jane-doe"})
    assert [(each.route, each.format) for each in told] == [
        ("/other", "none"),
        (ROUTE, "none"),
        (ROUTE, "none"),
    ]
    assert "jane-doe" not in str(told)


def test_probes_have_no_account(fresh: TestClient, told: list[Account]) -> None:
    fresh.get("/health")
    assert not told


def test_a_live_session_has_one_when_it_is_over(fresh: TestClient, told: list[Account]) -> None:
    with fresh.websocket_connect("/v1/realtime?intent=transcription") as socket:
        socket.receive_json()
        socket.send_json({"type": "input_audio_buffer.append", "audio": "AAAA" * 16_000})
        assert not told
    [account] = told
    assert (account.is_live, account.status, account.code, account.format) == (True, 101, "ok", "live")
    assert account.audio_s == pytest.approx(1.0, abs=0.1)


def test_a_socket_that_is_refused_has_the_status_that_it_got(fresh: TestClient, told: list[Account]) -> None:
    with pytest.raises(WebSocketDenialResponse), fresh.websocket_connect("/v1/jane-doe"):
        pass
    with fresh.websocket_connect("/v1/realtime?intent=jane-doe") as socket:
        socket.receive_json()
    assert [(each.route, each.status, each.code) for each in told] == [
        ("/other", 404, "unknown_route"),
        ("/v1/realtime", 101, "invalid_value"),
    ]


async def test_what_hangs_up_in_the_middle_is_told_too(told: list[Account]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise OSError

    async def nothing(*_: Any) -> Any: ...

    with pytest.raises(OSError):  # noqa: PT011
        await Observed(app)(http_scope(), nothing, nothing)
    [account] = told
    assert (account.status, account.code) == (500, "server_error")


def test_counters_grow_by_what_was_asked(client: TestClient) -> None:
    labels = {"route": ROUTE, "format": "json", "code": "ok"}
    before = value("medasr_requests_total", **labels)
    heard_s = value("medasr_audio_transcribed_seconds_total", route=ROUTE)
    ratios = value("medasr_request_real_time_factor_ratio_count")
    client.post(ROUTE, files=FILES)
    assert value("medasr_requests_total", **labels) == before + 1
    more_s = value("medasr_audio_transcribed_seconds_total", route=ROUTE) - heard_s
    assert more_s == pytest.approx(SAMPLE_S, abs=0.01)
    assert value("medasr_request_real_time_factor_ratio_count") == ratios + 1
    assert value("medasr_transcriptions_running") == 0
    assert value("medasr_spool_bytes", place="memory") == 0


def test_unreadable_recordings_are_counted_by_what_is_wrong(client: TestClient) -> None:
    before = value("medasr_decode_failures_total", reason="unsupported_format")
    client.post(ROUTE, files={"file": ("a.txt", b"no audio, whatever it is called" * 9)})
    assert value("medasr_decode_failures_total", reason="unsupported_format") == before + 1


@pytest.mark.parametrize("stream", ["false", "true"])
def test_what_a_person_must_look_at_is_counted_by_its_kind(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    """The demo model writes none of it: here each segment has two doubts and a placeholder."""
    found = (Unclear("doubt", "", 0, 0), Unclear("placeholder", "", 0, 0), Unclear("doubt", "", 0, 0))
    monkeypatch.setattr(Segment, "unclear", property(lambda _: found, lambda *_: None))
    before = [value("medasr_unclear_marks_total", kind=kind) for kind in ("doubt", "placeholder")]
    client.post(ROUTE, files=FILES, data={"stream": stream}).raise_for_status()
    after = [value("medasr_unclear_marks_total", kind=kind) for kind in ("doubt", "placeholder")]
    doubts, placeholders = np.subtract(after, before)
    assert doubts == 2 * placeholders > 0


async def test_a_service_that_leaves_says_so(make_client: Callable[..., TestClient]) -> None:
    app: Any = make_client().app
    assert (value("medasr_draining"), value("medasr_transcriptions_limit")) == (0, 64)
    await app.state.served.drain()
    assert (value("medasr_draining"), value("medasr_model_ready")) == (1, 0)


def test_the_line_of_a_request_says_what_became_of_it(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bentoml.access"):
        client.post(ROUTE, files=FILES)
        client.get("/health")
    [record] = [each for each in caplog.records if each.name == "bentoml.access"]
    assert record.getMessage().startswith(  # "testclient" is no address
        f"- POST {ROUTE} 200 code=ok key=- format=json upload_bytes="
    )
    assert vars(record)["audio_s"] == pytest.approx(SAMPLE_S, abs=0.01)
    assert {"upload_s", "decode_s", "text_s", "whole_s"} <= set(vars(record))


def test_a_stage_counts_for_the_request_in_which_it_is_and_for_none_outside() -> None:
    with stage("text"):
        assert current() is None
    with opened(Account("/")) as account:
        with stage("text"), stage("decode"):
            pass
        with stage("text"):
            pass
    assert set(account.stages) == {"text", "decode"}
    assert current() is None
