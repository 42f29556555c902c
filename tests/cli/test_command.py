"""The command as a process: its version, its completion, what it prints when, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medasr_service.cli.status import EXIT_OK, EXIT_PIPE, EXIT_SOME_FAILED, EXIT_STOPPED, EXIT_USAGE
from medasr_service.version import VERSION
from tests.conftest import CLIPS

MEDASR = [sys.executable, "-m", "medasr_service"]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([*MEDASR, *arguments], env=environment, capture_output=True, text=True, timeout=120)


def test_it_tells_its_version() -> None:
    assert run("--version").stdout == f"medasr {VERSION}\n"


def test_the_script_is_the_same_command() -> None:
    script = Path(sys.executable).with_name("medasr")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"medasr {VERSION}\n"


@pytest.mark.parametrize(("line", "word"), [("medasr se", "serve"), ("medasr serve --prec", "--precision")])
def test_a_shell_completes_it(tmp_path: Path, line: str, word: str) -> None:
    """What the function of argcomplete in the shell asks, and where it takes the answer from."""
    answer = tmp_path / "answer"
    asked = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    run(**asked, _ARGCOMPLETE="1")
    assert answer.read_text().split() == [word]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_prints_what_a_shell_runs(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == EXIT_OK
    assert "medasr" in done.stdout


def test_bash_takes_the_completion() -> None:
    script = f'eval "$({" ".join(MEDASR)} completion bash)" && complete -p medasr'
    assert "argcomplete" in subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--port", "many"], "medasr: setting port: "),
        (["--precision", "fp16"], "overflow in fp16"),
        (["--host", "my machine"], "no address to listen on"),
        (["--threads", "0"], "medasr: setting threads: "),
    ],
)
def test_a_wrong_flag_of_serve_is_one_line(flags: list[str], says: str) -> None:
    done = run("serve", *flags)
    assert done.returncode == EXIT_USAGE
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_serve_takes_its_flags_for_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from medasr_service import cli
    from medasr_service.serving import start

    asked: list[dict[str, str]] = []
    monkeypatch.setattr(start, "serve", asked.append)
    assert cli.main(["serve", "--model", "demo", "--precision", "int8", "--port", "8401"]) == EXIT_OK
    assert asked == [{"MEDASR_MODEL": "demo", "MEDASR_PRECISION": "int8", "MEDASR_PORT": "8401"}]


class Transcribing:
    """The command at work: it has printed its first recording, and waits for the second, which is a pipe."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.second = folder / "second.wav"
        os.mkfifo(self.second)
        self.process = subprocess.Popen(
            [*MEDASR, "transcribe", str(CLIPS[0].path), str(self.second), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,  # a line is read, and nothing behind it
        )

    def read_line(self) -> bytes:
        assert self.process.stdout
        return self.process.stdout.readline()

    def end(self) -> tuple[int, str, str]:
        """The status, the rest of the output, and what was told."""
        out, told = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode(), told.decode()


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Transcribing]:
    transcribing = Transcribing(tmp_path, "--jsonl")
    yield transcribing
    transcribing.process.kill()
    transcribing.process.communicate()


def test_a_line_is_there_as_soon_as_its_recording_is_done(lines: Transcribing) -> None:
    assert json.loads(lines.read_line())["file"] == str(CLIPS[0].path)  # the second was not even opened
    lines.second.write_bytes(b"no sound")
    status, out, _ = lines.end()
    assert status == EXIT_SOME_FAILED
    assert list(json.loads(out)) == ["file", "error"]


def test_a_reader_who_leaves_ends_it_in_silence(lines: Transcribing) -> None:
    lines.read_line()
    assert lines.process.stdout
    lines.process.stdout.close()
    lines.second.write_bytes(b"no sound")
    assert lines.process.stderr
    told = lines.process.stderr.read().decode()
    assert lines.process.wait(60) == EXIT_PIPE
    assert "Error" not in told
    assert "Traceback" not in told


def test_ctrl_c_is_one_line_and_what_is_printed_stays_json(tmp_path: Path) -> None:
    transcribing = Transcribing(tmp_path, "--format", "json")
    begun = transcribing.read_line() + transcribing.read_line()
    os.killpg(transcribing.process.pid, signal.SIGINT)  # as a terminal does: to the decoders, too
    status, out, told = transcribing.end()
    assert status == EXIT_STOPPED
    assert told.splitlines()[1:] == ["medasr: stopped"]  # behind the notice of the demo model
    assert [each["file"] for each in json.loads(begun + out.encode())] == [str(CLIPS[0].path)]


def test_ctrl_c_while_modules_load_is_one_line(tmp_path: Path) -> None:
    """A module of numpy's name, in the middle of which Ctrl-C comes."""
    stuck = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('went on')\n"
    (tmp_path / "numpy.py").write_text(stuck)
    done = run("--version", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_STOPPED, "", "medasr: stopped\n")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*MEDASR, "completion", "bash"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == EXIT_USAGE
    assert done.stderr == "medasr: The output cannot be written: No space left on device\n"
