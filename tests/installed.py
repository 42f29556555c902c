"""Run by tests/test_wheel.py in an environment that has the wheel alone, where no network is: prints JSON.

python installed.py CLIP PORT
"""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

IFF_UP, SIOCSIFFLAGS = 1, 0x8914
MEDASR = Path(sys.executable).with_name("medasr")
BOUNDARY = "a-boundary"


def raise_loopback() -> None:
    """A network namespace begins with it down."""
    with socket.socket() as probe, suppress(PermissionError):
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def medasr(*arguments: str) -> dict[str, object]:
    done = subprocess.run([MEDASR, *arguments], capture_output=True, text=True, timeout=300)
    return {"status": done.returncode, "out": done.stdout, "told": done.stderr}


def ask(url: str, upload: Path | None = None) -> str:
    request = urllib.request.Request(url)
    if upload:
        request.add_header("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        request.data = head.encode() + upload.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def serve(clip: Path, port: str) -> dict[str, object]:
    """What a service answers that `medasr serve` has started, and how it ends."""
    server = subprocess.Popen([MEDASR, "serve", "--port", port, "--threads", "2"])
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(OSError):
                ask(f"{url}/readyz")
                break
            time.sleep(0.2)
        answer = ask(f"{url}/v1/audio/transcriptions", clip)
        return {"health": json.loads(ask(f"{url}/health")), "answer": answer, "panel": ask(f"{url}/")}
    finally:
        server.send_signal(signal.SIGTERM)
        print("serve ended with", server.wait(60), file=sys.stderr)


def main() -> None:
    raise_loopback()
    clip, port = Path(sys.argv[1]), sys.argv[2]
    import medasr_service
    from medasr_service.settings import CONFIG_FILE

    package = Path(medasr_service.__file__).parent
    found: dict[str, object] = {
        "package": str(package),
        "config": str(CONFIG_FILE),
        "torch": [name for name in ("torch", "transformers", "onnxscript") if find_spec(name)],
        "transcribe": medasr("transcribe", str(clip), "--formatting", "raw"),
        "evaluate": medasr("evaluate", str(package / "demo_model" / "clips" / "manifest.jsonl")),
        "export": medasr("export"),
        "serve": serve(clip, port),
    }
    os.environ["MEDASR_PRECISION"] = "int8"
    found["int8"] = medasr("transcribe", str(clip), "--formatting", "raw")
    os.environ["MEDASR_MODEL"] = "google/medasr"
    found["hub"] = medasr("transcribe", str(clip))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
