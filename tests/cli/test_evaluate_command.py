"""`medasr evaluate` as users run it."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock

from medasr_service import cli
from medasr_service.evaluation import transcripts
from medasr_service.evaluation.results import Result
from medasr_service.evaluation.samples import Sample
from medasr_service.model.checkpoint import DEMO_FOLDER
from tests.conftest import CLIPS, HAS_FLASHLIGHT, needs_flashlight

MANIFEST = DEMO_FOLDER / "clips" / "manifest.jsonl"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two bundled clips, the second with a word that is not in it, and a broken file."""
    for name in ("one.flac", "two.flac"):
        shutil.copy(CLIPS[2].path, tmp_path / name)
    (tmp_path / "broken.wav").write_text("no sound")
    lines = [
        {"audio": "one.flac", "text": CLIPS[2].text},
        {"audio": "broken.wav", "text": "No sound"},
        {"audio": "two.flac", "text": f"{CLIPS[2].text} tonight"},
    ]
    file = tmp_path / "manifest.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def evaluate(*arguments: str | Path, decoding: str = "greedy") -> int:
    chosen = ["--decoding", decoding] if decoding else []
    return cli.main(["evaluate", *map(str, arguments), *chosen])


def test_the_bundled_clips_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(MANIFEST, decoding="") == cli.EXIT_OK
    printed = capsys.readouterr().out
    assert "| greedy | 0.00 % |" in printed
    assert ("| lm | " in printed) is HAS_FLASHLIGHT
    assert ("WER with lm against greedy: " in printed) is HAS_FLASHLIGHT


