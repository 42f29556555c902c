"""A hub on this machine: what huggingface_hub asks for, from a folder; and how it can refuse."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "ae1e4845b4b07479735d93e1e591e566435b7104"


@dataclass
class FakeHub:
    """``refuses``: status, X-Error-Code and X-Error-Message of every answer. ``cuts_after``: bytes of the
    weights after which the connection is closed. ``xet``: address of a storage that has the weights, as it
    says. ``asked``: requests, as "METHOD path"."""

    repository: str
    folder: Path
    refuses: tuple[int, str, str] | None = None
    cuts_after: int | None = None
    xet: str | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def handle(self, request: "_Request", *, head: bool) -> None:
        path = request.path.split("?")[0]
        self.asked.append(f"{request.command} {path}")
        if self.refuses:
            status, code, message = self.refuses
            headers = {"X-Error-Code": code} if code else {}
            request.answer(status, b"", {**headers, **({"X-Error-Message": message} if message else {})})
        elif path.startswith(f"/api/models/{self.repository}/xet-read-token"):
            assert self.xet
            info = {
                "X-Xet-Cas-Url": self.xet,
                "X-Xet-Access-Token": "t",
                "X-Xet-Token-Expiration": "4102444800",
            }
            request.answer(200, b"{}", info)
        elif path.startswith(f"/api/models/{self.repository}"):
            self._tell(request, path)
        else:
            self.give(request, path.split("/")[-1], head=head)

    def _tell(self, request: "_Request", path: str) -> None:
        files = sorted(file.name for file in self.folder.iterdir())
        if "/tree/" in path:
            body: Any = [
                {
                    "type": "file",
                    "path": name,
                    "size": (self.folder / name).stat().st_size,
                    "oid": f"{i:040x}",
                }
                for i, name in enumerate(files)
            ]
        else:
            body = {"id": self.repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        request.answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def give(self, request: "_Request", name: str, *, head: bool) -> None:
        file = self.folder / name
        if not file.is_file():
            request.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = file.read_bytes()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hash(content) & (1 << 160) - 1:040x}"'}
        if self.xet and name == "model.safetensors":
            headers["X-Xet-Hash"] = "0" * 64
            headers["X-Xet-Refresh-Route"] = (
                f"{self.url}/api/models/{self.repository}/xet-read-token/{COMMIT}"
            )
        cut = self.cuts_after if name == "model.safetensors" else None
        request.answer(200, b"" if head else content, headers, length=len(content), cut=cut)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        self.hub.handle(self, head=False)

    def do_HEAD(self) -> None:
        self.hub.handle(self, head=True)

    def answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        length: int | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None and body:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """The hub at an address of its own, ``hub.url``."""
    handler = type("Request", (_Request,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
