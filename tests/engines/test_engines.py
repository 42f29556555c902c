"""The reference engine against transformers itself, and how waveforms are grouped."""

import itertools
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformers import pipeline

from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines import MAX_GROUP_SAMPLES, MAX_PADDING, groups
from medasr_service.engines.cpu import quota
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.errors import ModelUnavailable
from medasr_service.model.checkpoint import DEMO_FOLDER, Checkpoint
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from tests.conftest import CLIPS, Clip


@pytest.fixture(scope="module")
def reference(demo: Checkpoint) -> Iterator[Any]:
    """transformers' own pipeline, loaded from the same folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pipeline("automatic-speech-recognition", model=str(demo.folder))


@torch.inference_mode()
def _logits(reference: Any, waveform: Waveform) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = reference.feature_extractor(waveform, sampling_rate=16_000, return_tensors="pt")
        return reference.model(**inputs).logits[0]


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.path.stem)
def test_text_is_that_of_the_transformers_pipeline(
    clip: Clip, reference: Any, engine: TorchCTC, vocabulary: Vocabulary, geometry: FrameGeometry
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference(clip.waveform.copy())["text"].replace("</s>", " ").split()
    words = ctc.words(ctc.greedy(engine.infer([clip.waveform])[0], vocabulary), geometry)
    assert words
    assert [word.text for word in words] == expected


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.path.stem)
def test_tokens_are_those_of_a_plain_forward_pass(
    clip: Clip, reference: Any, engine: TorchCTC, vocabulary: Vocabulary
) -> None:
    best = _logits(reference, clip.waveform).argmax(-1).tolist()
    expected = [i for i, _ in itertools.groupby(best) if i not in vocabulary.silent]
    assert [token.id for token in ctc.greedy(engine.infer([clip.waveform])[0], vocabulary)] == expected


@pytest.fixture(scope="module")
def alone(engine: TorchCTC) -> list[Emission]:
    return [engine.infer([clip.waveform])[0] for clip in CLIPS]


def test_an_emission_is_the_same_alone_and_in_a_batch(engine: TorchCTC, alone: list[Emission]) -> None:
    """Compared as probabilities where they are small: the logarithm of 1e-12 has few digits left."""
    batch = engine.infer([clip.waveform for clip in CLIPS])
    assert len(list(groups([len(clip.waveform) for clip in CLIPS]))) < len(CLIPS)  # some did meet
    for one, other in zip(alone, batch, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(np.exp(other), np.exp(one), atol=1e-4)
        np.testing.assert_allclose(other, one, atol=1e-3)


def test_padding_changes_nothing_even_for_the_shortest(
    engine: TorchCTC, alone: list[Emission], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one group, whatever their lengths."""
    monkeypatch.setattr("medasr_service.engines.MAX_PADDING", 1.0)
    monkeypatch.setattr("medasr_service.engines.MAX_GROUP_SAMPLES", 1 << 40)
    shortest, longest = (f(range(len(CLIPS)), key=lambda i: len(CLIPS[i].waveform)) for f in (min, max))
    assert len(list(groups([len(CLIPS[longest].waveform), len(CLIPS[shortest].waveform)]))) == 1
    batch = engine.infer([CLIPS[longest].waveform, CLIPS[shortest].waveform])
    np.testing.assert_allclose(np.exp(batch[0]), np.exp(alone[longest]), atol=1e-4)
    np.testing.assert_allclose(np.exp(batch[1]), np.exp(alone[shortest]), atol=1e-4)


def test_order_is_kept(engine: TorchCTC, alone: list[Emission], rng: np.random.Generator) -> None:
    order = rng.permutation(len(CLIPS)).tolist()
    batch = engine.infer([CLIPS[i].waveform for i in order])
    for i, emission in zip(order, batch, strict=True):
        np.testing.assert_allclose(np.exp(emission), np.exp(alone[i]), atol=1e-4)


def test_posteriors_sum_to_one(alone: list[Emission]) -> None:
    for emission in alone:
        assert emission.dtype == np.float32
        np.testing.assert_allclose(np.exp(emission).sum(axis=1), 1, atol=1e-4)


def test_no_waveforms_give_no_emissions(engine: TorchCTC) -> None:
    assert engine.infer([]) == []


@pytest.mark.parametrize("samples", [0, 1, 100, 2319])
def test_what_is_shorter_than_a_frame_gives_one_frame(engine: TorchCTC, samples: int) -> None:
    [emission] = engine.infer([np.zeros(samples, np.float32)])
    assert emission.shape[0] == 1
    assert np.isfinite(emission).all()


