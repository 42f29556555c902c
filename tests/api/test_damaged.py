"""damaged=skip over HTTP: what could be read is heard, and every format says what could not."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.audio.test_stream import encode
from tests.conftest import CLIPS

CODE = "damaged_audio"


@cache
def damaged() -> bytes:
    """One dictation twice, as MP3; what stands between them was overwritten."""
    spoken = CLIPS[0].waveform
    data = encode(np.concatenate((spoken, np.zeros(16_000), spoken)), kind="MP3", coding="MPEG_LAYER_III")
    a, b = int(0.485 * len(data)), int(0.515 * len(data))
    return data[:a] + b"\xaa" * (b - a) + data[b:]


def post(client: TestClient, **fields: str) -> Response:
    return client.post("/v1/audio/transcriptions", files={"file": damaged()}, data=fields)


def skipped(client: TestClient, **fields: str) -> Response:
    response = post(client, damaged="skip", **fields)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("fields", [{}, {"damaged": "refuse"}, {"damaged": ""}, {"stream": "true"}])
def test_a_damaged_recording_is_refused_with_its_place(client: TestClient, fields: dict[str, str]) -> None:
    response = post(client, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "truncated_audio"
    assert error["param"] == "file"
    at_s = float(error["message"].split("damaged at ")[1].split(" s")[0])
    assert at_s == pytest.approx(len(CLIPS[0].waveform) / 16_000 + 0.5, abs=1.0)


def test_damaged_takes_two_words(client: TestClient) -> None:
    assert post(client, damaged="repair").json()["error"]["param"] == "damaged"


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_json_warns_of_the_place_and_hears_both_sides(client: TestClient, response_format: str) -> None:
    body = skipped(client, response_format=response_format, formatting="raw").json()
    [warning] = [each for each in body["warnings"] if each["code"] == CODE]
    assert "s could not be read" in warning["message"]
    assert body["text"].count(CLIPS[0].text.split()[0]) == 2
    assert "could not be read" not in body["text"]


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
def test_what_people_read_has_the_mark_between_both_sides(client: TestClient, response_format: str) -> None:
    text = " ".join(skipped(client, response_format=response_format).text.split())
    before, after = text.split(" s could not be read]")
    assert before.rpartition("[")[2].replace(".", "").isdigit()
    assert "effusion" in before
    assert "effusion" in after


def events(response: Response) -> list[dict[str, Any]]:
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_the_last_event_of_a_stream_warns_and_the_deltas_are_its_text(
    client: TestClient, response_format: str
) -> None:
    *deltas, done = events(skipped(client, stream="true", response_format=response_format))
    assert done["type"] == "transcript.text.done"
    assert CODE in [each["code"] for each in done["warnings"]]
    assert "".join(delta["delta"] for delta in deltas) == done["text"]
