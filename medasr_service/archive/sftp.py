"""sftp://, for many threads, and to hosts that are known: neither is what fsspec's own class does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from medasr_service.archive import unfinished

CONNECT_S = 20.0
ANSWER_S = 60.0
KEEPALIVE_S = 15
AHEAD = 64  # requests of 32 kB that are under way where a file is read

_made: dict[tuple[tuple[str, Any], ...], "Sftp"] = {}
_making = threading.Lock()


def of(url: str) -> tuple["Sftp", str]:
    """The connection to its host, one for all threads, and the path there; a new one where that is lost.

    Raises ValueError for a password in the URL, which would be in every row; whatever paramiko raises.
    """
    options = Sftp._get_kwargs_from_urls(url)
    if "password" in options:
        raise ValueError("no password in it: use a key, an agent, or FSSPEC_SFTP_PASSWORD")
    name = tuple(sorted(options.items()))
    with _making:
        found = _made.get(name)
        if found is None or not found.is_up:
            found = _made[name] = Sftp(timeout=CONNECT_S, **options)
    return found, str(Sftp._strip_protocol(url))


class Sftp(SFTPFileSystem):  # type: ignore[misc]
    """One question at a time: paramiko's client drops an answer that another thread waits for. Whole files
    come over a channel of their own, so that claims and signs of life do not wait for a recording of hours.
    """

    cachable = False  # fsspec would make one connection for each thread

    def _connect(self) -> None:
        """Only to a host that is in ~/.ssh/known_hosts: recordings go to nobody who only says that he is."""
        self._asking, self._reading = threading.RLock(), threading.RLock()
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self.client.connect(self.host, **self.ssh_kwargs)
        self.client.get_transport().set_keepalive(KEEPALIVE_S)
        self.ftp = self._channel()
        try:
            self._files = self._channel()
        except paramiko.SSHException:  # a server may allow one
            self._files, self._reading = self.ftp, self._asking

    def _channel(self) -> paramiko.SFTPClient:
        ftp = self.client.open_sftp()
        ftp.get_channel().settimeout(ANSWER_S)
        return ftp

    @property
    def is_up(self) -> bool:
        transport = self.client.get_transport()
        channels = (self.ftp.get_channel(), self._files.get_channel())
        return bool(transport and transport.is_active() and not any(each.closed for each in channels))

    @contextmanager
    def _alone(self, lock: threading.RLock) -> Iterator[None]:
        """Where no answer comes the connection is given up: half of one may lie in it, before the next."""
        with lock:
            try:
                yield
            except TimeoutError:
                self.client.close()
                raise

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        with self._alone(self._asking):
            return dict(super().info(path))

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        with self._alone(self._asking):
            return list(super().ls(path, detail))

    def makedirs(self, path: str, exist_ok: bool = False, mode: int = 0o777) -> None:
        with self._alone(self._asking):
            try:
                super().makedirs(path, exist_ok, mode)
            except OSError:  # another was first
                if not (exist_ok and self.isdir(path)):
                    raise

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        with self._alone(self._reading), self._files.open(path, "rb") as file:
            file.prefetch(max_concurrent_requests=AHEAD)
            return bytes(file.read())[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Whole or not at all; with ``create`` only where there is nothing: else FileExistsError."""
        part = unfinished.beside(path)
        with self._alone(self._asking):
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
        with self._alone(self._asking):
            super()._rm(path)
