"""cloudflared as the runner's scripts see it. Its token says how it behaves: good, expired, dead, flaky."""

import base64
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FAKES = Path(os.environ["FAKES"])


def note(event: str) -> None:
    with (FAKES / "events").open("a") as file:
        file.write(f"{event}\n")


class Ready(BaseHTTPRequestHandler):
    connections = 4

    def do_GET(self) -> None:
        self.send_response(200 if self.connections else 503)
        self.end_headers()
        self.wfile.write(json.dumps({"readyConnections": self.connections}).encode())

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    assert os.environ["TUNNEL_TOKEN"] not in " ".join(sys.argv)
    behaviour = json.loads(base64.b64decode(os.environ["TUNNEL_TOKEN"]))["s"]
    starts = FAKES / "tunnel-starts"
    count = int(starts.read_text()) + 1 if starts.exists() else 1
    starts.write_text(str(count))
    if behaviour == "dead" or (behaviour == "flaky" and count < 3):
        sys.exit("ERR failed to dial to edge")
    if behaviour == "expired":
        print('ERR Register tunnel error from server side error="Unauthorized: Tunnel not found"', flush=True)
        Ready.connections = 0
    host, port = sys.argv[sys.argv.index("--metrics") + 1].split(":")
    server = HTTPServer((host, int(port)), Ready)

    def leave(*_: object) -> None:
        note("tunnel left")
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    note("tunnel opened")
    server.serve_forever()


if __name__ == "__main__":
    main()
