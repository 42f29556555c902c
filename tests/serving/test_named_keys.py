"""A running service and its file of keys: who is let in changes while it runs."""

import base64
import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from medasr_service.accounts import keys_file
from medasr_service.accounts.keys import digest
from tests.conftest import CLIPS, PATIENCE_S, Service

pytestmark = pytest.mark.e2e

ROUTE = "/v1/audio/transcriptions"
KEYS = {name: f"{name}-0123456789abcdef" for name in ("alice", "bob", "carol", "dora")}
CLIP = min(CLIPS, key=lambda clip: clip.path.stat().st_size)


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


def add(file: Path, name: str, **limits: object) -> None:
    keys_file.add(file, keys_file.section(name, digest(KEYS[name]).hex(), **limits))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    for name in ("alice", "bob"):
        add(file, name)
    return file


@pytest.fixture(scope="module")
def keyed(start_service: Callable[..., Service], file: Path) -> Service:
    service = start_service(MEDASR_API_KEYS_FILE=str(file))
    service.wait_until_ready()
    return service


def status(service: Service, name: str) -> int:
    return httpx.get(f"{service.url}/v1/models", headers=bearer(name)).status_code


def until(fact: Callable[[], bool]) -> None:
    """Asks again until it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def live(service: Service, name: str) -> ClientConnection:
    address = f"{service.url.replace('http', 'ws')}/v1/realtime"
    return connect(address, additional_headers=bearer(name))


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


def test_keys_come_and_go_without_a_restart_and_a_live_session_ends_with_its_key(
    keyed: Service, file: Path
) -> None:
    assert [status(keyed, name) for name in ("alice", "bob", "carol")] == [200, 200, 401]
    with live(keyed, "bob") as socket:
        speak(socket)
        keys_file.revoke(file, "bob")
        add(file, "carol")
        until(lambda: status(keyed, "carol") == 200)
        events = events_until_closed(socket)
        assert socket.close_code == 1008
    assert status(keyed, "bob") == 401
    assert status(keyed, "alice") == 200
    kinds = [event["type"] for event in events]
    assert "conversation.item.input_audio_transcription.completed" in kinds  # what was said is written still
    assert events[-1]["error"]["code"] == "api_key_revoked"


def test_sighup_reads_the_file_at_once_and_a_broken_one_changes_nothing(keyed: Service, file: Path) -> None:
    good = file.read_text()
    file.write_text("[alice")
    keyed.process.send_signal(signal.SIGHUP)
    until(lambda: "from before stay" in keyed.log.read_text())
    assert status(keyed, "alice") == 200
    file.write_text(good)
    add(file, "dora")
    keyed.process.send_signal(signal.SIGHUP)
    until(lambda: status(keyed, "dora") == 200)
    log = keyed.log.read_text()
    assert "has ended" not in log  # no process was started anew
    assert not [name for name in KEYS.values() if name in log]
    assert file.name in log


@pytest.mark.parametrize("wrong", ["[alice", None])
def test_a_service_whose_file_is_wrong_does_not_start(
    start_service: Callable[..., Service], tmp_path: Path, wrong: str | None
) -> None:
    if wrong:
        (tmp_path / "keys.toml").write_text(wrong)
    service = start_service(MEDASR_API_KEYS_FILE=str(tmp_path / "keys.toml"))
    assert service.process.wait(PATIENCE_S) != 0
    lines = [line for line in service.log.read_text().splitlines() if line.startswith("medasr: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"medasr: the keys in {tmp_path}/keys.toml cannot be read: ")
