"""The steps of the inference runner, each alone: what it does, and the one line with which it fails."""

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from tests.runner.runner import KEY, ROOT, Runner, tunnel_token

WORKFLOW = ROOT / ".github" / "workflows" / "medasr.yaml"

SECRETS = (KEY, "hf_0123456789", tunnel_token(), "github-token")


def error_of(answer: subprocess.CompletedProcess[str], runner: Runner) -> str:
    """The one line of a failed step, in the log and in the summary; nothing is left running."""
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    [line] = [line for line in answer.stdout.splitlines() if line.startswith("::error::")]
    line = line.removeprefix("::error::")
    assert f"**failed:** {line}" in runner.summary
    assert runner.left == []
    assert not [secret for secret in SECRETS if secret in answer.stdout + runner.summary]
    return line


def test_with_everything_there_the_check_passes(runner: Runner) -> None:
    assert runner.step("check").returncode == 0
    assert runner.summary == ""


MISSING = {
    "no hub token": ({"HF_TOKEN": ""}, "HF_TOKEN is not set"),
    "no tunnel token": ({"CLOUDFLARE_TUNNEL_TOKEN": ""}, "CLOUDFLARE_TUNNEL_TOKEN is not set"),
    "half a tunnel token": ({"CLOUDFLARE_TUNNEL_TOKEN": tunnel_token()[:-9]}, "no tunnel token"),
    "another token": ({"CLOUDFLARE_TUNNEL_TOKEN": "bm90IGpzb24="}, "no tunnel token"),
    "no name": ({"TUNNEL_HOSTNAME": ""}, "TUNNEL_HOSTNAME is not set"),
    "no key behind a tunnel": ({"MEDASR_API_KEYS": " , "}, "a public transcription endpoint wants a key"),
    "a weak key": ({"MEDASR_API_KEYS": f"{KEY},weak"}, "fewer than 16 characters"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_named_before_anything_starts(runner: Runner, name: str) -> None:
    variables, says = MISSING[name]
    assert says in error_of(runner.step("check", **variables), runner)


def test_without_a_tunnel_neither_its_token_nor_a_key_is_needed(runner: Runner) -> None:
    none = {"CLOUDFLARE_TUNNEL_TOKEN": "", "TUNNEL_HOSTNAME": "", "MEDASR_API_KEYS": ""}
    assert runner.step("check", TUNNEL="false", **none).returncode == 0
    assert runner.step("tunnel", TUNNEL="false", **none).returncode == 0


def test_the_demo_model_needs_no_hub_token(runner: Runner) -> None:
    assert runner.step("check", MODEL="demo", HF_TOKEN="").returncode == 0


def test_everything_that_is_missing_is_told_at_once(runner: Runner) -> None:
    answer = runner.step("check", HF_TOKEN="", CLOUDFLARE_TUNNEL_TOKEN="", MEDASR_API_KEYS="")
    assert answer.stdout.count("::error::") == 3


@pytest.mark.parametrize(
    ("private", "model", "keep"),
    [
        ("true", "google/medasr", "true"),
        ("false", "google/medasr", "false"),
        ("", "google/medasr", "false"),
        ("false", "demo", "true"),
    ],
)
def test_gated_weights_do_not_go_to_the_cache_of_a_public_repository(
    runner: Runner, private: str, model: str, keep: str
) -> None:
    assert runner.step("check", PRIVATE=private, MODEL=model).returncode == 0
    assert f"keep={keep}\n" in (runner.folder / "output").read_text()
    assert ("public repository" in runner.summary) is (keep == "false")


def test_the_workflow_caches_the_artefact_only_where_the_check_says_so() -> None:
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["serve"]["steps"]
    [check] = [step for step in steps if step.get("id") == "check"]
    assert check["env"]["PRIVATE"] == "${{ github.event.repository.private }}"
    caches = [step for step in steps if step.get("with", {}).get("path") == "build/models"]
    assert [step["uses"].split("@")[0] for step in caches] == ["actions/cache/restore", "actions/cache/save"]
    for step in caches:
        assert step["if"].split(" && ")[0] == "steps.check.outputs.keep == 'true'"


def test_the_steps_of_the_workflow_are_programs_that_are_there() -> None:
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["serve"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands[-1] == "python3 .github/scripts/leave.py"
    assert steps[-1]["if"] == "always()"
    for command in commands:
        [script] = [word for word in command.split() if word.startswith(".github/scripts/")]
        assert (ROOT / script).is_file()
        assert command.startswith("python3 ") or os.access(ROOT / script, os.X_OK)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address at which it answers."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub() -> Iterator[str]:
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["authorization"] == "Bearer hf_0123456789"
            status = {"main": 200 if allowed else 401, "gated": 403}.get(self.path.split("/")[-1], 404)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"sha": COMMIT}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with serving(Hub) as address:
        yield address


def test_the_revision_is_its_commit(runner: Runner, hub: str) -> None:
    assert runner.step("revision", HF_ENDPOINT=hub).returncode == 0
    assert f"commit={COMMIT}\n" in (runner.folder / "output").read_text()


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"HF_TOKEN": "hf_expired"}, "wrong or has expired"),
        ({"REVISION": "gated"}, "accept its terms"),
        ({"REVISION": "nowhere"}, "no google/medasr at revision nowhere"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be asked"),
    ],
)
def test_a_hub_that_refuses_is_told_in_one_line(
    runner: Runner, hub: str, variables: dict[str, str], says: str
) -> None:
    endpoint = {"HF_ENDPOINT": hub}
    assert says in error_of(runner.step("revision", **{**endpoint, **variables}), runner)


