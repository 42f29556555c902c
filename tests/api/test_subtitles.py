"""Subtitles of words that a client sends: the service's own, whoever corrected them."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from medasr_service.api.subtitles import MAX_MIB, MAX_WORDS
from tests.conftest import SAMPLE

ROUTE = "/v1/audio/subtitles"
WORD = {"written": "Lungs", "start": 0.5, "end": 1.0}


def transcribed(client: TestClient, response_format: str) -> Any:
    fields = {"response_format": response_format}
    if response_format == "verbose_json":
        fields["timestamp_granularities[]"] = "word"
    files = {"file": ("a.wav", SAMPLE.read_bytes())}
    answer = client.post("/v1/audio/transcriptions", files=files, data=fields)
    return answer.json() if response_format == "verbose_json" else answer.text


@pytest.mark.parametrize("response_format", ["srt", "vtt"])
def test_unchanged_words_make_the_subtitles_of_the_recording(
    client: TestClient, response_format: str
) -> None:
    verbose = transcribed(client, "verbose_json")
    words = [part for word in verbose["words"] for part in word.get("parts", [word])]
    body = {"response_format": response_format, "duration": verbose["duration"], "words": words}
    answer = client.post(ROUTE, json=body)
    assert answer.text == transcribed(client, response_format)
    assert answer.headers["content-type"].startswith("text/vtt" if response_format == "vtt" else "text/plain")


def test_corrected_words_stand_in_two_short_lines(client: TestClient) -> None:
    words = [
        {"written": " word" * 3 if i else "One" + " more" * 40, "start": i, "end": i + 0.9} for i in range(9)
    ]
    lines = client.post(ROUTE, json={"response_format": "srt", "duration": 9, "words": words}).text.split(
        "\n"
    )
    assert all(len(line) <= 42 for line in lines)
    assert "".join(lines).count("more") == 40


def test_no_words_make_no_subtitles(client: TestClient) -> None:
    assert client.post(ROUTE, json={"response_format": "srt", "words": []}).text == ""


def test_text_is_no_markup_and_no_times(client: TestClient) -> None:
    words = [{**WORD, "written": "<b>1 --> 2</b>"}]
    assert "&lt;b&gt;" in client.post(ROUTE, json={"response_format": "vtt", "words": words}).text
    assert client.post(ROUTE, json={"response_format": "srt", "words": words}).text.count("-->") == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"response_format": "json", "words": []}, "response_format"),
        ({"response_format": "srt"}, "words"),
        ({"response_format": "srt", "words": [{**WORD, "start": -1}]}, "words.0.start"),
        ({"response_format": "srt", "words": [{**WORD, "end": 1e300}]}, "words.0.end"),
        ({"response_format": "srt", "words": [{**WORD, "written": "secret" * 9_000}]}, "words.0.written"),
        ({"response_format": "srt", "words": [WORD] * (MAX_WORDS + 1)}, "words"),
        ({"response_format": "srt", "words": [], "odd": 1}, "odd"),
        ([], None),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(client: TestClient, body: Any, param: str | None) -> None:
    answer = client.post(ROUTE, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert "secret" not in answer.text


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[" * 100_000])
def test_what_is_no_json_is_refused(client: TestClient, body: bytes) -> None:
    assert client.post(ROUTE, content=body).status_code == 400


def test_a_body_beyond_the_limit_is_refused(client: TestClient) -> None:
    assert client.post(ROUTE, content=b" " * (MAX_MIB * 1024 * 1024 + 1)).status_code == 413


def test_it_needs_a_key_as_all_routes(make_client: Callable[..., TestClient]) -> None:
    document = make_client(api_keys="alice-0123456789abcdef").app.openapi()  # type: ignore[attr-defined]
    assert "security" in document["paths"][ROUTE]["post"]