def test_the_emission_does_not_keep_the_batch_alive(engine: TorchCTC) -> None:
    [short, _] = engine.infer([np.zeros(16_000, np.float32), np.zeros(17_000, np.float32)])
    assert short.base is None


SAMPLES = [
    2320,
    2321,
    2479,
    2480,
    2959,
    2960,
    2961,
    3119,
    3120,
    3600,
    4000,
    8001,
    15_999,
    16_000,
    31_337,
    80_123,
]


@pytest.mark.parametrize("samples", SAMPLES)
def test_the_geometry_counts_frames_as_the_model_does(
    reference: Any, geometry: FrameGeometry, samples: int
) -> None:
    assert geometry.frames(samples) == _logits(reference, np.zeros(samples, np.float32)).shape[0]


def test_the_smallest_recording_with_a_frame(reference: Any, geometry: FrameGeometry) -> None:
    smallest = geometry.receptive_samples
    assert (smallest, geometry.frames(smallest), geometry.frames(smallest - 1)) == (2320, 1, 0)
    with pytest.raises(RuntimeError):
        _logits(reference, np.zeros(smallest - 1, np.float32))


@given(st.integers(0, 10_000_000))
def test_a_frame_more_for_each_frame_of_samples(samples: int) -> None:
    geometry = FrameGeometry()
    frames = geometry.frames(samples)
    assert geometry.frames(samples + geometry.frame_samples) - frames == (
        1 if samples >= geometry.receptive_samples - geometry.frame_samples else 0
    )
    assert geometry.seconds(frames) <= samples / geometry.sample_rate or not frames


def _copy(tmp_path: Path, demo: Checkpoint) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(DEMO_FOLDER, folder, ignore=shutil.ignore_patterns("clips", "*.wav"))
    return folder


@pytest.mark.parametrize("prefix", ["ctc_head", "encoder"])
@pytest.mark.parametrize("damage", ["missing", "wrong shape"])
def test_a_checkpoint_whose_weights_do_not_fit_is_refused(
    demo: Checkpoint, tmp_path: Path, prefix: str, damage: str
) -> None:
    folder = _copy(tmp_path, demo)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in sorted(weights) if name.startswith(prefix) and weights[name].ndim > 1)
    if damage == "missing":
        del weights[name]
    else:
        weights[name] = np.ascontiguousarray(weights[name][..., :-1])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable) as refused:
        TorchCTC(replace(demo, folder=folder, id="my-model"), threads=torch.get_num_threads())
    assert str(refused.value).startswith("my-model ")
    assert "\n" not in str(refused.value)


# ------------------------------------------------------------------------------------------------- groups

LENGTHS = st.lists(st.integers(0, 30 * 16_000), max_size=40)


@given(LENGTHS)
def test_every_waveform_is_in_exactly_one_group(lengths: list[int]) -> None:
    assert sorted(i for group in groups(lengths) for i in group) == list(range(len(lengths)))


@given(LENGTHS)
def test_padding_and_size_of_a_group_are_bounded(lengths: list[int]) -> None:
    for group in groups(lengths):
        longest, shortest = max(lengths[i] for i in group), min(lengths[i] for i in group)
        assert shortest >= (1 - MAX_PADDING) * longest
        assert longest * len(group) <= MAX_GROUP_SAMPLES or len(group) == 1


def test_equal_lengths_share_a_group() -> None:
    assert [len(group) for group in groups([16_000] * 16)] == [16]
    assert [len(group) for group in groups([160_000] * 6)] == [3, 3]  # 30 s at once


def test_padding_of_mixed_lengths_is_small(rng: np.random.Generator) -> None:
    lengths = rng.integers(16_000, 320_000, 16).tolist()
    computed = sum(max(lengths[i] for i in group) * len(group) for group in groups(lengths))
    print(f"padding: {computed / sum(lengths) - 1:.1%} of the audio")
    assert computed < 1.25 * sum(lengths)


# -------------------------------------------------------------------------------------------------- quota


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "nonsense\n"}, 8),
        ({"cpu.max": "\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "25000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 8),
    ],
)
@pytest.mark.usefixtures("eight_cpus")
def test_threads_follow_the_quota_of_the_cgroup(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert quota(tmp_path) == cpus


def test_threads_never_exceed_the_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3}, raising=False)
    (tmp_path / "cpu.max").write_text("400000 100000")
    assert quota(tmp_path) == 1
