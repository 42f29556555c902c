"""Split and stitch: an inverse pair, window by window as transformers cuts, with no frame lost or doubled."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.pipelines.automatic_speech_recognition import chunk_iter

from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.windows.chunking import Chunk, Splitter, Stitcher, crossfade, split
from tests.conftest import CLIPS

GEOMETRY = FrameGeometry()
FRAME = GEOMETRY.frame_samples
LENGTHS = st.integers(1, 12 * 16_000)
WINDOWS = st.tuples(st.integers(25, 100), st.integers(2, 12))  # frames of a window and of its stride


def cut(waveform: Waveform, window: tuple[int, int], blocks: Sequence[int] = ()) -> list[Chunk]:
    """Chunks of a waveform that comes in blocks cut at these samples."""
    chunk_s, stride_s = (frames * GEOMETRY.frame_s for frames in window)
    return list(
        split(np.split(waveform, sorted(blocks)), Splitter(GEOMETRY, chunk_s=chunk_s, stride_s=stride_s))
    )


def stitch(chunks: Sequence[Chunk], emissions: Sequence[Emission]) -> Emission:
    stitcher = Stitcher(blank=0)
    starts = [*[chunk.start_frame for chunk in chunks[1:]], None]
    return np.concatenate([stitcher.add(*part) for part in zip(chunks, emissions, starts, strict=True)])


def numbered(samples: int) -> Waveform:
    """Each sample is its own position; float32 holds them exactly."""
    return np.arange(samples, dtype=np.float32)


def listen(waveform: Waveform) -> Emission:
    """A model whose frames depend on nothing but the samples that they see, and have real posteriors."""
    frames = GEOMETRY.frames(len(waveform))
    seen = np.stack([waveform[i * FRAME : i * FRAME + GEOMETRY.receptive_samples] for i in range(frames)])
    features = np.stack([seen.mean(1), seen.std(1), seen.max(1), seen.min(1)], axis=1, dtype=np.float64)
    logits = np.sin(features @ np.random.default_rng(1).normal(0, 20, (4, 12))) * 4
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)), np.float32)


@given(LENGTHS, WINDOWS, st.lists(st.integers(0, 12 * 16_000), max_size=8))
def test_windows_hold_the_audio_that_their_frame_number_says(
    samples: int, window: tuple[int, int], blocks: list[int]
) -> None:
    waveform = numbered(samples)
    chunks = cut(waveform, window, blocks)
    for chunk in chunks:
        start = chunk.start_frame * FRAME
        np.testing.assert_array_equal(chunk.waveform, waveform[start : start + window[0] * FRAME])
    assert [chunk.is_last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].waveform[-1] == samples - 1


@given(LENGTHS, WINDOWS)
def test_windows_are_those_of_the_transformers_pipeline(samples: int, window: tuple[int, int]) -> None:
    class Extractor(SimpleNamespace):
        def __call__(self, chunk: Waveform, **_: Any) -> dict[str, Waveform]:
            return {"audio": chunk}

    length, stride = (frames * FRAME for frames in window)
    extractor = Extractor(sampling_rate=16_000)
    expected = list(chunk_iter(numbered(samples), extractor, length, stride, stride))
    chunks = cut(numbered(samples), window)
    assert len(chunks) == len(expected)
    for chunk, other in zip(chunks, expected, strict=True):
        np.testing.assert_array_equal(chunk.waveform, other["audio"])
        assert chunk.is_last == other["is_last"]


@given(LENGTHS, WINDOWS, st.lists(st.integers(0, 12 * 16_000), max_size=8))
def test_split_then_stitch_keeps_every_frame(
    samples: int, window: tuple[int, int], blocks: list[int]
) -> None:
    """Each row says in its own posteriors which frame it is."""
    frames = GEOMETRY.frames(samples)

    def rows(chunk: Chunk) -> Emission:
        own = chunk.start_frame + np.arange(GEOMETRY.frames(len(chunk.waveform)))
        share = (own + 0.5) / 1000
        return np.log(np.stack([share, 1 - share], axis=1)).astype(np.float32)

    chunks = cut(numbered(samples), window, blocks)
    stitched = stitch(chunks, [rows(chunk) for chunk in chunks])
    assert np.rint(np.exp(stitched[:, 0]) * 1000 - 0.5).astype(int).tolist() == list(range(frames))


@settings(max_examples=25)
@given(st.integers(2400, 8 * 16_000), WINDOWS)
def test_a_model_that_hears_locally_cannot_tell_windows_from_one_forward(
    samples: int, window: tuple[int, int]
) -> None:
    waveform = np.random.default_rng(samples).normal(0, 0.2, samples).astype(np.float32)
    chunks = cut(waveform, window)
    stitched = stitch(chunks, [listen(chunk.waveform) for chunk in chunks])
    single = listen(waveform)
    np.testing.assert_allclose(stitched, single, atol=1e-4)
    np.testing.assert_allclose(np.exp(stitched).sum(axis=1), 1, atol=1e-5)


def _random_posteriors(rng: np.random.Generator, frames: int) -> Emission:
    posteriors = rng.dirichlet(np.full(6, 0.2), frames) + 1e-9
    log: Emission = np.log(posteriors / posteriors.sum(1, keepdims=True)).astype(np.float32)
    return log


@given(st.integers(3000, 12 * 16_000), WINDOWS, st.integers(0, 99))
def test_frames_covered_once_come_out_as_they_went_in(
    samples: int, window: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    chunks = cut(numbered(samples), window)
    emissions = [_random_posteriors(rng, GEOMETRY.frames(len(chunk.waveform))) for chunk in chunks]
    stitched = stitch(chunks, emissions)
    covering: list[list[np.ndarray[Any, Any]]] = [[] for _ in stitched]
    for chunk, emission in zip(chunks, emissions, strict=True):
        for i, row in enumerate(emission):
            covering[chunk.start_frame + i].append(row)
    for got, rows in zip(stitched, covering, strict=True):
        if len(rows) == 1:
            assert (got == rows[0]).all()
        else:  # a mean lies between
            assert (got <= np.max(rows, axis=0) + 1e-5).all()
            assert (got >= np.min(rows, axis=0) - 1e-5).all()
    np.testing.assert_allclose(np.exp(stitched).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("stride_s", [0.0, 0.04])
def test_windows_that_hardly_overlap_leave_no_frame_without_posteriors(stride_s: float) -> None:
    """A window of 50 frames of audio gives 47: with no stride, three frames at each cut are seen by none."""
    waveform = np.random.default_rng(0).normal(0, 0.2, 8 * 16_000).astype(np.float32)
    chunks = list(split([waveform], Splitter(GEOMETRY, chunk_s=2.0, stride_s=stride_s)))
    stitched = stitch(chunks, [listen(chunk.waveform) for chunk in chunks])
    np.testing.assert_allclose(np.exp(stitched).sum(axis=1), 1, atol=1e-5)


def test_the_middle_of_a_window_outweighs_its_edge() -> None:
    """Two windows that contradict each other: each is believed where it is nearer to its middle."""
    yes, no = np.log(np.array([[[0.99, 0.01]], [[0.01, 0.99]]], np.float32))
    chunks = [Chunk(0, numbered(1), is_last=False), Chunk(30, numbered(1), is_last=True)]
    stitched = stitch(chunks, [np.repeat(yes, 50, 0), np.repeat(no, 50, 0)])
    first = np.exp(stitched[:, 0])
    assert (np.diff(first[30:50]) < 0).all()
    assert first[39] > 0.5 > first[40]
    assert len(stitched) == 80


def test_the_weights_of_two_windows_cross_where_the_later_takes_over() -> None:
    for frames in (1, 2, 47, 97):
        weights = crossfade(frames, frames // 2)
        assert weights.shape == (frames, 1)
        assert (np.diff(weights[:, 0]) >= 0).all()
        assert (weights[: frames // 2] < 0.5).all()
        assert (weights[frames // 2 :] > 0.5).all()


@pytest.mark.parametrize("sureness", [0.6, 0.75, 0.99])
@pytest.mark.parametrize("apart", range(-3, 4))
@pytest.mark.parametrize("at", range(80, 97))
def test_a_piece_that_two_windows_hear_frames_apart_is_said_once(
    at: int, apart: int, sureness: float
) -> None:
    """Half of each, averaged where the windows are equal, would be the piece twice or not at all."""

    def emission(piece: int) -> Emission:
        posteriors = np.full((100, 3), 0.005, np.float32)
        posteriors[:, 0] = 0.99
        posteriors[piece] = (0.995 - sureness, sureness, 0.005)
        return np.log(posteriors)

    chunks = [Chunk(0, numbered(1), is_last=False), Chunk(75, numbered(1), is_last=True)]
    stitched = stitch(chunks, [emission(at), emission(at + apart - 75)])
    assert (stitched.argmax(axis=1) == 1).sum() == 1


def test_one_window_is_left_as_it_is() -> None:
    waveform = numbered(20 * 16_000)
    [chunk] = split([waveform], Splitter(GEOMETRY, chunk_s=20.0, stride_s=2.0))
    assert chunk.is_last
    np.testing.assert_array_equal(chunk.waveform, waveform)
    assert len(list(split([numbered(20 * 16_000 + 1)], Splitter(GEOMETRY, chunk_s=20.0, stride_s=2.0)))) == 2


def test_no_samples_give_no_window() -> None:
    assert list(split([], Splitter(GEOMETRY, chunk_s=20.0, stride_s=2.0))) == []
    assert list(split([np.empty(0, np.float32)] * 3, Splitter(GEOMETRY, chunk_s=20.0, stride_s=2.0))) == []


@pytest.mark.parametrize(("chunk_s", "stride_s"), [(2.0, 1.0), (2.0, 1.5), (0.1, 0.0), (1.0, 0.52)])
def test_windows_that_do_not_advance_are_refused(chunk_s: float, stride_s: float) -> None:
    with pytest.raises(ValueError, match="do not advance"):
        list(split([numbered(16_000)], Splitter(GEOMETRY, chunk_s=chunk_s, stride_s=stride_s)))


def test_a_window_comes_before_the_next_is_read() -> None:
    """Memory: one window and one block are held, whatever the length of the recording."""
    read = 0

    def blocks() -> Any:
        nonlocal read
        for _ in range(100):
            read += 1
            yield np.zeros(16_000, np.float32)

    chunks = split(blocks(), Splitter(GEOMETRY, chunk_s=5.0, stride_s=1.0))
    for number in range(1, 5):
        next(chunks)
        assert read == 6 + 3 * (number - 1)


# --------------------------------------------------------------------------------------- with the demo model


def _joined(clips: Sequence[int], pause_s: float = 0.2) -> Waveform:
    pause = np.zeros(int(pause_s * 16_000), np.float32)
    return np.concatenate([part for i in clips for part in (CLIPS[i].waveform, pause)])


def _reports(count: int) -> list[Waveform]:
    """Files of 21 to 30 s: clips in random order, joined."""
    rng = np.random.default_rng(0)
    files: list[Waveform] = []
    while len(files) < count:
        chosen: list[int] = []
        for i in rng.permutation(len(CLIPS)).tolist():
            if len(_joined([*chosen, i])) < 30 * 16_000:
                chosen.append(i)
        if len(_joined(chosen)) > 21 * 16_000:
            files.append(_joined(chosen))
    return files


def _words(emission: Emission, vocabulary: Vocabulary) -> list[str]:
    return [word.text for word in ctc.words(ctc.greedy(emission, vocabulary), GEOMETRY)]


def _without_strides(chunks: Sequence[Chunk], emissions: Sequence[Emission], stride: int) -> Emission:
    """As the transformers pipeline joins windows: the strides are thrown away."""
    starts = [0, *[chunk.start_frame + stride for chunk in chunks[1:]]]
    ends = [*starts[1:], chunks[-1].start_frame + len(emissions[-1])]
    return np.concatenate(
        [
            emission[start - chunk.start_frame : end - chunk.start_frame]
            for chunk, emission, start, end in zip(chunks, emissions, starts, ends, strict=True)
        ]
    )


def test_stitched_text_is_as_near_to_one_forward_as_the_pipelines(
    engine: TorchCTC, vocabulary: Vocabulary, geometry: FrameGeometry
) -> None:
    """At 20/2 on files of 21 to 30 s. What differs is what the model hears differently with other context."""
    assert geometry == GEOMETRY
    files = _reports(6)
    references, ours, theirs, agreement = [], [], [], []
    for file in files:
        chunks = list(split([file], Splitter(geometry, chunk_s=20.0, stride_s=2.0)))
        emissions = [engine.infer([chunk.waveform])[0] for chunk in chunks]
        [single] = engine.infer([file])
        stitched = stitch(chunks, emissions)
        assert stitched.shape == single.shape
        agreement.append(float((stitched.argmax(1) == single.argmax(1)).mean()))
        np.testing.assert_allclose(np.exp(stitched).sum(axis=1), 1, atol=1e-4)
        references.append(_words(single, vocabulary))
        ours.append(_words(stitched, vocabulary))
        theirs.append(_words(_without_strides(chunks, emissions, 50), vocabulary))
    text = [" ".join(words) for words in references]
    wer, other = (float(jiwer.wer(text, [" ".join(w) for w in words])) for words in (ours, theirs))
    same = sum(a == b for a, b in zip(references, ours, strict=True))
    print(
        f"20/2 against one forward: {same}/{len(files)} texts identical, WER {wer:.1%} (pipeline {other:.1%})"
    )
    print(f"frames that agree: {np.mean(agreement):.1%}, at least {min(agreement):.1%}")
    assert min(agreement) > 0.94
    assert wer <= other + 0.03


@pytest.mark.parametrize("first", [0, 4])
def test_no_word_is_lost_or_doubled_wherever_the_cut_falls(
    engine: TorchCTC, vocabulary: Vocabulary, first: int
) -> None:
    """Silence in front moves the cut at 6/2 in steps of 40 ms across a second of speech."""
    clips = [first]
    while len(_joined(clips)) < 7 * 16_000:
        clips.append(clips[-1] + 1)
    speech = _joined(clips)
    single = _words(engine.infer([speech])[0], vocabulary)
    assert len(single) > 8
    counts = []
    for shift in range(25):
        chunks = cut(np.concatenate([np.zeros(shift * FRAME, np.float32), speech]), (150, 50))
        assert len(chunks) >= 2
        stitched = stitch(chunks, engine.infer([chunk.waveform for chunk in chunks]))
        counts.append(len(_words(stitched, vocabulary)) - len(single))
    print(f"words more or fewer at each cut: {counts}")
    assert max(map(abs, counts)) <= 1
    assert counts.count(0) >= 20


def test_a_file_that_fits_one_window_has_the_text_of_one_forward(
    engine: TorchCTC, vocabulary: Vocabulary
) -> None:
    for i in (3, 5):
        chunks = cut(CLIPS[i].waveform, (500, 50))
        stitched = stitch(chunks, engine.infer([chunk.waveform for chunk in chunks]))
        [single] = engine.infer([CLIPS[i].waveform])
        np.testing.assert_array_equal(stitched, single)
        assert _words(stitched, vocabulary) == _words(single, vocabulary)
