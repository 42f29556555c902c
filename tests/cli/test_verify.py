"""medasr verify, from the command line: the demo model against itself, and against one that mishears."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from medasr_service import cli, engines
from medasr_service.cli import recordings
from medasr_service.cli.recordings import Recording
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines import Engine
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.model.checkpoint import DEMO_FOLDER, Checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from tests.conftest import CLIPS, SAMPLE

CLIP_FOLDER = DEMO_FOLDER / "clips"


class Mishearing:
    """Wherever the engine hears one piece, this hears another."""

    name = "mishearing"

    def __init__(self, engine: Engine, vocabulary: Vocabulary, pieces: dict[str, str]) -> None:
        self._engine = engine
        index = vocabulary.pieces.index
        self._pairs = [(index(heard), index(misheard)) for heard, misheard in pieces.items()]

    def infer(self, waveforms: Sequence[Waveform]) -> list[Emission]:
        emissions = self._engine.infer(waveforms)
        for emission in emissions:
            best = emission.argmax(axis=1)
            for heard, misheard in self._pairs:
                rows = best == heard
                emission[rows, heard], emission[rows, misheard] = (
                    emission[rows, misheard],
                    emission[rows, heard],
                )
        return emissions


@pytest.fixture
def candidate(
    monkeypatch: pytest.MonkeyPatch, engine: TorchCTC, vocabulary: Vocabulary
) -> Callable[[dict[str, str]], None]:
    """Sets what the engine that is verified mishears; the reference is the torch engine of the session."""

    def mishear(pieces: dict[str, str]) -> None:
        def load(_: Checkpoint, settings: Settings) -> Engine:
            return engine if settings.engine == "torch" else Mishearing(engine, vocabulary, pieces)

        monkeypatch.setattr(engines, "load", load)

    return mishear


def test_every_bundled_clip_has_the_text_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "--engine", "onnx"]) == cli.EXIT_OK
    printed = capsys.readouterr()
    assert f"onnx fp32 against torch fp32, {len(CLIPS)} recordings" in printed.out
    assert "passed: every word is the same" in printed.out
    assert printed.err.count("not for clinical use") == 1


def test_windows_of_a_long_recording_are_compared(
    candidate: Callable[[dict[str, str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    candidate({})
    assert cli.main(["verify", "--json", str(SAMPLE)]) == cli.EXIT_OK
    body = json.loads(capsys.readouterr().out)
    assert body["passed"] is True
    assert body["counts"]["frames"] > body["audio_s"] / 0.04  # windows overlap
    assert body["frame_agreement"] == body["token_agreement"] == 1
    assert body["wer_increase"] is None


def test_numbers_and_negations_that_differ_come_first_and_fail(
    candidate: Callable[[dict[str, str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    candidate({"▁9": "▁6", "▁No": "▁The", "{": "["})
    files = [str(CLIP_FOLDER / name) for name in ("05.flac", "03.flac")]
    assert cli.main(["verify", *files]) == cli.EXIT_SOME_FAILED
    printed = capsys.readouterr().out
    listed = [line for line in printed.splitlines() if "/clips/" in line]
    assert listed[0].startswith(f"number    {files[1]} 00:00:0")
    assert "saturation [95% -> 65%] on" in listed[0]
    assert listed[1].startswith(f"negation  {files[0]} 00:00:0")
    assert "[IMPRESSION] [No -> The] acute" in listed[1]
    assert all(line.startswith("word") for line in listed[2:])
    assert "verify_max_critical" in printed.splitlines()[-1]


@pytest.mark.parametrize(("precision", "runs_on"), [("int8", "onnx"), ("bf16", "torch")])
def test_the_engine_that_a_precision_takes_is_named(
    candidate: Callable[[dict[str, str]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    runs_on: str,
) -> None:
    candidate({})
    monkeypatch.setattr(engines, "prepare", lambda *_: None)
    assert cli.main(["verify", "--precision", precision, str(CLIP_FOLDER / "03.flac")]) == cli.EXIT_OK
    assert f"{runs_on} {precision} against torch fp32" in capsys.readouterr().out


def test_a_manifest_has_the_texts(
    candidate: Callable[[dict[str, str]], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copy(CLIP_FOLDER / "03.flac", tmp_path)
    manifest = tmp_path / "mine.jsonl"
    manifest.write_text(
        json.dumps({"audio": "03.flac", "text": "Oxygen saturation 95% on room air"}) + "\n\n"
    )
    candidate({"▁9": "▁6"})
    assert cli.main(["verify", "--json", str(manifest)]) == cli.EXIT_SOME_FAILED
    body = json.loads(capsys.readouterr().out)
    [difference] = body["differences"]
    assert (difference["reference"], difference["candidate"], difference["kind"]) == ("95%", "65%", "number")
    assert difference["file"] == str(tmp_path / "03.flac")
    assert body["wer_increase"] == pytest.approx(1 / 6)
    assert {check["name"] for check in body["checks"] if not check["passed"]} == {
        "verify_min_token_agreement",
        "verify_max_wer",
        "verify_max_wer_increase",
        "verify_max_critical",
    }


def test_thresholds_are_settings(
    candidate: Callable[[dict[str, str]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "MIN_TOKEN_AGREEMENT": "50",
        "MAX_WER": "50",
        "MAX_WER_INCREASE": "50",
        "MAX_CRITICAL": "1",
    }.items():
        monkeypatch.setenv(f"MEDASR_VERIFY_{name}", value)
    candidate({"▁9": "▁6"})
    assert cli.main(["verify", str(CLIP_FOLDER / "03.flac")]) == cli.EXIT_OK
    assert "passed: within the thresholds" in capsys.readouterr().out


def test_a_recording_that_cannot_be_read_is_named_and_fails(
    candidate: Callable[[dict[str, str]], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    candidate({})
    bad = tmp_path / "bad.wav"
    bad.write_text("this is text")
    assert cli.main(["verify", str(bad), str(CLIP_FOLDER / "03.flac")]) == cli.EXIT_SOME_FAILED
    printed = capsys.readouterr()
    assert f"{bad}: The file is not audio" in printed.err
    assert "1 recordings" in printed.out
    assert "failed: 1 recordings could not be read" in printed.out


@pytest.mark.parametrize("name", ["absent.wav", "*.mp3", "absent.jsonl", "."])
def test_what_is_not_there_is_said_before_any_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    assert cli.main(["verify", str(CLIP_FOLDER / "03.flac"), str(tmp_path / name)]) == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert str(tmp_path / name) in line


def test_a_folder_is_all_its_recordings_and_their_texts(tmp_path: Path) -> None:
    for name in ("b.FLAC", "a.flac", "notes.pdf", "a.txt"):
        (tmp_path / name).write_text("what was said")
    assert recordings.read([str(tmp_path)]) == [
        Recording(tmp_path / "a.flac", "what was said"),
        Recording(tmp_path / "b.FLAC"),
    ]


def test_a_line_of_a_manifest_may_lack_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.flac").touch()
    manifest = tmp_path / "mine.jsonl"
    manifest.write_text('{"audio": "a.flac"}\n', encoding="utf-8-sig")
    assert recordings.read([str(manifest)]) == [Recording(tmp_path / "a.flac")]


def test_without_torch_one_line_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medasr_service.model.manifest.MAKERS", ("no_such_package_as_torch",))
    assert cli.main(["verify"]) == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "medasr: the reference, unless it is --reference onnx, needs no_such_package_as_torch"
    )
    assert "--reference onnx" in line


def test_the_reference_may_be_onnx(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(CLIP_FOLDER / "03.flac")
    assert cli.main(["verify", "--reference", "onnx", file]) == cli.EXIT_OK
    assert "onnx fp32 against onnx fp32" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--precision", "fp9"], ["--engine", "gpu"]])
def test_an_unknown_engine_or_precision_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert cli.main(["verify", *arguments]) == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"medasr: setting {arguments[0].removeprefix('--')}: ")


@pytest.mark.parametrize(
    "line", ["nonsense", '"text"', '{"text": "no file"}', '{"audio": 5}', '{"audio": "a", "text": 1}']
)
def test_a_line_that_is_wrong_in_a_manifest_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str
) -> None:
    manifest = tmp_path / "mine.jsonl"
    manifest.write_text(f"\n{line}\n")
    assert cli.main(["verify", str(manifest)]) == cli.EXIT_USAGE
    [printed] = capsys.readouterr().err.splitlines()
    assert printed.startswith(f"medasr: {manifest}:2 is not")


def test_an_artefact_of_another_revision_is_not_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, demo: Checkpoint
) -> None:
    def resolve(settings: Settings, **_: Any) -> Checkpoint:
        from dataclasses import replace

        return demo if settings.engine == "torch" else replace(demo, revision="older")

    monkeypatch.setattr("medasr_service.model.checkpoint.resolve", resolve)
    assert cli.main(["verify"]) == cli.EXIT_USAGE
    assert "the artefact is of older" in capsys.readouterr().err
