"""Spans arrive at a collector, in the client's trace, and hold nothing of what it sent."""

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from medasr_service.telemetry import traces
from tests.conftest import PATIENCE_S, SAMPLE, SAMPLE_S, Service, free_port, said_by
from tests.telemetry.collector import Collector, collector
from tests.telemetry.conftest import Seen

ROUTE = "/v1/audio/transcriptions"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
CANARY = "jane-doe-1953"


@pytest.mark.parametrize(
    ("given", "trace_id"),
    [
        (PARENT, TRACE),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-later", TRACE),
        ("", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", ""),
        (PARENT + "\n", ""),
    ],
)
def test_a_trace_is_taken_over_where_it_is_one(given: str, trace_id: str) -> None:
    assert traces.trace_id_of(given) == trace_id


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector"}, False),
    ],
)
def test_the_standard_variables_say_whether_there_are_spans(variables: dict[str, str], wanted: bool) -> None:
    assert traces.is_wanted(variables) is wanted


def test_where_there_are_none_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import sys; from medasr_service.api import observed; from medasr_service.telemetry import traces;"
        "traces.start('1')\nwith traces.span('one'): traces.past('two', 1.0)\n"
        "print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """For spans of this process: variables."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(PATIENCE_S))
    yield monkeypatch
    traces.stop()


def send() -> None:
    with traces.span("one"):
        pass
    traces._provider.force_flush()


def test_a_collector_that_cannot_be_reached_is_one_line_and_another_when_it_is_there(
    own: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), collector() as (found, address):
        own.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        traces.start("1")
        found.away = True
        send()
        send()
        found.away = False
        send()
        send()
    assert said_by("bentoml.medasr", caplog) == [
        "the collector of spans cannot be reached: they are dropped until it can",
        "the collector of spans is there again",
    ]
    assert len(found.spans) == 2


def test_a_collector_that_says_nothing_holds_no_stop_up(own: pytest.MonkeyPatch) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        own.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{mute.getsockname()[1]}")
        traces.start("1")
        with traces.span("one"):
            pass
        begun = time.monotonic()
        traces.stop()
        assert time.monotonic() - begun < PATIENCE_S / 20


