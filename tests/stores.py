"""What others serve, by one server of each kind for all tests: S3 (moto), SFTP (OpenSSH), PostgreSQL."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests import conftest


class Postgres:
    """A server of one's own; as root it runs as the user postgres, which it insists on."""

    def __init__(self, folder: Path) -> None:
        self._program = conftest.require("postgresql")
        self._folder, self.port = folder, conftest.free_port()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-o", "-A trust -U medasr --no-sync")

    def _run(self, action: str, *words: str) -> None:
        user = {"user": "postgres"} if os.geteuid() == 0 else {}
        command = [self._program, action, "-D", str(self._folder / "data"), "-w", *words]
        done = subprocess.run(  # type: ignore[call-overload]
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", **user
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        listening = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("start", "-o", listening, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        self._run("stop", "-m", "immediate")

    def url(self, database: str) -> str:
        return f"postgresql://medasr@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # pytest's is closed to other users
        found = Postgres(Path(folder))
        found.start()
        yield found
        with suppress(AssertionError):
            found.stop()


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
