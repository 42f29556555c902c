"""The service as the runner's scripts see it: probes, a key, a transcription that may be slow, SIGTERM.

FAKE_SERVICE says how it behaves: good, keyless, mute, browsers-only, never-ready, no-model, stubborn.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KIND = os.environ.get("FAKE_SERVICE", "good")
KEYS = [key.strip() for key in os.environ.get("MEDASR_API_KEYS", "").split(",") if key.strip()]
EVENTS = Path(os.environ["FAKES"]) / "events"
draining = threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("user-agent", "").startswith("Python-urllib") or KIND == "browsers-only":
            self.answer(403, "error code: 1010")  # as Cloudflare's browser check
        elif self.path in ("/readyz", "/health"):
            self.answer(200 if not draining.is_set() and KIND != "never-ready" else 503)
        else:
            self.answer(200 if self.has_key() else 401)

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        body = self.rfile.read(size)
        if not self.has_key():
            return self.answer(401)
        if draining.is_set():
            return self.answer(503)
        if b"slow" in body:
            note("slow request begun")
            draining.wait(timeout=30)
            time.sleep(0.1)
            note("slow request finished")
        self.answer(200, {"text": "" if KIND == "mute" else "No known drug allergies."})

    def has_key(self) -> bool:
        wanted = {f"Bearer {key}" for key in KEYS}
        return not wanted or KIND == "keyless" or self.headers.get("authorization") in wanted

    def answer(self, status: int, body: object = None) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


def note(event: str) -> None:
    with EVENTS.open("a") as file:
        file.write(f"{event}\n")


def main() -> None:
    if KIND == "no-model":
        sys.exit("medasr: google/medasr cannot be had: accept its terms and set HF_TOKEN")
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["FAKE_PORT"])), Handler)
    server.daemon_threads = False  # closing waits for what is under way

    def drain(*_: object) -> None:
        note("service told to leave")
        draining.set()
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, drain)
    server.serve_forever(poll_interval=0.02)
    server.server_close()
    note("service left")
    sys.exit(3 if KIND == "stubborn" else 0)


if __name__ == "__main__":
    main()
