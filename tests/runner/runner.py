"""A runner for the scripts: its folders, its environment, fakes on its PATH, and GitHub's interface."""

import base64
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

from tests.conftest import PATIENCE_S, free_port

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ROOT / ".github" / "scripts"
FAKE = Path(__file__).parent
KEY = "a-key-0123456789abcdef"


def tunnel_token(behaviour: str = "good") -> str:
    return base64.b64encode(json.dumps({"a": "account", "t": "tunnel", "s": behaviour}).encode()).decode()


class GitHub:
    """repository_dispatch, and the runs of the workflow; a dispatch brings one, if it ``answers``."""

    def __init__(self) -> None:
        self.dispatches: list[dict[str, object]] = []
        self.dispatch_status = 204
        self.answers = True
        self.asked_before_it_serves = 2
        self.looks = 0  # at the list of runs
        self.runs: list[dict[str, int]] = [{"id": 7, "run_number": 7}]
        self.watching: set[int] = {7}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if (
                    self.headers["authorization"] == "Bearer github-token"
                    and self.path == "/repos/o/r/dispatches"
                ):
                    outer.dispatches.append(body)
                if outer.answers and outer.dispatch_status == 204:
                    outer.runs.append({"id": 8, "run_number": 8})
                self.reply(outer.dispatch_status, None)

            def do_GET(self) -> None:
                if "/workflows/medasr.yaml/runs" in self.path:
                    outer.looks += 1
                    return self.reply(200, {"workflow_runs": outer.runs})
                run = int(self.path.split("/")[-2])
                if run == 8:
                    outer.asked_before_it_serves -= 1
                    if outer.asked_before_it_serves <= 0:
                        outer.watching.add(8)
                status = "in_progress" if run in outer.watching else "queued"
                steps = [{"name": "Start", "status": "completed"}, {"name": "Watch", "status": status}]
                self.reply(200, {"jobs": [{"steps": steps}]})

            def reply(self, status: int, body: object) -> None:
                self.send_response(status)
                self.end_headers()
                if status != 204:
                    self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@dataclass
class Runner:
    folder: Path
    github: GitHub
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("docker", "cloudflared"):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE}/fake_{name}.py" "$@"\n')
            program.chmod(0o755)
        (self.folder / "models" / "medasr-fp32").mkdir(parents=True)
        (self.folder / "models" / "medasr-fp32" / "manifest.json").write_text("{}")
        own = {name: value for name, value in os.environ.items() if not name.startswith("MEDASR_")}
        self.environment = {
            **own,
            "PATH": f"{programs}:{own['PATH']}",
            "FAKES": str(self.folder),
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_API_URL": self.github.url,
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_RUN_NUMBER": "7",
            "GITHUB_TOKEN": "github-token",
            "IMAGE": "medasr-service:latest",
            "PORT": str(self.port),
            "MODELS": str(self.folder / "models"),
            "MODEL": "google/medasr",
            "PRIVATE": "true",
            "HF_TOKEN": "hf_0123456789",
            "MEDASR_API_KEYS": KEY,
            "CLOUDFLARE_TUNNEL_TOKEN": tunnel_token(),
            "TUNNEL_HOSTNAME": "medasr.example.org",
            "TUNNEL_METRICS": f"127.0.0.1:{free_port()}",
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "POLL_S": "0.05",
            "WATCH_S": "0.05",
            "TUNNEL_PAUSE_S": "0.05",
            "TUNNEL_TIMEOUT_S": "60",
            "PUBLIC_TIMEOUT_S": "60",
            "READY_TIMEOUT_S": "60",
        }

    def step(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", SCRIPTS / f"{script}.py"],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def shell(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A step that is shell, in a repository that has nothing but the fakes of `fake`."""
        return subprocess.run(
            [SCRIPTS / f"{script}.sh", *arguments],
            env={**self.environment, **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def fake(self, program: str, script: str) -> None:
        """A program on the PATH, or a path in the repository, that is this shell script."""
        file = self.folder / (program if "/" in program else f"bin/{program}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def begin(self, script: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-S", SCRIPTS / f"{script}.py"],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def summary(self) -> str:
        file = self.folder / "summary.md"
        return file.read_text() if file.exists() else ""

    @property
    def events(self) -> list[str]:
        file = self.folder / "events"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def left(self) -> list[str]:
        """What of this runner still runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("FAKES") == str(self.folder) and process.status() != "zombie":
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found + (["container"] if (self.folder / "container.json").exists() else [])
