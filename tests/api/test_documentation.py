"""What /openapi.json and /asyncapi.yaml promise, and what the service really answers."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from medasr_service.api.answers import (
    ErrorBody,
    Health,
    Model,
    ModelList,
    Transcription,
    VerboseTranscription,
)
from medasr_service.api.parameters import Parameters
from medasr_service.api.realtime_events import AWAY, ClientEvent
from medasr_service.errors import Forbidden, MedASRError, ModelUnavailable, UsageError
from tests.conftest import CLIPS, ROOT

ROUTE = "/v1/audio/transcriptions"
CLIP = min((clip for clip in CLIPS), key=lambda clip: clip.path.stat().st_size)
FILES = {"file": ("a.flac", CLIP.path.read_bytes())}


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def socket_document(client: TestClient) -> dict[str, Any]:
    answer = client.get("/asyncapi.yaml")
    assert answer.text == (ROOT / "docs" / "asyncapi.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(answer.text)
    return found


def held(model: type[BaseModel], body: Any) -> None:
    """Nothing else is in the answer than what is documented."""
    model.model_validate_json(json.dumps(body), strict=True, extra="forbid")


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        ({}, Transcription),
        ({"include[]": "logprobs"}, Transcription),
        ({"keywords[]": ["bisoprolol", "Жук"]}, Transcription),
        ({"response_format": "verbose_json"}, VerboseTranscription),
        ({"response_format": "verbose_json", "timestamp_granularities[]": "word"}, VerboseTranscription),
    ],
)
def test_an_answer_is_what_is_documented(
    client: TestClient, fields: dict[str, Any], model: type[BaseModel]
) -> None:
    answer = client.post(ROUTE, files=FILES, data=fields)
    assert answer.status_code == 200, answer.text
    held(model, answer.json())


def test_the_other_answers_are_what_is_documented(
    client: TestClient, make_client: Callable[..., TestClient]
) -> None:
    aliased = make_client(model_aliases=["whisper-1"])
    held(ModelList, aliased.get("/v1/models").json())
    held(Model, aliased.get("/v1/models/whisper-1").json())
    held(Health, client.get("/health").json())
    held(ErrorBody, client.get("/nope").json())


def test_each_status_has_an_example_of_its_own(document: dict[str, Any]) -> None:
    answers = document["paths"][ROUTE]["post"]["responses"]
    assert {"400", "401", "403", "408", "413", "415", "429", "500", "503", "504"} <= set(answers)
    messages = []
    for status in set(answers) - {"200", "default"}:
        content = answers[status]["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
        for example in content["examples"].values():
            held(ErrorBody, example["value"])
            messages.append(example["value"]["error"]["message"])
    assert len(messages) == len(set(messages))


def test_the_answer_of_a_recording_is_typed(document: dict[str, Any]) -> None:
    content = document["paths"][ROUTE]["post"]["responses"]["200"]["content"]
    kinds = {kind["$ref"].rpartition("/")[2] for kind in content["application/json"]["schema"]["anyOf"]}
    assert kinds == {"Transcription", "VerboseTranscription"} <= set(document["components"]["schemas"])
    held(Transcription, content["application/json"]["examples"]["json"]["value"])
    verbose = content["application/json"]["examples"]["verbose_json"]["value"]
    held(VerboseTranscription, verbose)
    assert {"text/plain", "text/vtt", "text/event-stream"} <= set(content)


@pytest.mark.parametrize("path", [ROUTE, "/v1/audio/translations", "/transcribe"])
def test_every_field_is_described_and_its_examples_are_taken(
    client: TestClient, document: dict[str, Any], path: str
) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    [field] = schema["required"]
    assert field == ("audio" if path == "/transcribe" else "file")
    assert set(schema["properties"]) == {field, *Parameters.model_fields}
    assert all(each["description"] for each in schema["properties"].values())
    examples = {
        name: value["examples"][0] for name, value in schema["properties"].items() if "examples" in value
    }
    assert client.post(ROUTE, files=FILES, data=examples).json() == client.post(ROUTE, files=FILES).json()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])
    assert {"/transcribe", "/v1/realtime", "/v1/audio/translations", "/health"} <= set(document["paths"])


def resolved(document: dict[str, Any], node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def schemas(document: dict[str, Any], operation: str) -> dict[str, dict[str, Any]]:
    """By the type of the event."""
    found = {}
    for each in document["operations"][operation]["messages"]:
        payload = resolved(document, each)["payload"]
        found[payload["properties"]["type"]["const"]] = {**payload, "components": document["components"]}
    return found


def test_the_socket_document_names_what_the_service_takes(socket_document: dict[str, Any]) -> None:
    taken = {
        kind for model in get_args(ClientEvent) for kind in get_args(model.model_fields["type"].annotation)
    }
    assert set(schemas(socket_document, "say")) == taken
    for schema in (*schemas(socket_document, "say").values(), *schemas(socket_document, "hear").values()):
        Draft202012Validator.check_schema(schema)


def test_every_reference_of_the_socket_document_leads_somewhere(socket_document: dict[str, Any]) -> None:
    for reference in re.findall(r"\$ref: ['\"]?(#/[^'\"}\s]+)", (ROOT / "docs/asyncapi.yaml").read_text()):
        assert resolved(socket_document, {"$ref": reference})


def test_that_the_model_is_away_is_said_as_the_socket_document_has_it(
    socket_document: dict[str, Any],
) -> None:
    schema = schemas(socket_document, "hear")[AWAY["type"]]
    Draft202012Validator(schema).validate({"event_id": "event_1", **AWAY})


def test_a_live_session_says_what_its_document_says(
    client: TestClient, socket_document: dict[str, Any]
) -> None:
    said = schemas(socket_document, "say")
    heard = schemas(socket_document, "hear")
    silence = np.zeros(24_000, np.float32)
    pcm = (np.concatenate((CLIP.waveform, silence)) * 32_767).astype("<i2").tobytes()
    change = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 16_000},
                "transcription": {"language": "en-US", "keywords": ["bisoprolol", "Жук"]},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            }
        },
        "include": [f"item.input_audio_transcription.{each}" for each in ("logprobs", "hypothesis")],
    }
    messages: list[dict[str, Any]] = [
        {"type": "session.update", "session": change},
        {
            "type": "transcription_session.update",
            "session": {"input_audio_transcription": {"language": "en"}},
        },
        {"type": "input_audio_buffer.clear", "event_id": "one"},
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()},
        {"type": "input_audio_buffer.commit"},
    ]
    seen = set()
    with client.websocket_connect("/v1/realtime?intent=transcription") as socket:
        for message in messages:
            Draft202012Validator(said[message["type"]]).validate(message)
            socket.send_json(message)
        socket.send_json({"type": "nonsense"})
        completed = False
        while not (completed and "error" in seen):
            event = socket.receive_json()
            Draft202012Validator(heard[event["type"]]).validate(event)
            seen.add(event["type"])
            completed = completed or event["type"].endswith("completed")
    assert set(heard) - seen <= {"conversation.item.input_audio_transcription.failed", AWAY["type"]}


def test_the_reference_names_every_field_and_every_code() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    assert not [
        name for name in Parameters.model_fields if f"`{name}`" not in text and f"`{name}[]`" not in text
    ]
    never_sent = (ModelUnavailable, UsageError, Forbidden)  # the last always has a code of its own
    described, pending = set(re.findall(r"`(\w+)`", text)), list[type[MedASRError]]([MedASRError])
    while pending:
        error = pending.pop()
        pending += error.__subclasses__()
        assert error.code is None or error.code in described or error in never_sent
