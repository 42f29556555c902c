"""A running service that is deployed for several clients: keys that come and go, limits, usage, audit."""

import base64
import json
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from medasr_service.accounts import keys_file
from medasr_service.accounts.chain import Chain
from medasr_service.accounts.inspection import inspect
from medasr_service.accounts.keys import digest
from medasr_service.errors import UsageError
from medasr_service.serving import accounting
from medasr_service.settings import Settings
from tests.conftest import CLIPS, PATIENCE_S, Service, until

pytestmark = pytest.mark.e2e

ROUTE = "/v1/audio/transcriptions"
KEYS = {name: f"{name}-0123456789abcdef" for name in ("alice", "bob", "carol", "dora", "emil")}
CLIP = min(CLIPS, key=lambda clip: clip.path.stat().st_size)
CLIP_S = len(CLIP.waveform) / 16_000


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


def add(file: Path, name: str, **limits: object) -> None:
    keys_file.add(file, keys_file.section(name, digest(KEYS[name]).hex(), **limits))


@dataclass(frozen=True)
class Clinic:
    folder: Path
    service: Service

    @property
    def keys(self) -> Path:
        return self.folder / "keys.toml"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.jsonl"

    @property
    def usage(self) -> Path:
        return self.folder / "usage.jsonl"

    def status(self, name: str) -> int:
        return httpx.get(f"{self.service.url}/v1/models", headers=bearer(name)).status_code

    def transcribe(self, name: str, **fields: str) -> httpx.Response:
        files = {"file": ("a.flac", CLIP.path.read_bytes())}
        url = f"{self.service.url}{ROUTE}"
        return httpx.post(url, files=files, data=fields, headers=bearer(name), timeout=PATIENCE_S)

    def live(self, name: str) -> Any:
        address = f"{self.service.url.replace('http', 'ws')}/v1/realtime"
        return connect(address, additional_headers=bearer(name))

    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


@pytest.fixture(scope="module")
def clinic(start_service: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    folder = tmp_path_factory.mktemp("clinic")
    for name in ("alice", "bob"):
        add(folder / "keys.toml", name)
    service = start_service(
        MEDASR_API_KEYS_FILE=str(folder / "keys.toml"),
        MEDASR_AUDIT=str(folder / "audit.jsonl"),
        MEDASR_AUDIT_REQUIRED="true",
        MEDASR_USAGE_FILE=str(folder / "usage.jsonl"),
    )
    service.wait_until_ready()
    return Clinic(folder, service)


def speak(socket: Connection, seconds: float = 3.0) -> None:
    """PCM at the 24 kHz of the API's default."""
    sound = (CLIP.waveform[: int(seconds * 16_000)] * 32_767).astype("<i2").repeat(3)[::2]
    event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound.tobytes()).decode()}
    socket.send(json.dumps(event))


def events_until_closed(socket: Connection) -> list[dict[str, Any]]:
    events = []
    with suppress(ConnectionClosed):
        while True:
            events.append(json.loads(socket.recv(PATIENCE_S)))
    return events


def test_keys_come_and_go_without_a_restart_and_a_live_session_ends_with_its_key(clinic: Clinic) -> None:
    assert [clinic.status(name) for name in ("alice", "bob", "carol")] == [200, 200, 401]
    with clinic.live("bob") as socket:
        speak(socket)
        keys_file.revoke(clinic.keys, "bob")
        add(clinic.keys, "carol")
        until(lambda: clinic.status("carol") == 200)
        events = events_until_closed(socket)
        assert socket.close_code == 1008
    assert clinic.status("bob") == 401
    assert clinic.status("alice") == 200
    kinds = [event["type"] for event in events]
    assert "conversation.item.input_audio_transcription.completed" in kinds  # what was said is written still
    assert events[-1]["error"]["code"] == "api_key_revoked"


def test_sighup_reads_the_file_at_once_and_a_broken_one_changes_nothing(clinic: Clinic) -> None:
    good, service = clinic.keys.read_text(), clinic.service
    clinic.keys.write_text("[alice")
    service.process.send_signal(signal.SIGHUP)
    until(lambda: "from before stay" in service.log.read_text())
    assert clinic.status("alice") == 200
    clinic.keys.write_text(good)
    add(clinic.keys, "dora", requests_per_minute=1)
    service.process.send_signal(signal.SIGHUP)
    until(lambda: clinic.status("dora") == 200)
    log = service.log.read_text()
    assert "has ended" not in log  # no process was started anew
    assert not [name for name in KEYS.values() if name in log]
    assert str(clinic.keys) in log


