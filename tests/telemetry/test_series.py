"""Each series of the catalogue says what was done: asked before and after it, of a running service."""

import base64
import json
import time
from collections import defaultdict
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from medasr_service.settings import Settings
from medasr_service.version import VERSION
from tests.conftest import CLIPS, PATIENCE_S, SAMPLE, SAMPLE_S, Service
from tests.telemetry.conftest import Seen

pytestmark = pytest.mark.e2e

ROUTE, LIVE = "/v1/audio/transcriptions", "/v1/realtime"
CLIP = CLIPS[0]
CLIP_S = len(CLIP.waveform) / 16_000
STAGES = ("upload", "decode", "wait", "inference", "stitch", "text")


Series = dict[str, float]


def until(ask: Callable[[], Series], fact: Callable[[Series], object]) -> Series:
    """What is asked for, once it is so: a request is counted behind its answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not fact(found := ask()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def series(service: Service) -> Series:
    """Each with its labels, as Prometheus writes them, in order."""
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(httpx.get(f"{service.url}/metrics").text)
        for sample in family.samples
        if sample.name.startswith("medasr_")
    }


def transcribe(service: Service) -> None:
    files, form = {"file": SAMPLE.read_bytes()}, {"response_format": "verbose_json"}
    httpx.post(f"{service.url}{ROUTE}", files=files, data=form, timeout=PATIENCE_S).raise_for_status()


def fail(service: Service) -> None:
    httpx.post(f"{service.url}{ROUTE}", files={"file": b"no audio at all" * 9}, timeout=PATIENCE_S)
    httpx.get(f"{service.url}/v1/models", headers={"X-Large": "x" * 100_000})


def dictate(service: Service) -> None:
    sound = (CLIP.waveform * 32_767).astype("<i2").repeat(3)[::2].tobytes()
    append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()}
    with connect(f"ws://127.0.0.1:{service.port}{LIVE}?intent=transcription") as socket:
        socket.send(json.dumps(append))
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        while not json.loads(socket.recv(PATIENCE_S))["type"].endswith("transcription.completed"):
            pass


def test_each_series_says_what_was_done(seen: Seen) -> None:
    service, before = seen.service, series(seen.service)
    transcribe(service)
    fail(service)
    dictate(service)

    def grown() -> Series:
        now = {name: value - before.get(name, 0) for name, value in series(service).items()}
        return defaultdict(float, now)

    more = until(grown, lambda more: more[f"medasr_requests_total ok live {LIVE}"])
    assert more[f"medasr_requests_total ok verbose_json {ROUTE}"] == 1
    assert more[f"medasr_requests_total unsupported_format json {ROUTE}"] == 1
    assert more["medasr_refusals_total header_too_large"] == 1
    for name in ("request_duration", "request_first_byte"):
        assert more[f"medasr_{name}_seconds_count {ROUTE}"] == 2
        assert 0 < more[f"medasr_{name}_seconds_sum {ROUTE}"] < PATIENCE_S
    for stage in STAGES:
        assert more[f"medasr_request_stage_seconds_count {stage}"] >= 1
    assert more["medasr_request_real_time_factor_ratio_count"] == 1
    assert more[f"medasr_upload_bytes_total {ROUTE}"] > SAMPLE.stat().st_size
    assert more["medasr_key_requests_total -"] == 3
    assert more["medasr_key_audio_seconds_total -"] == pytest.approx(SAMPLE_S + CLIP_S, abs=0.1)
    for name, seconds in ((ROUTE, SAMPLE_S), (LIVE, CLIP_S)):
        assert more[f"medasr_audio_received_seconds_total {name}"] == pytest.approx(seconds, abs=0.1)
        assert more[f"medasr_audio_transcribed_seconds_total {name}"] > 0.9 * seconds
    assert more["medasr_recording_duration_seconds_count"] == 1
    assert more["medasr_decode_failures_total unsupported_format"] == 1

    windows = more["medasr_window_wait_seconds_count"]
    assert windows == more["medasr_window_inference_seconds_count"] == more["medasr_batch_size_windows_sum"]
    assert (
        0 < more["medasr_batch_size_windows_count"] == more["medasr_batch_duration_seconds_count"] <= windows
    )
    assert more["medasr_batch_audio_seconds_total"] > SAMPLE_S
    assert more["medasr_batch_padding_seconds_total"] >= 0
    for event in ("delta", "completed"):
        assert more[f"medasr_live_delay_seconds_count {event}"] >= 1
    assert more["medasr_live_turns_total completed"] == 1


def test_gauges_say_what_is(seen: Seen) -> None:
    service = seen.service
    with connect(f"ws://127.0.0.1:{service.port}{LIVE}?intent=transcription") as socket:
        socket.recv(PATIENCE_S)
        shown = series(service)
        assert shown["medasr_live_sessions_running"] == 1
    shown = until(lambda: series(service), lambda shown: not shown["medasr_live_sessions_running"])
    settings = Settings()
    assert shown["medasr_live_sessions_limit"] == settings.max_live_streams
    assert shown["medasr_transcriptions_limit"] == settings.max_concurrent_requests
    assert (
        shown["medasr_spool_memory_limit_bytes"]
        == (settings.spool_mb << 20) * settings.max_concurrent_requests
    )
    assert shown["medasr_spool_disk_free_bytes"] > 0
    assert (shown["medasr_model_ready"], shown["medasr_draining"]) == (1, 0)
    assert shown[f"medasr_build_info {VERSION}"] == 1
    assert [name for name in shown if name.startswith("medasr_model_info true onnxruntime fp32 medasr-demo")]
    idle = ("windows_waiting", "windows_running", "windows_running_audio_seconds", "transcriptions_running")
    assert [shown[f"medasr_{name}"] for name in idle] == [0, 0, 0, 0]
    assert [shown[f"medasr_spool_bytes {place}"] for place in ("memory", "disk")] == [0, 0]
