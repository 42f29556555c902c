"""cloudflared: the named tunnel from the public name to the service. Its token is never in a command line."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import job
from job import USER_AGENT, Problem, ask, note, seconds, setting, state

GRACE_S = 180  # cloudflared's own limit, for requests under way when it is told to leave
SETTLE_S = 5  # until the edge sends nothing new
READY = "/ready"


def is_on() -> bool:
    return setting("TUNNEL", "true") != "false"


def start() -> None:
    """Starts cloudflared, again where it fails. Raises Problem with the likely reason at the end."""
    attempts = int(setting("TUNNEL_ATTEMPTS", "5"))
    reason = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(min(seconds("TUNNEL_PAUSE_S", 5) * 2 ** (attempt - 1), 60))
        _launch()
        if _wait_until_connected():
            note(f"tunnel: connected to {setting('TUNNEL_HOSTNAME')}, attempt {attempt + 1}")
            return
        reason = _reason()
        stop(graceful=False)
        print(f"tunnel: attempt {attempt + 1} of {attempts} failed: {reason}", flush=True)
    raise Problem(f"the tunnel cannot be opened: {reason}")


def _launch() -> None:
    command = [setting("CLOUDFLARED", "cloudflared"), "tunnel", "--no-autoupdate"]
    command += ["--metrics", _metrics(), "--grace-period", f"{GRACE_S}s", "run"]
    environment = {**os.environ, "TUNNEL_TOKEN": setting("CLOUDFLARE_TUNNEL_TOKEN").strip()}
    try:
        with _log().open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # it outlives the step
            )
    except FileNotFoundError:
        raise Problem("cloudflared is not installed") from None
    _pid_file().write_text(str(process.pid))


def _wait_until_connected() -> bool:
    deadline = time.monotonic() + seconds("TUNNEL_TIMEOUT_S", 30)
    while time.monotonic() < deadline and is_running():
        if is_connected():
            return True
        time.sleep(seconds("POLL_S", 1))
    return False


def is_running() -> bool:
    """Whether the process is there; one that has ended is reaped, where it is a child of ours."""
    if (pid := _pid()) is None:
        return False
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/cmdline").exists()


def is_connected() -> bool:
    """Whether cloudflared has a connection to the edge."""
    status, body = ask(f"http://{_metrics()}{READY}", timeout_s=5)
    return status == 200 and json.loads(body).get("readyConnections", 0) > 0


def leave() -> None:
    """Tells cloudflared to take nothing new, and gives that time to reach the edge.

    It still finishes what goes through it: also live sessions, which the service is to end meanwhile.
    """
    if (pid := _pid()) is not None and is_running():
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds("TUNNEL_SETTLE_S", SETTLE_S)
        while is_running() and time.monotonic() < deadline:
            time.sleep(0.1)


def stop(*, graceful: bool = True) -> None:
    """Takes nothing new, finishes what goes through it, and leaves; after the grace it is killed."""
    if (pid := _pid()) is not None and is_running():
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + (seconds("TUNNEL_GRACE_S", GRACE_S + 10) if graceful else 10)
        while is_running() and time.monotonic() < deadline:
            time.sleep(0.1)
        if is_running():
            os.kill(pid, signal.SIGKILL)
            while is_running():
                time.sleep(0.1)
    _pid_file().unlink(missing_ok=True)


def check_public() -> None:
    """That the service answers under its public name, and nobody without a key."""
    address = setting("PUBLIC_URL", f"https://{setting('TUNNEL_HOSTNAME')}")
    deadline = time.monotonic() + seconds("PUBLIC_TIMEOUT_S", 120)
    while (answer := ask(f"{address}/health"))[0] != 200:
        if time.monotonic() > deadline:
            raise Problem(_why_not_public(address, *answer))
        time.sleep(seconds("POLL_S", 1))
    if (status := ask(f"{address}/v1/models")[0]) != 401:
        raise Problem(f"{address} answers without a key (status {status}, expected 401): it is closed again")


def _why_not_public(address: str, status: int, body: bytes) -> str:
    if status == 403 and b"1010" in body:
        return (
            f"{address} is closed by Cloudflare's browser check (403, error code 1010): allow the User-Agent"
            f" {USER_AGENT!r} for this name, or turn the check off for it"
        )
    if status == 403:
        return f"{address} is closed by a rule of Cloudflare (403): let this name pass its firewall"
    return f"{address} does not answer (status {status}): does the tunnel lead to port 8400?"


def _reason() -> str:
    """What cloudflared wrote, in words of ours: its log may name the account."""
    log = _log().read_text(errors="replace")
    if "Unauthorized" in log or "token is not valid" in log or "Invalid tunnel secret" in log:
        return "CLOUDFLARE_TUNNEL_TOKEN is not taken: it has expired, or was revoked"
    if "address already in use" in log:
        return f"{_metrics()}, the address of its metrics, is in use"
    if not is_running():
        return "cloudflared ended at once"
    return "cloudflared has no connection to the edge"


def _metrics() -> str:
    return setting("TUNNEL_METRICS", "127.0.0.1:20241")


def _log() -> Path:
    return state() / "cloudflared.log"


def _pid_file() -> Path:
    return state() / "cloudflared.pid"


def _pid() -> int | None:
    try:
        return int(_pid_file().read_text())
    except (FileNotFoundError, ValueError):
        return None


def main() -> None:
    if not is_on():
        note("tunnel: off, the service is reached from this machine alone")
        return
    try:
        start()
        check_public()
    except Problem:
        stop(graceful=False)
        raise


if __name__ == "__main__":
    job.step(main)
