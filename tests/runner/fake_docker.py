"""docker as the runner's scripts use it: one container, which is a process of this machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FAKES = Path(os.environ["FAKES"])
STATE, LOG, CODE = FAKES / "container.json", FAKES / "container.log", FAKES / "container.code"
WAIT = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def main(arguments: list[str]) -> int:
    command, *rest = arguments
    if command == "image":
        return 0 if rest[-1] == "medasr-service:latest" else 1
    if command == "run":
        return run(rest)
    if not STATE.exists():
        print(f"Error: No such container: {rest[-1]}", file=sys.stderr)
        return 1
    pid = json.loads(STATE.read_text())["pid"]
    if command == "inspect":
        formats = {"{{.State.Running}}": str(alive(pid)).lower(), "{{.State.ExitCode}}": exit_code(pid)}
        print(formats.get(rest[1], "[{}]") if rest[0] == "--format" else "[{}]")
    elif command == "stats":
        print("612.3MiB / 4GiB")
    elif command == "logs":
        print(LOG.read_text(), end="")
    elif command == "stop":
        kill(pid, signal.SIGTERM)
        limit_s = float(rest[rest.index("-t") + 1])
        deadline = time.monotonic() + limit_s
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        kill(pid, signal.SIGKILL)
    elif command == "rm":
        kill(pid, signal.SIGKILL)
        STATE.unlink()
    return 0


def run(arguments: list[str]) -> int:
    """Refuses what the scripts must not forget."""
    needed = {
        "--read-only",
        "--detach",
        "no-new-privileges",
        "/tmp:size=1g",
        "MEDASR_HOST=0.0.0.0",
        "MEDASR_CACHE_DIR=/models",
    }
    if missing := needed - set(arguments):
        print(f"docker: {missing} is missing", file=sys.stderr)
        return 125
    if any("0123456789" in argument for argument in arguments):
        print("docker: a secret is in the command line", file=sys.stderr)
        return 125
    address = arguments[arguments.index("--publish") + 1]
    service = Path(__file__).with_name("fake_service.py")
    shell = f'"{sys.executable}" -S "{service}"; echo $? > "{CODE}"'
    CODE.unlink(missing_ok=True)
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", f'trap "" TERM; {shell}'],
            stdout=log,
            stderr=log,
            env={**os.environ, "FAKE_PORT": address.split(":")[1]},
            start_new_session=True,
        )
    STATE.write_text(json.dumps({"pid": process.pid}))
    return 0


def alive(pid: int) -> bool:
    return not CODE.exists() and Path(f"/proc/{pid}").exists()


def exit_code(pid: int) -> str:
    return CODE.read_text().strip() if CODE.exists() else "0" if alive(pid) else "137"


def kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
