"""medasr format: stored raw text to a report, without a model."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from medasr_service import cli
from tests.text.test_dictation import GOOGLE_RAW, GOOGLE_REPORT


def from_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def test_standard_input_becomes_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from_stdin(monkeypatch, GOOGLE_RAW.encode())
    assert cli.main(["format", "--from", "raw"]) == cli.EXIT_OK
    assert capsys.readouterr().out == GOOGLE_REPORT + "\n"


def test_json_lists_the_items_and_what_was_left_verbatim(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[PLAN]  rest {period} {next patient} [unintelligible. [Date] e] {end}\n"
    from_stdin(monkeypatch, b"\xef\xbb\xbf" + text.encode())
    assert cli.main(["format", "--json"]) == cli.EXIT_OK
    body = json.loads(capsys.readouterr().out)
    assert body["raw_text"] == text
    assert body["text"] == "PLAN\nRest. {next patient} [unintelligible]. [Date] e]"
    assert [(item["kind"], item["text"], item["raw"]) for item in body["items"]] == [
        ("heading", "PLAN", "[PLAN]"),
        ("text", "rest", "rest"),
        ("command", "period", "{period}"),
        ("text", "{next", "{next"),
        ("text", "patient}", "patient}"),
        ("doubt", "[unintelligible]", "[unintelligible."),
        ("text", ".", "[unintelligible."),
        ("placeholder", "[Date]", "[Date]"),
        ("text", "e]", "e]"),
        ("end", "end", "{end}"),
    ]
    assert body["verbatim"] == ["{next", "patient}", "e]"]
    assert body["warnings"] == []


def test_a_text_that_cannot_be_read_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("a " * 100 + "[unintelligible] " * 3)
    bad.write_bytes(b"\xff\xfe\x00")
    assert cli.main(["format", str(bad), str(tmp_path / "no.txt"), str(good)]) == cli.EXIT_SOME_FAILED
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{good}:\nA a a")
    assert f"{bad}: is not UTF-8 text" in printed.err
    assert "no.txt: No such file or directory" in printed.err
    assert f"{good}: The model could not understand 3 places in 103 words." in printed.err


def test_it_needs_neither_a_model_nor_what_runs_one() -> None:
    code = (
        "import sys; from medasr_service import cli; status = cli.main(['format']);"
        "sys.exit(status or any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"done {period}", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"Done.\n"), done.stderr