def test_limits_hold_on_every_way_in(clinic: Clinic) -> None:
    add(clinic.keys, "emil", requests_per_minute=2)
    until(lambda: clinic.status("emil") == 200)
    first = clinic.transcribe("emil")
    assert first.status_code == 200
    assert first.headers["RateLimit"].startswith('"requests";r=1;t=')
    native = {"audio": ("a.flac", CLIP.path.read_bytes())}
    url = f"{clinic.service.url}/transcribe"
    assert httpx.post(url, files=native, headers=bearer("emil"), timeout=PATIENCE_S).status_code == 200
    refused = httpx.post(url, files=native, headers=bearer("emil"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    with clinic.live("emil") as socket:
        assert events_until_closed(socket)[-1]["error"]["code"] == "rate_limit_exceeded"


def test_the_audit_names_who_what_length_and_how_it_ended(clinic: Clinic) -> None:
    seen = len(clinic.audited())
    assert clinic.transcribe("alice").status_code == 200
    assert clinic.transcribe("alice", stream="true").status_code == 200
    assert clinic.transcribe("alice", response_format="nonsense").status_code == 400
    assert httpx.post(f"{clinic.service.url}{ROUTE}", headers=bearer("emil")).status_code == 429
    with clinic.live("alice") as socket:
        speak(socket)
        socket.recv()
    until(lambda: sum(line["event"] == "ended" for line in clinic.audited()[seen:]) == 4)
    lines = clinic.audited()[seen:]
    ended = {line["method"] + line["outcome"]: line for line in lines if line["event"] == "ended"}
    assert set(ended) == {"POSTok", "POSTinvalid_value", "WSok"}
    assert ended["POSTok"]["audio_s"] == pytest.approx(CLIP_S, abs=0.01)
    assert ended["WSok"]["audio_s"] == pytest.approx(3, abs=0.3)
    assert {line["key"] for line in lines} == {"alice", "emil"}
    assert {line["address"] for line in lines} == {"127.0.0.1"}
    [refusal] = [line for line in lines if line["event"] == "refused"]
    assert (refusal["outcome"], refusal["status"], refusal["key"]) == ("rate_limit_exceeded", 429, "emil")
    begun = {line["id"] for line in lines if line["event"] == "begun"}
    assert begun == {line["id"] for line in lines if line["event"] == "ended"}


def test_what_a_key_has_used_is_in_the_metrics(clinic: Clinic) -> None:
    text = httpx.get(f"{clinic.service.url}/metrics", headers=bearer("alice")).text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    assert found['medasr_key_requests_total{key="emil"}'] == 2
    assert found['medasr_key_audio_seconds_total{key="emil"}'] == pytest.approx(2 * CLIP_S, abs=0.1)


def test_work_is_refused_while_the_audit_cannot_be_written(clinic: Clinic) -> None:
    """A folder lies in its place for a moment, as where a volume was not mounted."""
    away = clinic.audit.rename(clinic.folder / "away.jsonl")
    clinic.audit.mkdir()
    refused = clinic.transcribe("alice")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "audit_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    clinic.audit.rmdir()
    away.rename(clinic.audit)
    until(lambda: clinic.transcribe("alice").status_code == 200)
    assert inspect([clinic.audit]).fault is None


def test_a_service_that_was_killed_goes_on_with_its_chain_and_bills_once(
    clinic: Clinic, start_service: Callable[..., Service]
) -> None:
    """The last test: it ends the service."""
    for process in (own := psutil.Process(clinic.service.process.pid)).children(recursive=True):
        process.kill()
    own.kill()
    clinic.service.process.wait()
    with clinic.audit.open("ab") as torn:
        torn.write(b'{"n": 99')
    Chain(clinic.audit).append([{"event": "opened"}])
    found = inspect([clinic.audit])
    assert found.fault is None
    assert "cut off" in found.notices[0].said
    service = start_service(
        MEDASR_API_KEYS_FILE=str(clinic.keys),
        MEDASR_AUDIT=str(clinic.audit),
        MEDASR_USAGE_FILE=str(clinic.usage),
    )
    service.wait_until_ready()
    again = Clinic(clinic.folder, service)
    assert again.transcribe("alice").status_code == 200
    service.stop()
    assert service.process.returncode == 0
    assert inspect([clinic.audit]).fault is None
    assert [notice for notice in inspect([clinic.audit]).notices if not notice.number] == []  # it was closed
    [line] = [json.loads(line) for line in clinic.usage.read_text().splitlines()]
    assert (line["key"], line["requests"]) == ("alice", 1)
    assert line["audio_s"] == pytest.approx(CLIP_S, abs=0.01)


WRONG = {
    "api_keys_file": ("broken.toml", "the keys in "),
    "audit": ("nowhere/audit.jsonl", "the audit cannot be written "),
    "usage_file": ("nowhere/usage.jsonl", "the usage cannot be "),
}


@pytest.mark.parametrize("setting", WRONG)
def test_what_is_set_wrong_is_one_line(setting: str, tmp_path: Path) -> None:
    file, said = WRONG[setting]
    (tmp_path / "broken.toml").write_text("[alice")
    settings = Settings(audit_required=True).model_copy(update={setting: tmp_path / file})
    with pytest.raises(UsageError) as raised:
        accounting.check(settings)
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_with_such_a_line_there_is_no_service(start_service: Callable[..., Service], tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[alice")
    service = start_service(MEDASR_API_KEYS_FILE=str(tmp_path / "broken.toml"))
    assert service.process.wait(PATIENCE_S) != 0
    log = service.log.read_text()
    [line] = [line for line in log.splitlines() if line.startswith("medasr: ")]
    assert line.startswith("medasr: the keys in ")
    assert "Traceback" not in log
