"""No home, a home or a cache that cannot be written, no network: one line each, and status 2."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from medasr_service import cli, settings
from medasr_service.errors import ModelUnavailable
from medasr_service.model import hub
from medasr_service.serving import start
from tests.conftest import CLIPS, ROOT, SAMPLE, free_port

BENTOML = str(Path(sys.executable).with_name("bentoml"))


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, as cron or a container may have one."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "MEDASR_CACHE_DIR", "BENTOML_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A folder that not even root can make."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "folder"


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command that cannot be started says."""

    def run(*arguments: str) -> str:
        assert cli.main(arguments) == cli.EXIT_USAGE
        printed = capsys.readouterr()
        assert printed.out == ""
        [said] = printed.err.splitlines()
        return said

    return run


@pytest.mark.parametrize("command", [("transcribe", str(SAMPLE)), ("serve",), ("export",)])
def test_without_a_home_the_cache_is_asked_for(
    homeless: None, line: Callable[..., str], command: tuple[str, ...]
) -> None:
    assert line(*command).startswith("medasr: setting cache_dir: ")


def test_without_a_home_a_recording_is_transcribed_where_the_cache_is_named(
    homeless: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDASR_CACHE_DIR", str(tmp_path))
    assert cli.main(["transcribe", str(CLIPS[0].path)]) == cli.EXIT_OK
    assert capsys.readouterr().out


def test_without_a_home_the_folder_of_bentoml_is_asked_for(
    homeless: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: Callable[..., str]
) -> None:
    monkeypatch.setenv("MEDASR_CACHE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert "no files in ~/bentoml: set BENTOML_HOME" in line("serve")
    assert list(tmp_path.iterdir()) == []  # nor is a folder of the name ~ made


def test_without_a_home_no_hub_model_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "~/.cache/huggingface/hub")
    with pytest.raises(ModelUnavailable, match="set HF_HOME"):
        hub.download("google/medasr", None)


@pytest.mark.parametrize("name", ["MODEL", "LM", "SPOOL_DIR", "KEYWORDS_FILE"])
def test_the_home_of_nobody_is_one_line(
    monkeypatch: pytest.MonkeyPatch, line: Callable[..., str], name: str
) -> None:
    monkeypatch.setenv(f"MEDASR_{name}", "~no-such-user/x")
    said = line("transcribe", str(SAMPLE))
    assert f"setting {name.lower()}: " in said
    assert "~no-such-user/x" in said


def test_a_configuration_in_the_home_of_nobody_is_one_line(
    monkeypatch: pytest.MonkeyPatch, line: Callable[..., str]
) -> None:
    monkeypatch.setenv("MEDASR_CONFIG", "~no-such-user/x")
    assert "the configuration file cannot be read" in line("transcribe", str(SAMPLE))


def test_a_model_in_the_home_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MEDASR_MODEL", "~/model")
    assert settings.load().model == str(tmp_path / "model")


@pytest.mark.parametrize("variable", ["BENTOML_HOME", "HOME"])
def test_a_folder_of_bentoml_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path, line: Callable[..., str], variable: str
) -> None:
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    monkeypatch.setenv(variable, str(nowhere))
    assert f"no files in {nowhere}" in line("serve")


def test_a_folder_of_bentoml_that_belongs_to_another_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    start.check_home()
    monkeypatch.setattr("os.access", lambda *_: False)  # for root may write anywhere
    with pytest.raises(SystemExit, match="set BENTOML_HOME"):
        start.check_home()


def test_the_demo_model_needs_no_cache_and_no_home(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "MEDASR_CACHE_DIR", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(nowhere))
    assert cli.main(["transcribe", str(CLIPS[0].path)]) == cli.EXIT_OK
    assert capsys.readouterr().out


def test_a_cache_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path, line: Callable[..., str]
) -> None:
    monkeypatch.setenv("MEDASR_CACHE_DIR", str(nowhere))
    assert f"cannot be kept in {nowhere}" in line("export")


def test_a_hub_model_without_a_network_is_one_line(tmp_path: Path) -> None:
    variables = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "HF_ENDPOINT": "http://127.0.0.1:9",  # where nobody listens
        "MEDASR_MODEL": "google/medasr",
    }
    command = [sys.executable, "-m", "medasr_service", "transcribe", str(SAMPLE)]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (cli.EXIT_USAGE, "")
    [said] = done.stderr.splitlines()
    assert "google/medasr is not in the local cache and the hub cannot be reached" in said


@pytest.mark.e2e
def test_the_development_mode_of_bentoml_is_refused_in_one_line(tmp_path: Path) -> None:
    """It runs the model in the process that answers, which would neither be guarded nor started again."""
    done = subprocess.run(
        [BENTOML, "serve", "--development", "service:MedASR"],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "MEDASR_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "--development is not for this service" in done.stderr.splitlines()[-1]
