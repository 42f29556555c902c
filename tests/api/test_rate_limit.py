"""Limits of a key, as its client meets them."""

import base64
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient
from openai import OpenAI

from medasr_service.accounts.keys import Keys, digest
from medasr_service.accounts.quotas import Quotas
from medasr_service.api.keys import KeyCheck
from medasr_service.api.rate_limit import EXPOSED
from medasr_service.settings import Settings
from tests.api.test_keys import ALICE, BOB, bearer
from tests.conftest import CLIPS

ROUTE = "/v1/audio/transcriptions"
CLIP = min(CLIPS, key=lambda clip: len(clip.waveform))
CLIP_S = len(CLIP.waveform) / 16_000


@pytest.fixture
def limited(make_client: Callable[..., TestClient], tmp_path: Any) -> Callable[..., TestClient]:
    """The application behind keys: alice has the limits, bob none."""

    def make(limits: str, clock: Callable[[], float] = time.time) -> TestClient:
        file = tmp_path / "keys.toml"
        alice, bob = (f'sha256 = "{digest(key).hex()}"' for key in (ALICE, BOB))
        file.write_text(f"[alice]\n{alice}\n{limits}\n[bob]\n{bob}\n")
        keys = Keys((), file, clock)
        keys.reload()
        settings = Settings(api_keys_file=file)
        return TestClient(KeyCheck(make_client().app, settings, keys, Quotas()))

    return make


def post(client: TestClient, key: str = ALICE, **fields: str) -> Any:
    files = {"file": ("a.flac", CLIP.path.read_bytes())}
    return client.post(ROUTE, files=files, data=fields, headers=bearer(key))


def test_each_answer_says_what_is_left_and_the_last_when_to_come_again(
    limited: Callable[..., TestClient],
) -> None:
    client = limited("requests_per_minute = 2\naudio_seconds_per_hour = 100")
    assert client.get("/v1/models", headers=bearer(ALICE)).headers["RateLimit"].startswith('"requests";r=2')
    first, second, third = (post(client) for _ in range(3))
    assert [each.status_code for each in (first, second, third)] == [200, 200, 429]
    left = 99 - int(CLIP_S)
    assert first.headers["RateLimit-Policy"] == '"requests";q=2;w=60, "audio";q=100;w=3600'
    assert re.fullmatch(
        rf'"requests";r=1;t=[1-6]\d?, "audio";r={left};t=3[56]\d\d', first.headers["RateLimit"]
    )
    assert [first.headers[name] for name in EXPOSED[2:4]] == ["2", "1"]
    assert re.fullmatch(r"[1-6]\d?s", first.headers[EXPOSED[4]])
    assert 1 <= int(third.headers["Retry-After"]) <= 60
    assert third.headers["RateLimit"].startswith('"requests";r=0')
    assert third.json()["error"] == {
        "message": "The limit of this API key is reached: 2 requests a minute.",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert client.get("/v1/models", headers=bearer(ALICE)).status_code == 200  # to look costs nothing


def test_a_key_without_limits_gets_no_headers(limited: Callable[..., TestClient]) -> None:
    answer = post(limited("requests_per_minute = 1"), BOB)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if "ratelimit" in name.lower()]


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}])
def test_sound_counts_as_it_came_and_not_beyond_the_limit(
    limited: Callable[..., TestClient], fields: dict[str, str]
) -> None:
    client = limited(f"audio_seconds_per_hour = {int(1.5 * CLIP_S)}")
    assert post(client, **fields).status_code == 200
    refused = post(client, **fields)
    assert refused.status_code == 429
    assert "s of sound an hour, of which" in refused.json()["error"]["message"]


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}])
def test_what_never_fits_is_no_reason_to_come_again(
    limited: Callable[..., TestClient], fields: dict[str, str]
) -> None:
    refused = post(limited("audio_seconds_per_hour = 1"), **fields)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "audio_too_long"
    assert "Retry-After" not in refused.headers


def append(seconds: float) -> str:
    sound = (CLIP.waveform[: int(seconds * 16_000)] * 32_767).astype("<i2").repeat(3)[::2]
    return json.dumps(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound.tobytes()).decode()}
    )


def test_a_live_session_ends_where_its_sound_is_used_up_and_what_was_said_is_written(
    limited: Callable[..., TestClient],
) -> None:
    client = limited("audio_seconds_per_hour = 3\nlive_sessions = 1\nrequests_per_minute = 3")
    with client.websocket_connect("/v1/realtime", headers=bearer(ALICE)) as socket:
        with client.websocket_connect("/v1/realtime", headers=bearer(ALICE)) as second:
            error = second.receive_json()["error"]
            assert error["code"] == "rate_limit_exceeded"
            assert "1 live sessions" in error["message"]
        socket.send_text(append(2))
        socket.send_text(append(2))
        events = [socket.receive_json()]
        while events[-1]["type"] != "error":
            events.append(socket.receive_json())
    assert events[-1]["error"]["code"] == "rate_limit_exceeded"
    assert "conversation.item.input_audio_transcription.completed" in [event["type"] for event in events]
    with client.websocket_connect("/v1/realtime", headers=bearer(ALICE)) as socket:
        assert "sound an hour" not in socket.receive_json().get("error", {}).get("message", "")


def test_a_key_that_expires_ends_its_live_session_and_opens_nothing_more(
    limited: Callable[..., TestClient],
) -> None:
    now = [datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp()]
    client = limited("expires = 2027-01-01", lambda: now[0])
    assert post(client).status_code == 200
    with client.websocket_connect("/v1/realtime", headers=bearer(ALICE)) as socket:
        socket.send_text(append(2))
        now[0] += 60
        events = [socket.receive_json()]
        while events[-1]["type"] != "error":
            events.append(socket.receive_json())
    assert events[-1]["error"]["code"] == "api_key_revoked"
    assert "conversation.item.input_audio_transcription.completed" in [event["type"] for event in events]
    refused = post(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "expired_api_key")
    assert post(client, BOB).status_code == 200


def test_the_sdk_knows_the_refusal(limited: Callable[..., TestClient]) -> None:
    client = limited("requests_per_minute = 1")
    sdk = OpenAI(base_url="http://testserver/v1", api_key=ALICE, http_client=client, max_retries=0)
    sdk.audio.transcriptions.create(model="medasr-demo", file=CLIP.path)
    with pytest.raises(openai.RateLimitError):
        sdk.audio.transcriptions.create(model="medasr-demo", file=CLIP.path)
