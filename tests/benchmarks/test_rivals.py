"""The engine against others: what they wrote is looked at, who is missing is named, the best one counts."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import random_checkpoint, rivals
from benchmarks.rivals import CONVERTER, OURS, QUANTIZER, RIVALS, SECONDS, Hear, Product, Result
from medasr_service.model.geometry import Waveform


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sherpa_onnx", "transcribe_cpp", "gguf"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.usefixtures("nobody")
def test_without_any_rival_nothing_is_run_and_each_has_a_line_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rivals"])
    monkeypatch.setattr(rivals, "compare", lambda *_: pytest.fail("there is nobody to compare with"))
    rivals.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RIVALS)
    for line, rival in zip(lines, RIVALS, strict=True):
        assert line.startswith(f"{rival.name} is left out: pip install ")


def test_transcribe_cpp_takes_part_with_a_converter_and_its_8_bits_with_a_quantizer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("transcribe_cpp", "gguf"):
        monkeypatch.setitem(sys.modules, module, np)  # any that is there
    monkeypatch.setenv("TRANSCRIBE_CPP", str(tmp_path))
    here = [each for each in RIVALS if each.name.startswith("transcribe.cpp")]
    there = []
    for name in ("README.md", CONVERTER, QUANTIZER):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        there.append([each.installed for each in here])
    assert there == [[False, False], [True, False], [True, True]]


def says(short: str, long: str) -> Hear:
    return lambda audio: long if len(audio.samples) == SECONDS else short


def product(name: str, short: str, long: str) -> Product:
    return Product(name, "fp32", lambda _: says(short, long))


@pytest.fixture
def a_sample_is_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    def silence(seconds: int, *_: object) -> Waveform:
        return np.zeros(seconds, np.float32)

    monkeypatch.setattr(rivals, "dictation", silence)
    monkeypatch.setattr(random_checkpoint, "make", lambda folder: folder)


@pytest.mark.usefixtures("a_sample_is_a_second")
def test_what_rivals_wrote_is_compared_with_the_first_without_the_spaces() -> None:
    first = product("first", "no acute distress", "long")
    same, other = product("same", "noacute distress", "long"), product("other", "no a cute mistress", "long")
    results = rivals.compare((first, same, other), rounds=2)
    assert [len(each.seconds) for each in results] == [2, 2, 2]
    assert [each.alike_demo == 1 for each in results] == [True, True, False]
    assert 0.8 < results[2].alike_timed < 1


@pytest.mark.usefixtures("a_sample_is_a_second")
@pytest.mark.parametrize(
    ("short", "long", "who"),
    [("no acute distress", "", "60 s of odd"), ("no", "long", "demo model"), ("", "long", "demo model")],
)
def test_the_time_of_who_wrote_nothing_or_far_less_does_not_count(short: str, long: str, who: str) -> None:
    others = [product(name, "no acute distress", "long") for name in ("one", "two")]
    with pytest.raises(SystemExit, match=f"odd, {who}"):
        rivals.compare((*others, product("odd", short, long)), rounds=1)


def test_ours_is_held_against_the_best_of_its_kind_and_each_rival_against_ours() -> None:
    fp32, int8 = OURS
    slow, fast = (Product(name, "fp32", partial(rivals.sherpa, "")) for name in ("slow", "fast"))
    results = [
        Result(fp32, [2.0, 2.0, 2.5], 1, 1),
        Result(int8, [1.0], 0.99, 0.5),
        Result(slow, [5.0], 1, 0.25),
        Result(fast, [3.0], 1, 1),
    ]
    rows = {line.split(" | ")[0]: line for line in rivals.table(results).splitlines()}
    assert (
        rows["| fp32"]
        == "| fp32 | 2.00 (2.00-2.50) | 30.0 | **1.50 x** (the best of them) | 100.0 % / 100.0 % |"
    )
    assert rows["| int8"] == "| int8 | 1.00 (1.00-1.00) | 60.0 |  | 99.0 % / 50.0 % |"
    assert rows["| slow"] == "| slow | 5.00 (5.00-5.00) | 12.0 | 2.50 x | 100.0 % / 25.0 % |"
    assert " 1.50 x " in rows["| fast"]


def test_a_model_is_converted_once_for_the_same_weights_and_not_left_by_halves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rivals, "FOLDER", tmp_path / "made")
    weights, calls = tmp_path / "model.safetensors", []

    def make(folder: Path, made: Path) -> None:
        calls.append(folder)
        (made / "part").touch()
        if len(calls) == 1:
            raise OSError("the disk is full")

    weights.write_bytes(b"one")
    with pytest.raises(OSError, match="full"):
        rivals.once(tmp_path, "x", make)
    assert list((tmp_path / "made").iterdir()) == []
    first = rivals.once(tmp_path, "x", make)
    assert rivals.once(tmp_path, "x", make) == first
    weights.write_bytes(b"other")
    assert rivals.once(tmp_path, "x", make) != first
    assert len(calls) == 3