def test_a_broken_recording_is_a_row_and_the_others_count(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evaluate(manifest, "--output-dir", out) == cli.EXIT_SOME_FAILED
    assert capsys.readouterr().out == (out / "report.md").read_text()
    body = json.loads((out / "report.json").read_text())
    assert body["decodings"]["greedy"]["wer"]["deletions"] == 1
    assert body["decodings"]["greedy"]["failed"] == 1
    assert "not audio" in body["recordings"][1]["decodings"]["greedy"]["error"]
    assert "<del>tonight</del>" in (out / "report.html").read_text()
    assert not list(out.glob("*.part"))


def test_a_second_run_transcribes_only_what_is_new(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    original = transcripts._transcribe

    async def watched(known: str, sample: Sample, *rest: object) -> Result:
        heard.append(sample.name)
        return await original(known, sample, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(transcripts, "_transcribe", watched)
    out = tmp_path / "out"
    evaluate(manifest, "--output-dir", out)
    first = json.loads((out / "report.json").read_text())
    assert heard == ["one.flac", "broken.wav"]  # the third has the sound of the first
    heard.clear()
    evaluate(manifest, "--output-dir", out)
    assert heard == ["broken.wav"]
    assert json.loads((out / "report.json").read_text()) == first
    heard.clear()
    evaluate(manifest, "--output-dir", out, "--formatting", "dictation")
    assert heard == ["one.flac", "broken.wav"]
    heard.clear()
    evaluate(manifest, "--output-dir", out, "--fresh")
    assert heard == ["one.flac", "broken.wav"]


def test_a_run_that_is_stopped_keeps_what_is_done(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stop(*_: object) -> Result:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    evaluate(manifest, "--output-dir", out)
    before = (out / "results.jsonl").read_text(), (out / "report.html").read_text()
    monkeypatch.setattr(transcripts, "_transcribe", stop)
    assert evaluate(manifest, "--output-dir", out) == 130
    assert "stopped; run it again" in capsys.readouterr().err
    assert ((out / "results.jsonl").read_text(), (out / "report.html").read_text()) == before


def test_a_sweep_tries_windows_with_each_decoding_and_says_what_changes(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evaluate(manifest, "--output-dir", out, "--sweep", "1/0,20/2") == cli.EXIT_SOME_FAILED
    body = json.loads((out / "report.json").read_text())
    assert list(body["decodings"]) == ["greedy 20/2", "greedy 1/0"]  # the one that is set first
    texts = {
        name: each["text"]
        for name, each in body["recordings"][0]["decodings"].items()
        if name.startswith("greedy")
    }
    assert len(set(texts.values())) == 2  # windows of a second hear something else
    changed = body["against_the_first"]["greedy 1/0"]["changes"]["words"]
    assert changed["lost"] > 0
    assert f"| greedy 1/0 | words | {changed['won']} | {changed['lost']} |" in capsys.readouterr().out
    assert body["conditions"]["windows"] == "pauses, 20 s / 2 s or pauses, 1 s / 0 s"
    once = len((out / "results.jsonl").read_text().splitlines())
    evaluate(manifest, "--output-dir", out)  # one of the settings: known already, but for what failed
    assert len((out / "results.jsonl").read_text().splitlines()) == once + 1


@pytest.mark.parametrize("windows", ["20", "a/b", "8/9", "8/1,"])
def test_windows_that_are_none_are_refused(windows: str, manifest: Path) -> None:
    with suppress(SystemExit):
        assert evaluate(manifest, "--sweep", windows) == cli.EXIT_USAGE


def test_drugs_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(CLIPS[2].path, tmp_path / "one.flac")
    line = {"audio": "one.flac", "text": f"{CLIPS[2].text} apixaban Eliquis"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line))
    evaluate(tmp_path / "manifest.jsonl")
    assert "| drugs | greedy | 1 | 0 | 0.00 % | 0 | 100.00 % |" in capsys.readouterr().out
    (tmp_path / "drugs.txt").write_text("apixaban\nEliquis\n")
    evaluate(tmp_path / "manifest.jsonl", "--drugs", tmp_path / "drugs.txt")
    assert "| drugs | greedy | 2 | 0 | 0.00 % | 0 | 100.00 % |" in capsys.readouterr().out


def test_terms_are_counted(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("oxygen saturation\ntonight\n")
    evaluate(manifest, "--terms", terms)
    assert "| terms | greedy | 3 | 2 | 66.67 % | 0 |" in capsys.readouterr().out


def test_without_a_language_model_greedy_is_all_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDASR_LM", "off")
    assert evaluate(MANIFEST, decoding="") == cli.EXIT_OK
    printed = capsys.readouterr()
    assert "| lm |" not in printed.out
    assert "there is no language model: greedy decoding alone" in printed.err


@needs_flashlight
def test_the_report_counts_the_keywords(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDASR_LM", "off")
    monkeypatch.setenv("MEDASR_KEYWORDS", '["apixaban"]')
    assert evaluate(MANIFEST, decoding="") == cli.EXIT_OK
    assert ", keywords 1 " in capsys.readouterr().out


@needs_flashlight
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SURE_POSTERIOR", "0.9"),
        ("KEYWORDS", '["apixaban"]'),
        ("MAX_GAIN", "20"),
        ("WINDOWS", "fixed"),
    ],
)
def test_a_changed_setting_is_transcribed_anew(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    out = tmp_path / "out"
    evaluate(manifest, "--output-dir", out, decoding="lm")
    once = len((out / "results.jsonl").read_text().splitlines())
    monkeypatch.setenv(f"MEDASR_{name}", value)
    evaluate(manifest, "--output-dir", out, decoding="lm")
    assert len((out / "results.jsonl").read_text().splitlines()) == 2 * once


@pytest.mark.parametrize("content", ["", "{", '{"audio": "absent.wav", "text": ""}'])
def test_a_bad_manifest_is_one_line_and_nothing_is_written(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "manifest.jsonl"
    bad.write_text(content)
    assert evaluate(bad, "--output-dir", tmp_path / "out") == cli.EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("medasr: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lm", ["off", "{}/cut.kenlm"])
def test_without_its_language_model_nothing_is_written(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lm: str
) -> None:
    (tmp_path / "cut.kenlm").write_bytes((DEMO_FOLDER / "lm_6.kenlm").read_bytes()[:100_000])
    monkeypatch.setenv("MEDASR_LM", lm.format(tmp_path))
    assert evaluate(manifest, "--output-dir", tmp_path / "out", decoding="lm") == cli.EXIT_USAGE
    assert not (tmp_path / "out").exists()


@needs_flashlight
def test_keywords_are_looked_for_anew_where_another_posterior_is_sure(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDASR_KEYWORDS", '["apixaban"]')
    for sure in ("0.95", "0.9"):
        monkeypatch.setenv("MEDASR_SURE_POSTERIOR", sure)
        evaluate(manifest, "--output-dir", tmp_path / "out")
    keys = {json.loads(line)["key"] for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()}
    assert len(keys) == 4  # two recordings: one and two are the same sound


def test_two_runs_do_not_share_a_folder(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / ".results.jsonl.lock"):
        assert evaluate(manifest, "--output-dir", out) == cli.EXIT_USAGE
    assert "another evaluation" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(manifest, "--output-dir", manifest / "out") == cli.EXIT_USAGE
    assert "cannot be written: Not a directory" in capsys.readouterr().err


def test_without_jiwer_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("medasr_service.cli.evaluate.find_spec", lambda _: None)
    assert evaluate(MANIFEST) == cli.EXIT_USAGE
    assert "pip install jiwer" in capsys.readouterr().err
