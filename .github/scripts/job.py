"""What every step shares: one clear line where it fails, the step summary, commands and requests."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path


class Problem(Exception):
    """The one line that says why a step fails, and what to do; it never holds a secret."""


def step(main: Callable[[], None]) -> None:
    """Runs the step; a Problem ends it with 1, its line in the log and in the summary."""
    try:
        main()
    except Problem as problem:
        for line in str(problem).splitlines():
            print(f"::error::{line}", flush=True)
            note(f"**failed:** {line}")
        sys.exit(1)


def note(line: str) -> None:
    """A line of Markdown in the step summary, and in the log."""
    print(line, flush=True)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(f"{line}\n\n")


def output(name: str, value: str) -> None:
    """An output of the step."""
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a") as outputs:
            outputs.write(f"{name}={value}\n")


def setting(name: str, default: str | None = None) -> str:
    """A variable; raises Problem where it is empty and has no default."""
    value = os.environ.get(name) or default
    if value is None:
        raise Problem(f"{name} is not set")
    return value


def seconds(name: str, default: float) -> float:
    return float(os.environ.get(name) or default)


def state() -> Path:
    """The folder of this run's own files."""
    folder = Path(setting("RUNNER_TEMP", "/tmp")) / "medasr"  # noqa: S108
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def begin() -> None:
    """Notes that the job begins now: its time limit counts from here."""
    _begun().write_text(str(time.monotonic()))


def elapsed_s() -> float:
    """Since the job began; 0 where that was not noted."""
    return time.monotonic() - float(_begun().read_text()) if _begun().exists() else 0.0


def _begun() -> Path:
    return state() / "begun"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """A command and what it wrote; a program that is not there is a Problem."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise Problem(f"{command[0]} is not installed") from None


# Cloudflare's browser check answers the names of HTTP libraries with 403, "error code: 1010".
USER_AGENT = "medasr-runner/1.0"


def _opener(host: str) -> urllib.request.OpenerDirector:
    """A proxy in the environment is for the others."""
    local = host.startswith("127.0.0.1")
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))


def ask(
    url: str,
    *,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    timeout_s: float = 10,
) -> tuple[int, bytes]:
    """Status and body of an answer; 0 and the reason where there is none. This machine is asked directly."""
    named = {"User-Agent": USER_AGENT, **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=named, method=method)  # noqa: S310
    try:
        with _opener(request.host).open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, urllib.error.URLError) as error:
        return 0, str(getattr(error, "reason", error)).encode()
