"""Stores as they are reached: a server for S3 (moto) and one for SFTP (OpenSSH), for all tests together."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import conftest

SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PasswordAuthentication no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""


def listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Waits for it."""
    deadline = time.monotonic() + conftest.PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError


@pytest.fixture(scope="session")
def s3_variables() -> Iterator[dict[str, str]]:
    """With which whoever asks for s3:// asks a server of the tests."""
    if missing := [name for name in ("s3fs", "moto", "flask_cors") if find_spec(name) is None]:
        pytest.skip(f"{', '.join(missing)} is not installed (the extra test)")
    port = conftest.free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            listening(process, port)
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
                "AWS_DEFAULT_REGION": "us-east-1",
                "NO_PROXY": "127.0.0.1",
            }
        finally:
            process.kill()


@pytest.fixture
def s3(s3_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a bucket."""
    import s3fs

    for name, value in s3_variables.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{secrets.token_hex(6)}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(bucket)
    return f"s3://{bucket}"


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A home whose keys it knows, and its address."""
    pytest.importorskip("paramiko", reason="paramiko is not installed (the extra test)")
    program = conftest.require("openssh-server")
    folder, port = tmp_path_factory.mktemp("sshd"), conftest.free_port()
    for name in ("host", "user"):
        command: list[Any] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(command, check=True)
    (folder / "config").write_text(SSHD.format(port=port, folder=folder))
    home = folder / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([program, "-D", "-f", folder / "config"], stderr=subprocess.DEVNULL) as process:
        try:
            listening(process, port)
            yield folder, f"sftp://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def sftp(sftp_server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a folder."""
    import fsspec

    folder, address = sftp_server
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setitem(fsspec.config.conf, "sftp", {"key_filename": str(folder / "user")})
    (tmp_path / "sftp").mkdir()
    return f"{address}{tmp_path}/sftp"