def test_a_variable_that_is_wrong_is_one_line_and_no_spans(
    own: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    own.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    traces.start("1")
    [line] = said_by("bentoml.medasr", caplog)
    assert line == "there are no spans: max_queue_size must be a positive integer."
    with traces.span("one") as span:
        assert not span.trace_id


def test_the_trace_of_a_client_is_named_also_where_there_are_no_spans(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bentoml.access"):
        answer = client.get("/v1/models", headers={"traceparent": PARENT})
    assert answer.headers["X-Trace-ID"] == TRACE
    assert "X-Trace-ID" not in client.get("/v1/models").headers


@pytest.fixture
def traced(seen: Seen) -> tuple[Service, Collector]:
    return seen.service, seen.collector


def lines_of(service: Service) -> list[dict[str, Any]]:
    written = service.log.read_text()
    return [json.loads(line) for line in written[: written.rfind("\n") + 1].splitlines()]


def line_of(service: Service, request_id: str) -> dict[str, Any]:
    """The one line about a request: it is written behind the answer."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := [line for line in lines_of(service) if line.get("request_id") == request_id]:
            [line] = found
            return line
        httpx.get(f"{service.url}/livez")
    raise TimeoutError(request_id)


@pytest.mark.e2e
def test_a_request_is_one_trace_over_both_services(traced: tuple[Service, Collector]) -> None:
    service, found = traced
    headers = {"traceparent": PARENT, "tracestate": f"v={CANARY}", "baggage": f"name={CANARY}"}
    answer = httpx.post(
        f"{service.url}{ROUTE}?prompt={CANARY}",
        files={"file": (f"{CANARY}.wav", SAMPLE.read_bytes())},
        headers={**headers, "User-Agent": CANARY, "X-Request-ID": "traced-1"},
        timeout=60,
    )
    assert answer.headers["X-Trace-ID"] == TRACE
    spans = found.wait(TRACE, f"POST {ROUTE}", "model", "batch")
    [root] = [each for each in spans if each.name == f"POST {ROUTE}"]
    assert (root.parent, root.service) == (PARENT.split("-")[2], "medasr-service")
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["medasr.audio_s"] == pytest.approx(SAMPLE_S, abs=0.01)
    assert {each.name for each in spans} == {
        *(root.name, "upload", "decode", "wait", "inference", "model", "batch", "stitch", "text")
    }
    of_request = [each for each in spans if each.name in ("upload", "decode", "wait", "inference", "text")]
    assert {each.parent for each in of_request} == {root.id}
    inferences = {each.id for each in spans if each.name == "inference"}
    models = {each.id: each for each in spans if each.name == "model"}
    assert {each.parent for each in models.values()} == inferences
    batches = [each for each in spans if each.name == "batch"]
    linked = {link for each in batches for link in each.links}
    assert {each.parent for each in batches} | linked == set(models)
    assert sum(each.attributes["medasr.windows"] for each in batches) == len(models)
    batched_s = sum(each.attributes["medasr.audio_s"] for each in batches)
    windows_s = sum(each.attributes["medasr.audio_s"] for each in spans if each.name == "inference")
    assert batched_s == pytest.approx(windows_s, abs=0.01)
    assert all(root.start_s - 0.01 <= each.start_s <= each.end_s <= root.end_s + 0.1 for each in spans)
    sent = b"".join(found.bodies)
    assert CANARY.encode() not in sent
    assert not [word for word in answer.json()["text"].split() if len(word) > 7 and word.encode() in sent]


@pytest.mark.e2e
def test_a_receiver_that_is_not_ours_reads_what_is_sent(
    traced: tuple[Service, Collector], start_service: Callable[..., Service]
) -> None:
    """Rotel is a collector: it gets the very requests that came, and writes down what it read in them."""
    agent = Path(pytest.importorskip("rotel").__file__).with_name("rotel-agent")
    service, found = traced
    trace = f"{TRACE[8:]}{TRACE[:8]}"
    httpx.get(f"{service.url}/v1/models", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    found.wait(trace, "GET /v1/models")
    sent = [each for each, body in zip(found.sent, found.bodies, strict=True) if bytes.fromhex(trace) in body]
    address = f"127.0.0.1:{free_port()}"
    receiver = start_service(
        command=[
            agent,
            "start",
            "--debug-log=traces",
            "--debug-log-verbosity=detailed",
            "--exporter=blackhole",
        ],
        ROTEL_OTLP_HTTP_ENDPOINT=address,
        ROTEL_OTLP_GRPC_ENDPOINT=f"127.0.0.1:{free_port()}",
    )
    with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:  # until it listens
        for headers, body in sent:
            client.post(f"http://{address}/v1/traces", headers=headers, content=body).raise_for_status()
    receiver.wait_until_said(trace, "GET /v1/models", "service.name: Str(medasr-service)")
    receiver.stop()


@pytest.mark.e2e
def test_a_live_session_is_a_trace_with_its_turns(traced: tuple[Service, Collector]) -> None:
    service, found = traced
    trace = TRACE[::-1]
    address = f"ws://127.0.0.1:{service.port}/v1/realtime?intent=transcription"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "X-Request-ID": "live-1"}
    with connect(address, additional_headers=headers) as socket:
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 12_000}))
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        while json.loads(socket.recv())["type"] != "conversation.item.input_audio_transcription.completed":
            pass
    spans = found.wait(trace, "WS /v1/realtime", "turn")
    [turn] = [each for each in spans if each.name == "turn"]
    [root] = [each for each in spans if each.name == "WS /v1/realtime"]
    assert turn.parent == root.id
    assert turn.attributes["medasr.audio_s"] == pytest.approx(0.75, abs=0.01)
    line = line_of(service, "live-1")  # of the whole session, once it is over
    assert [line[name] for name in ("method", "route", "status", "code", "format", "trace_id")] == [
        *("WS", "/v1/realtime", 101, "ok", "live", trace)
    ]
    assert (line["audio_s"], line["level"]) == (pytest.approx(0.75, abs=0.05), "INFO")


@pytest.mark.e2e
def test_every_line_is_an_object_and_names_request_and_trace(traced: tuple[Service, Collector]) -> None:
    service, _ = traced
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{service.url}/{CANARY}", headers={"X-Request-ID": "refused"}).raise_for_status()
    refused = line_of(service, "refused")
    assert (refused["status"], refused["code"], refused["level"]) == (404, "unknown_route", "INFO")
    access = line_of(service, "traced-1")
    lines = lines_of(service)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert {line["logger"] for line in lines} >= {"bentoml.medasr", "bentoml.access", "bentoml.serve"}
    assert (access["trace_id"], access["status"], access["route"]) == (TRACE, 200, ROUTE)
    assert access["audio_s"] == pytest.approx(SAMPLE_S, abs=0.01)
    assert {"upload_s", "decode_s", "wait_s", "inference_s", "text_s", "whole_s"} <= set(access)
    assert CANARY not in service.log.read_text()


@pytest.mark.e2e
def test_a_socket_that_is_refused_is_one_line(traced: tuple[Service, Collector]) -> None:
    service, _ = traced
    before = len(lines_of(service))
    with (
        pytest.raises(InvalidStatus),
        connect(f"ws://127.0.0.1:{service.port}/v1/nope", additional_headers={"X-Request-ID": "socket"}),
    ):
        pass
    line = line_of(service, "socket")
    assert (line["level"], line["route"], line["status"]) == ("INFO", "/other", 404)
    assert not [each for each in lines_of(service)[before:] if each["level"] == "ERROR"]
