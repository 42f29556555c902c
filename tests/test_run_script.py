"""scripts/run.sh: what it asks, what it tells, and how it ends; with a fake server and a fake curl."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

CURL = """#!/bin/sh
for url; do :; done
echo "$url" >>"$FOLDER/asked"
case $url in */livez) [ "$LIVE" = yes ];; *) [ -e "$FOLDER/started" ] && touch "$FOLDER/answered";; esac
"""
BENTOML = """#!/bin/sh
[ "$FAILS" = yes ] && exit 3
touch "$FOLDER/started"
while [ ! -e "$FOLDER/answered" ]; do sleep 0.01; done
"""


def run(folder: Path, host: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The script in a repository whose settings are ``host`` and port 8400, with one key."""
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "run.sh", folder / "scripts")
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    fakes = {
        "python": f"#!/bin/sh\necho {host} 8400 1\necho demo $MISSING\n",
        "bentoml": BENTOML,
        "curl": CURL,
    }
    for name, text in fakes.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "FOLDER": str(folder), **variables}
    command = [folder / "scripts" / "run.sh"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("fe80::2", "[fe80::2]"),
        ("medasr.example.org", "medasr.example.org"),
    ],
)
def test_the_address_that_is_told_is_the_one_that_was_asked(tmp_path: Path, host: str, name: str) -> None:
    done = run(tmp_path, host)
    assert done.returncode == 0, done.stderr
    url = f"http://{name}:8400"
    assert f"curl -H 'Authorization: Bearer '\"$KEY\" {url}/v1/audio/transcriptions" in done.stdout
    assert (tmp_path / "asked").read_text().splitlines()[:1] == [f"{url}/livez"]
    assert f"{url}/readyz" in (tmp_path / "asked").read_text()


def test_a_port_that_answers_already_starts_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "127.0.0.1", LIVE="yes")
    assert done.returncode == 1
    assert done.stderr == "medasr: port 8400 is in use; choose another with MEDASR_PORT\n"
    assert not (tmp_path / "started").exists()


def test_a_service_that_ends_before_it_is_ready_ends_the_script(tmp_path: Path) -> None:
    assert run(tmp_path, "127.0.0.1", FAILS="yes").returncode == 3


def test_what_makes_an_artefact_is_installed_only_where_one_is_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    install = tmp_path / "scripts" / "install.sh"
    install.write_text('#!/bin/sh\necho "$@" >>"$FOLDER/installed"\n')
    install.chmod(0o755)
    done = run(tmp_path, "127.0.0.1", MISSING="torch onnxscript")
    assert done.returncode == 0, done.stderr
    assert "demo has no ONNX artefact here: installing what makes one, once (torch onnxscript)" in done.stdout
    assert (tmp_path / "installed").read_text() == ".venv export\n"


def test_the_panel_is_told_with_its_address(tmp_path: Path) -> None:
    assert "in a browser: http://127.0.0.1:8400/\n" in run(tmp_path, "127.0.0.1").stdout