def test_the_container_starts_is_ready_and_transcribes(runner: Runner) -> None:
    answer = runner.step("container")
    assert answer.returncode == 0, answer.stdout
    assert "ready after" in runner.summary
    assert "smoke test" in runner.summary
    assert "container" in runner.left
    assert runner.step("leave").returncode == 0
    assert runner.left == []


FAILED_START = {
    "no image": ({"IMAGE": "nothing:latest"}, "there is no image nothing:latest"),
    "no artefact": ({"MODELS": "."}, "there is no model in"),
    "no model": ({"FAKE_SERVICE": "no-model"}, "medasr: google/medasr cannot be had"),
    "never ready": ({"FAKE_SERVICE": "never-ready", "READY_TIMEOUT_S": "1"}, "not ready within 1 s"),
    "an empty text": ({"FAKE_SERVICE": "mute"}, "an empty text"),
    "open to everyone": ({"FAKE_SERVICE": "keyless"}, "answers without a key"),
    "no docker": ({"PATH": "/nowhere"}, "docker is not installed"),
}


@pytest.mark.parametrize("name", FAILED_START)
def test_a_container_that_cannot_serve_ends_the_run(runner: Runner, name: str) -> None:
    variables, says = FAILED_START[name]
    assert says in error_of(runner.step("container", **variables), runner)


def test_a_port_in_use_ends_the_run(runner: Runner) -> None:
    with socket.create_server(("127.0.0.1", runner.port)):
        assert f"port {runner.port} is in use" in error_of(runner.step("container"), runner)


def test_a_tunnel_opens_and_the_public_name_answers(runner: Runner) -> None:
    runner.step("container")
    answer = runner.step("tunnel")
    assert answer.returncode == 0, answer.stdout
    assert "connected to medasr.example.org, attempt 1" in runner.summary
    assert runner.step("leave").returncode == 0
    assert runner.events == ["tunnel opened", "tunnel left", "service told to leave", "service left"]
    assert runner.left == []


def test_a_tunnel_is_opened_again_where_it_fails(runner: Runner) -> None:
    runner.step("container")
    assert runner.step("tunnel", CLOUDFLARE_TUNNEL_TOKEN=tunnel_token("flaky")).returncode == 0
    assert "attempt 3" in runner.summary


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"CLOUDFLARE_TUNNEL_TOKEN": tunnel_token("expired")}, "it has expired, or was revoked"),
        ({"CLOUDFLARE_TUNNEL_TOKEN": tunnel_token("dead")}, "cloudflared ended at once"),
        ({"CLOUDFLARED": "no-such-program"}, "cloudflared is not installed"),
        ({"PUBLIC_URL": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_a_tunnel_that_cannot_be_opened_ends_the_run(
    runner: Runner, variables: dict[str, str], says: str
) -> None:
    quick = {"TUNNEL_ATTEMPTS": "2", "TUNNEL_TIMEOUT_S": "1", "PUBLIC_TIMEOUT_S": "0.3"}
    assert says in error_of(runner.step("tunnel", **quick, **variables), runner)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"error code: 1010", "browser check (403, error code 1010)"),
        (b"", "closed by a rule of Cloudflare (403)"),
    ],
)
def test_a_name_that_cloudflare_closes_is_told_apart_from_one_that_is_not_there(
    runner: Runner, body: bytes, says: str
) -> None:
    class Edge(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Edge) as address:
        answer = runner.step("tunnel", PUBLIC_URL=address, PUBLIC_TIMEOUT_S="0.1")
    assert says in error_of(answer, runner)


