"""A collector of spans: OTLP over HTTP, as the protocol's own classes read it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """A span: ids in hex, times in seconds."""

    service: str
    name: str
    trace_id: str
    id: str
    parent: str
    start_s: float
    end_s: float
    attributes: dict[str, Any] = field(hash=False)
    links: tuple[str, ...] = ()


class Collector:
    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.bodies: list[bytes] = []
        self.sent: list[tuple[dict[str, str], bytes]] = []  # headers and bodies, as they came
        self.away = False  # it refuses, and not for a moment: nothing is sent again
        self._came = threading.Condition()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        found = [
            Received(
                _plain(resource.resource.attributes)["service.name"],
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.start_time_unix_nano / 1e9,
                span.end_time_unix_nano / 1e9,
                _plain(span.attributes),
                tuple(link.span_id.hex() for link in span.links),
            )
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._came:
            self.bodies.append(body)
            self.spans += found
            self._came.notify_all()

    def wait(self, trace_id: str, *names: str, timeout_s: float = 60.0) -> list[Received]:
        """The spans of a trace, once all of these are there, from both services."""

        def of_trace() -> list[Received]:
            return [span for span in self.spans if span.trace_id == trace_id]

        def complete() -> bool:
            found = [each.name for each in of_trace()]
            return set(names) <= set(found) and found.count("model") == found.count("inference")

        with self._came:
            there = self._came.wait_for(complete, timeout_s)
            assert there, [each.name for each in self.spans]
            return of_trace()


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes}


@contextmanager
def collector() -> Iterator[tuple[Collector, str]]:
    """It, and the address for OTEL_EXPORTER_OTLP_ENDPOINT."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.away:
                self.send_error(400)
                return
            found.sent.append((dict(self.headers), body))
            found.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
