import io
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from medasr_service import cli
from medasr_service.cli import verify
from tests.conftest import CLIPS, SAMPLE, SAMPLE_S, SAMPLE_TEXT, needs_flashlight

BAD_FILE = "The file is not audio"


def test_transcribe_prints_the_text_and_says_that_the_model_is_a_demo(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["transcribe", str(SAMPLE), "--formatting", "raw"]) == cli.EXIT_OK
    printed = capsys.readouterr()
    assert printed.out == SAMPLE_TEXT + "\n"
    assert "not for clinical use" in printed.err


def test_standard_input_is_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(SAMPLE.read_bytes())))
    assert cli.main(["transcribe", "-", "--formatting", "raw"]) == cli.EXIT_OK
    assert capsys.readouterr().out == SAMPLE_TEXT + "\n"


def test_a_bad_file_is_reported_and_the_others_are_transcribed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("this is text")
    files = [str(bad), str(tmp_path / "absent.wav"), str(CLIPS[0].path)]
    assert cli.main(["transcribe", "--jsonl", *files]) == cli.EXIT_SOME_FAILED
    printed = capsys.readouterr()
    first, second, third = map(json.loads, printed.out.splitlines())
    assert [line["file"] for line in (first, second, third)] == files
    assert BAD_FILE in first["error"]
    assert second["error"] == "No such file or directory"
    assert third["text"]
    assert f"{bad}: {BAD_FILE}" in printed.err


def test_patterns_are_expanded_and_files_written_to_the_folder(tmp_path: Path) -> None:
    for clip in CLIPS[:2]:
        shutil.copy(clip.path, tmp_path)
    out = tmp_path / "texts"
    pattern = str(tmp_path / f"*{CLIPS[0].path.suffix}")
    assert cli.main(["transcribe", pattern, "--format", "srt", "--output-dir", str(out)]) == cli.EXIT_OK
    assert sorted(file.name for file in out.iterdir()) == sorted(
        f"{clip.path.name}.srt" for clip in CLIPS[:2]
    )
    assert all("-->" in file.read_text() for file in out.iterdir())


def test_annotated_marks_in_brackets_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDASR_LOW_CONFIDENCE", "1")
    assert cli.main(["transcribe", str(CLIPS[0].path), "--format", "annotated"]) == cli.EXIT_OK
    assert "[?" in capsys.readouterr().out


@pytest.mark.parametrize(("no_color", "marks"), [("", "\033[4;33m"), ("1", "[?")])
def test_annotated_has_colours_in_a_terminal_unless_they_are_not_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_color: str, marks: str
) -> None:
    monkeypatch.setenv("MEDASR_LOW_CONFIDENCE", "1")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert cli.main(["transcribe", str(CLIPS[0].path), "--format", "annotated"]) == cli.EXIT_OK
    assert marks in capsys.readouterr().out


def test_annotated_in_a_folder_is_a_page_that_says_it_is_a_demo(tmp_path: Path) -> None:
    arguments = ["transcribe", str(CLIPS[0].path), "--format", "annotated", "--output-dir", str(tmp_path)]
    assert cli.main(arguments) == cli.EXIT_OK
    page = (tmp_path / f"{CLIPS[0].path.name}.html").read_text()
    assert "probability 0." in page
    assert "not for clinical use" in page


def test_two_files_of_one_name_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ward in ("a", "b"):
        (tmp_path / ward).mkdir()
        shutil.copy(CLIPS[0].path, tmp_path / ward / "one.flac")
    out = tmp_path / "texts"
    files = [str(tmp_path / ward / "one.flac") for ward in ("a", "b")]
    assert cli.main(["transcribe", *files, "--output-dir", str(out)]) == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert "would both be written to" in line
    assert not out.exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    arguments = ["transcribe", str(SAMPLE), "--output-dir", str(tmp_path / "file" / "out")]
    assert cli.main(arguments) == cli.EXIT_USAGE
    assert "cannot be written" in capsys.readouterr().err


def test_an_unavailable_model_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDASR_MODEL", "/no/such/folder")
    assert cli.main(["transcribe", str(SAMPLE)]) == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("medasr: /no/such/folder")


