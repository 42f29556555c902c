"""The service in its container: started, waited for, tried with one recording, looked at, drained."""

import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import job
from job import Problem, ask, note, run, seconds, setting

NAME = "medasr"
ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "medasr_service" / "demo_model" / "sample.wav"
BOUNDARY = "a-boundary"
PASSED_ON = ("MEDASR_MODEL", "MEDASR_REVISION", "MEDASR_PRECISION", "MEDASR_DECODING", "MEDASR_API_KEYS")
MEMORY_LIMIT = "4g"
TMP = "/tmp:size=1g"  # noqa: S108  # it counts as memory


def url() -> str:
    return f"http://127.0.0.1:{setting('PORT', '8400')}"


def key() -> dict[str, str]:
    """The header with the first key."""
    first = os.environ.get("MEDASR_API_KEYS", "").split(",")[0].strip()
    return {"Authorization": f"Bearer {first}"} if first else {}


def start() -> None:
    """Starts the container. Raises Problem where the port is taken, or the image is not there."""
    port, image, models = setting("PORT", "8400"), setting("IMAGE"), Path(setting("MODELS")).resolve()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError:
            raise Problem(f"port {port} is in use on this machine") from None
    if run("docker", "image", "inspect", image).returncode:
        raise Problem(f"there is no image {image}: make image builds it")
    if os.environ.get("MODEL", "demo") != "demo" and not any(models.glob("*/manifest.json")):
        raise Problem(f"there is no model in {models}: medasr export makes its artefact")
    command = ["docker", "run", "--detach", "--name", NAME, "--publish", f"127.0.0.1:{port}:8400"]
    command += ["--memory", MEMORY_LIMIT, "--read-only", "--tmpfs", TMP, "--cap-drop", "all"]
    command += ["--security-opt", "no-new-privileges", "--volume", f"{models}:/models:ro"]
    command += [
        "--env",
        "MEDASR_HOST=0.0.0.0",
        "--env",
        "MEDASR_CACHE_DIR=/models",
        "--env",
        "HF_HUB_OFFLINE=1",
    ]
    for name in PASSED_ON:  # the values stay out of the command line
        if os.environ.get(name):
            command += ["--env", name]
    started = run(*command, image)
    if started.returncode:
        raise Problem(f"the container does not start: {_last(started.stderr)}")


def wait_until_ready() -> None:
    """Polls /readyz. Raises Problem with the service's own line where it ends instead."""
    limit_s = seconds("READY_TIMEOUT_S", 300)
    begun = time.monotonic()
    while time.monotonic() - begun < limit_s:
        if not is_running():
            raise Problem(f"the service ended before it was ready: {said()}")
        if ask(f"{url()}/readyz", timeout_s=5)[0] == 200:
            note(f"ready after {time.monotonic() - begun:.0f} s")
            return
        time.sleep(seconds("POLL_S", 1))
    raise Problem(f"the service was not ready within {limit_s:g} s: {said()}")


def smoke() -> None:
    """One real transcription, and that nobody is served without a key where there are keys."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="sample.wav"\r\n\r\n'
    body = head.encode() + SAMPLE.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    route = f"{url()}/v1/audio/transcriptions"
    begun = time.monotonic()
    status, answer = ask(route, data=body, headers={**headers, **key()}, timeout_s=120)
    if status != 200:
        raise Problem(f"the smoke test was answered with status {status}")
    if not json.loads(answer).get("text", "").strip():
        raise Problem("the smoke test was answered with an empty text")
    note(f"smoke test: {time.monotonic() - begun:.1f} s for the sample")
    if key() and ask(f"{url()}/v1/models")[0] != 401:
        raise Problem("the service answers without a key")


def is_running() -> bool:
    return run("docker", "inspect", "--format", "{{.State.Running}}", NAME).stdout.strip() == "true"


@dataclass(frozen=True)
class Health:
    """Of the container: whether it is ready, and its memory as docker tells it."""

    ready: bool
    memory: str


def health() -> Health:
    memory = run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", NAME).stdout.strip()
    return Health(ask(f"{url()}/readyz", timeout_s=10)[0] == 200, memory or "unknown")


def drain() -> None:
    """SIGTERM: the service finishes what it has begun, then ends. Nothing of it is left.

    Raises Problem where it did not end by itself with 0.
    """
    if run("docker", "inspect", NAME).returncode:
        return
    begun = time.monotonic()
    if was_running := is_running():
        run("docker", "stop", "-t", f"{seconds('DRAIN_TIMEOUT_S', 660):.0f}", NAME)
    status = run("docker", "inspect", "--format", "{{.State.ExitCode}}", NAME).stdout.strip()
    line = said()
    run("docker", "rm", "--force", NAME)
    if status != "0":
        raise Problem(f"the service ended with status {status}: {line}")
    if was_running:
        note(f"drained in {time.monotonic() - begun:.0f} s")


def said() -> str:
    """The service's own line about its end, or the last that it wrote."""
    logs = run("docker", "logs", "--tail", "200", NAME)
    lines = (logs.stdout + logs.stderr).splitlines()
    own = [line for line in lines if line.startswith("medasr: ")]
    return own[-1] if own else _last("\n".join(lines))


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"


def main() -> None:
    try:
        start()
        wait_until_ready()
        smoke()
    except Problem:
        with contextlib.suppress(Problem):
            drain()
        raise


if __name__ == "__main__":
    job.step(main)
