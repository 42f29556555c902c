"""sftp://, for many threads, and to hosts that are known: neither is what fsspec's own class does."""

import posixpath
import secrets
import threading
from contextlib import suppress
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

CONNECT_S = 20.0
AHEAD = 64  # requests of 32 kB that are under way where a file is read
PART = ".part"  # as of places: what is being written

_made: dict[tuple[tuple[str, Any], ...], "Sftp"] = {}
_making = threading.Lock()


def of(url: str) -> tuple["Sftp", str]:
    """The connection to its host, one for all threads, and the path there.

    Raises ValueError for a password in the URL, which would be in every row; whatever paramiko raises.
    """
    options = Sftp._get_kwargs_from_urls(url)
    if "password" in options:
        raise ValueError("no password in it: use a key, an agent, or FSSPEC_SFTP_PASSWORD")
    name = tuple(sorted(options.items()))
    with _making:
        if name not in _made:
            _made[name] = Sftp(timeout=CONNECT_S, **options)
    return _made[name], str(Sftp._strip_protocol(url))


class Sftp(SFTPFileSystem):  # type: ignore[misc]
    """One question at a time: paramiko's client drops an answer that another thread waits for."""

    cachable = False  # fsspec would make one connection for each thread

    def _connect(self) -> None:
        """Only to a host that is in ~/.ssh/known_hosts: recordings go to nobody who only says that he is."""
        self._lock = threading.RLock()
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self.client.connect(self.host, **self.ssh_kwargs)
        self.ftp = self.client.open_sftp()

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        with self._lock:
            return dict(super().info(path))

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        with self._lock:
            return list(super().ls(path, detail))

    def makedirs(self, path: str, exist_ok: bool = False, mode: int = 0o777) -> None:
        with self._lock:
            try:
                super().makedirs(path, exist_ok, mode)
            except OSError:  # another was first
                if not (exist_ok and self.isdir(path)):
                    raise

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        with self._lock, self.ftp.open(path, "rb") as file:
            file.prefetch(max_concurrent_requests=AHEAD)
            return bytes(file.read())[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Whole or not at all; with ``create`` only where there is nothing: else FileExistsError."""
        folder, name = posixpath.split(path)
        part = f"{folder}/.{name[:100]}.{secrets.token_hex(4)}{PART}"
        with self._lock:
            try:
                with self.ftp.open(part, "wb") as file:
                    file.write(value)
                if mode == "create":
                    self._rename(part, path)
                else:
                    self.ftp.posix_rename(part, path)
            except BaseException:
                with suppress(OSError):
                    self.ftp.remove(part)
                raise

    def _rename(self, part: str, path: str) -> None:
        """That of the protocol, which takes no name that is in use."""
        try:
            self.ftp.rename(part, path)
        except OSError:
            if self.exists(path):
                raise FileExistsError(path) from None
            raise

    def _rm(self, path: str) -> None:
        with self._lock:
            super()._rm(path)