def test_a_wrong_setting_is_one_line_and_exits_as_wrong_usage_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDASR_BEAM_SIZE", "none")
    assert cli.main(["transcribe", str(SAMPLE)]) == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("medasr: setting beam_size: ")


def test_export_prints_where_the_artefact_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export"]) == cli.EXIT_OK
    assert Path(capsys.readouterr().out.strip()).name == "model.onnx"


@needs_flashlight
def test_an_exported_artefact_kept_alone_decodes_with_its_language_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["export"]) == cli.EXIT_OK
    artefact = Path(capsys.readouterr().out.strip()).parent
    shutil.copytree(artefact, tmp_path / "kept")
    monkeypatch.setenv("MEDASR_MODEL", str(tmp_path / "kept"))
    arguments = ["transcribe", str(SAMPLE), "--formatting", "raw", "--decoding", "lm"]
    assert cli.main(arguments) == cli.EXIT_OK
    assert capsys.readouterr().out == SAMPLE_TEXT + "\n"


@pytest.mark.parametrize("arguments", [[], ["transcribe"], ["transcribe", "a.wav", "--format", "docx"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == cli.EXIT_USAGE


def test_a_folder_is_its_recordings_as_one_json_array(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for clip in CLIPS[:2]:
        shutil.copy(clip.path, tmp_path)
    (tmp_path / "notes.txt").write_text("no recording")
    assert cli.main(["transcribe", str(tmp_path), "--format", "json"]) == cli.EXIT_OK
    found = json.loads(capsys.readouterr().out)
    assert [Path(each["file"]).name for each in found] == [clip.path.name for clip in CLIPS[:2]]
    assert all(each["text"] for each in found)


def test_one_recording_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["transcribe", str(CLIPS[0].path), "--format", "json"]) == cli.EXIT_OK
    assert list(json.loads(capsys.readouterr().out)) == ["text", "usage"]


def test_of_a_folder_also_one_recording_is_an_array(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copy(CLIPS[0].path, tmp_path)
    assert cli.main(["transcribe", str(tmp_path), "--format", "verbose_json"]) == cli.EXIT_OK
    [found] = json.loads(capsys.readouterr().out)
    assert found["words"]


def test_in_an_array_a_bad_file_has_its_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = [str(tmp_path / "absent.wav"), str(CLIPS[0].path)]
    assert cli.main(["transcribe", "--format", "json", *files]) == cli.EXIT_SOME_FAILED
    first, second = json.loads(capsys.readouterr().out)
    assert first == {"file": files[0], "error": "No such file or directory"}
    assert second["text"]


def test_lines_of_json_are_no_subtitles(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["transcribe", "--jsonl", "--format", "srt", str(SAMPLE)]) == cli.EXIT_USAGE
    assert capsys.readouterr().err == "medasr: --jsonl prints lines of JSON, not srt\n"


def test_a_folder_without_a_recording_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["transcribe", str(tmp_path)]) == cli.EXIT_USAGE
    assert capsys.readouterr().err == f"medasr: there is no recording in {tmp_path}\n"


def test_a_name_that_is_not_utf8_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"n\xff.flac")
    assert cli.main(["transcribe", "--jsonl", str(name)]) == cli.EXIT_SOME_FAILED
    assert json.loads(capsys.readouterr().out)["file"].endswith("n\ufffd.flac")


def test_verify_without_the_bundled_clips_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verify, "BUNDLED", tmp_path / "manifest.jsonl")
    assert cli.main(["verify"]) == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert "name recordings of your own" in line


def test_a_damaged_recording_is_heard_as_far_as_it_can_be_on_demand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(SAMPLE.read_bytes()[:-64_000])  # 2 s
    assert cli.main(["transcribe", str(cut)]) != cli.EXIT_OK
    refused = capsys.readouterr()
    assert f"damaged at {SAMPLE_S - 2:.1f} s" in refused.err
    assert not refused.out
    assert cli.main(["transcribe", str(cut), "--damaged", "skip"]) == cli.EXIT_OK
    assert "[2.0 s could not be read]" in capsys.readouterr().out
    assert cli.main(["transcribe", str(cut), "--damaged", "skip", "--format", "verbose_json"]) == cli.EXIT_OK
    body = json.loads(capsys.readouterr().out)
    assert [each["code"] for each in body["warnings"]] == ["damaged_audio"]