def test_a_public_name_that_answers_without_a_key_is_closed_again(runner: Runner) -> None:
    runner.step("container", MEDASR_API_KEYS="")
    answer = runner.step("tunnel")
    assert answer.returncode == 1
    assert "answers without a key" in answer.stdout
    assert runner.events == ["tunnel opened", "tunnel left"]


def test_leaving_twice_does_no_harm(runner: Runner) -> None:
    for _ in range(2):
        assert runner.step("leave").returncode == 0


def test_a_service_that_does_not_end_well_is_told(runner: Runner) -> None:
    runner.step("container", FAKE_SERVICE="stubborn")
    assert "ended with status 3" in error_of(runner.step("leave"), runner)


MEDASR = ".venv/bin/medasr"
GOOD_EXPORT = 'mkdir -p "$MEDASR_CACHE_DIR/made"; echo {} >"$MEDASR_CACHE_DIR/made/manifest.json"'


@pytest.fixture
def exporting(runner: Runner) -> Runner:
    """A runner whose cache has no artefact."""
    shutil.rmtree(runner.folder / "models")
    runner.environment["MEDASR_MODEL"] = "google/medasr"
    runner.fake("make", 'echo "make $*, token: $HF_TOKEN" >>made')
    return runner


def test_an_artefact_is_exported_where_the_cache_has_none(exporting: Runner) -> None:
    exporting.fake(MEDASR, f"echo exported >>made; {GOOD_EXPORT}")
    for _ in range(2):
        answer = exporting.shell("export")
        assert answer.returncode == 0, answer.stderr
    made = (exporting.folder / "made").read_text().splitlines()
    assert made == ["make setup-export, token: ", "exported"]  # once, and what is installed sees no token
    assert (exporting.folder / "models" / "made" / "manifest.json").exists()


def test_the_demo_model_needs_no_export(exporting: Runner) -> None:
    assert exporting.shell("export", MEDASR_MODEL="demo").returncode == 0
    assert not (exporting.folder / "made").exists()


def test_an_export_that_fails_says_why(exporting: Runner) -> None:
    exporting.fake(MEDASR, 'echo "medasr: exporting" >&2; echo "medasr: the disk is full" >&2; exit 2')
    assert error_of(exporting.shell("export"), exporting) == "the model cannot be exported: the disk is full"
    exporting.fake(MEDASR, "kill -9 $$")
    assert "the lines above say why" in exporting.shell("export").stdout


def test_an_installation_that_fails_is_told(exporting: Runner) -> None:
    exporting.fake("make", "exit 2")
    assert "cannot be installed" in error_of(exporting.shell("export"), exporting)


def test_an_image_that_cannot_be_built_is_told(runner: Runner) -> None:
    runner.fake("make", '[ "$1" = image ] && echo "no space left on device" >&2; exit 2')
    assert "the image cannot be built" in error_of(runner.shell("build-image"), runner)
    runner.fake("make", "exit 0")
    assert runner.shell("build-image").returncode == 0


def test_cloudflared_is_built_once(runner: Runner) -> None:
    runner.fake("git", "exit 0")
    version = 'echo "#!/bin/sh\necho cloudflared version 2026.8.2 x" >"$8"; chmod +x "$8"; echo built >>made'
    runner.fake("go", f'while [ "$1" != -o ]; do shift; done; set -- 1 2 3 4 5 6 7 "$2"; {version}')
    for _ in range(2):
        answer = runner.shell("install-cloudflared", "bin-of-its-own")
        assert answer.returncode == 0, answer.stderr
    assert (runner.folder / "made").read_text() == "built\n"


@pytest.mark.parametrize(
    ("git", "go", "says"),
    [
        ('case "$*" in *fetch*) echo fetch >>tried; exit 1;; esac', "exit 0", "source of cloudflared cannot"),
        ("exit 0", "exit 1", "cloudflared cannot be built"),
    ],
)
def test_a_cloudflared_that_cannot_be_had_is_told(runner: Runner, git: str, go: str, says: str) -> None:
    runner.fake("git", git)
    runner.fake("go", go)
    answer = runner.shell("install-cloudflared", "bin-of-its-own", RETRY_PAUSE_S="0")
    assert says in error_of(answer, runner)
    tried = runner.folder / "tried"
    assert not tried.exists() or tried.read_text() == "fetch\n" * 3
