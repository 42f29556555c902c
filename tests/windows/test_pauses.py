"""Windows that are cut at pauses: nothing lost, nothing moved, less computed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medasr_service.model.geometry import FrameGeometry, Waveform
from medasr_service.windows import chunking, pauses
from medasr_service.windows.chunking import Chunk

GEOMETRY = FrameGeometry()
FRAME, RATE = GEOMETRY.frame_samples, GEOMETRY.sample_rate


def sound(seconds: float, rng: np.random.Generator, level: float = 0.3) -> Waveform:
    return rng.uniform(-level, level, int(seconds * RATE)).astype(np.float32)


def silence(seconds: float) -> Waveform:
    return np.zeros(int(seconds * RATE), np.float32)


def split(waveform: Waveform, chunk_s: float = 20, stride_s: float = 2, block: int = 40_000) -> list[Chunk]:
    blocks = [waveform[i : i + block] for i in range(0, len(waveform), block)]
    return list(chunking.split(blocks, pauses.Splitter(GEOMETRY, chunk_s=chunk_s, stride_s=stride_s)))


def test_a_recording_that_fits_is_one_window(rng: np.random.Generator) -> None:
    waveform = sound(19, rng)
    [chunk] = split(waveform)
    assert np.array_equal(chunk.waveform, waveform)
    assert chunk.is_last
    assert chunk.skipped == ()


def test_a_recording_without_samples_has_no_window() -> None:
    assert split(np.empty(0, np.float32)) == []


def shared_s(first: Chunk, second: Chunk) -> float:
    return (first.start_frame * FRAME + len(first.waveform) - second.start_frame * FRAME) / RATE


def test_windows_share_a_long_pause_and_no_speech(rng: np.random.Generator) -> None:
    waveform = np.concatenate((sound(16, rng), silence(0.6), sound(15, rng)))
    first, second = split(waveform)
    assert shared_s(first, second) == pytest.approx(2 * pauses.LONG_PAUSE_STRIDE_S, abs=0.01)
    assert not first.waveform[second.start_frame * FRAME :].any()


@pytest.mark.parametrize(("pause_s", "level"), [(0.4, 0.0), (0.8, 0.02)])
def test_beside_a_short_pause_or_one_that_may_be_speech_windows_share_more(
    rng: np.random.Generator, pause_s: float, level: float
) -> None:
    """0.02 is 24 dB below the speech."""
    waveform = np.concatenate((sound(15, rng), sound(pause_s, rng, level=level), sound(15, rng)))
    first, second = split(waveform)
    assert shared_s(first, second) == pytest.approx(2 * pauses.PAUSE_STRIDE_S, abs=0.01)
    assert 15 < second.start_frame * FRAME / RATE + shared_s(first, second) / 2 < 15 + pause_s


def test_a_long_pause_is_better_than_a_later_short_one(rng: np.random.Generator) -> None:
    waveform = np.concatenate((sound(13, rng), silence(0.7), sound(3, rng), silence(0.3), sound(9, rng)))
    first, _ = split(waveform)
    assert 13 < len(first.waveform) / RATE < 13.7


def test_of_two_long_pauses_the_later_is_taken(rng: np.random.Generator) -> None:
    waveform = np.concatenate((sound(13, rng), silence(0.9), sound(3, rng), silence(0.7), sound(9, rng)))
    first, _ = split(waveform)
    assert 16.9 < len(first.waveform) / RATE < 17.6


def test_the_cut_keeps_clear_of_what_is_whispered_in_a_pause(rng: np.random.Generator) -> None:
    """36 dB below the speech: what is shared is the silence beside it."""
    parts = (sound(14, rng), silence(0.7), sound(0.5, rng, level=0.005), silence(0.2), sound(12, rng))
    first, second = split(np.concatenate(parts))
    assert not first.waveform[second.start_frame * FRAME :].any()


def test_without_a_pause_windows_share_the_whole_stride(rng: np.random.Generator) -> None:
    first, second, *_ = split(sound(60, rng), stride_s=2)
    assert shared_s(first, second) == pytest.approx(4, abs=0.1)


def test_silence_is_not_heard_and_speech_beside_it_is_with_a_margin(rng: np.random.Generator) -> None:
    waveform = np.concatenate((sound(3, rng), silence(5), sound(3, rng)))
    [chunk] = split(waveform)
    heard = pauses.heard(chunk, GEOMETRY)
    assert len(heard) / RATE == pytest.approx(6 + 2 * pauses.KEPT_S, abs=0.1)
    assert np.count_nonzero(heard) == np.count_nonzero(waveform)
    [skipped] = chunk.skipped
    assert not waveform[skipped.start * FRAME - 3000 : skipped.stop * FRAME + 3000].any()


def test_a_minute_of_silence_costs_next_to_nothing(rng: np.random.Generator) -> None:
    waveform = np.concatenate((sound(5, rng), silence(600), sound(5, rng)))
    computed_s = sum(len(pauses.heard(chunk, GEOMETRY)) for chunk in split(waveform)) / RATE
    assert computed_s < 30


def test_what_is_quiet_but_not_silent_is_heard(rng: np.random.Generator) -> None:
    """40 dB below the peak: a whisper, or a far voice."""
    waveform = np.concatenate((sound(3, rng), sound(5, rng, level=0.003), sound(3, rng)))
    assert all(chunk.skipped == () for chunk in split(waveform))


@pytest.mark.parametrize("at", [0.5, 6.0, 11.5])
def test_a_knock_on_the_microphone_silences_nobody(rng: np.random.Generator, at: float) -> None:
    """Speech 54 dB below half a second of clipping: its level says nothing of the speech."""
    waveform = sound(12, rng, level=0.002)
    waveform[int(at * RATE) :][: RATE // 2] = 1.0
    [chunk] = split(waveform, block=16_000)
    assert chunk.skipped == ()


@pytest.mark.parametrize("level", [0.03, 0.008])
def test_soft_speech_after_a_loud_voice_is_no_pause(rng: np.random.Generator, level: float) -> None:
    """24 and 36 dB softer: a cut there needs the whole stride."""
    waveform = np.concatenate((sound(12, rng, level=0.5), sound(28, rng, level=level)))
    first, second, *_ = split(waveform, stride_s=2)
    assert shared_s(first, second) == pytest.approx(4, abs=0.1)


def test_digital_silence_alone_is_not_computed() -> None:
    chunks = split(silence(300))
    assert sum(len(pauses.heard(chunk, GEOMETRY)) for chunk in chunks) / RATE < 20


def test_restored_frames_are_where_they_were_and_blank_between(rng: np.random.Generator) -> None:
    waveform = np.concatenate((sound(3, rng), silence(5), sound(3, rng), silence(2), sound(1, rng)))
    [chunk] = split(waveform)
    heard = pauses.heard(chunk, GEOMETRY)
    rows = GEOMETRY.frames(len(heard))
    emission = np.repeat(np.arange(rows, dtype=np.float32)[:, None], 4, axis=1)
    emission[:, 2] += 0.5  # the blank is the best of each
    whole = pauses.restore(emission, chunk, blank=2)
    assert len(whole) == GEOMETRY.frames(len(waveform))
    outside = np.ones(len(whole), bool)
    for each in chunk.skipped:
        outside[each] = False
        assert (whole[each, 2] == 0).all()
        assert (whole[each, :2] < -80).all()
    assert np.array_equal(whole[outside], emission)


def test_a_piece_that_goes_on_behind_a_gap_is_heard_once() -> None:
    best = [0, 1, 1, 1, 0, 2, 2, 3]
    emission = np.full((len(best), 4), -6, np.float32)
    emission[np.arange(len(best)), best] = -0.1
    chunk = Chunk(0, np.zeros(1, np.float32), is_last=True, skipped=(slice(2, 5), slice(6, 8), slice(12, 20)))
    whole = pauses.restore(emission, chunk, blank=0).argmax(axis=1)
    assert whole.tolist() == [0, 1, *[0] * 7, 0, 2, 2, *[0] * 8, 3]
    assert emission.argmax(axis=1).tolist() == best


def test_windows_that_do_not_advance_are_refused() -> None:
    with pytest.raises(ValueError, match="do not advance"):
        split(np.ones(RATE, np.float32), chunk_s=4, stride_s=2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.05, 9), st.floats(0, 4)), min_size=1, max_size=12),
    st.integers(1_000, 100_000),
    st.sampled_from([(20.0, 2.0), (6.0, 1.0), (2.0, 0.5)]),
)
def test_every_sound_is_heard_whole_in_a_window_and_windows_are_bounded(
    parts: list[tuple[float, float]], block: int, window: tuple[float, float]
) -> None:
    """Frames of sound: each is in a window, not skipped; what windows share is a pause, or long enough."""
    rng = np.random.default_rng(0)
    waveform = np.concatenate([piece for a, b in parts for piece in (sound(a, rng), silence(b))])
    chunk_s, stride_s = window
    chunks = split(waveform, chunk_s, stride_s, block)
    heard = np.zeros(len(waveform), bool)
    for chunk in chunks:
        start = chunk.start_frame * FRAME
        assert np.array_equal(chunk.waveform, waveform[start : start + len(chunk.waveform)])
        mask = np.ones(len(chunk.waveform), bool)
        for each in chunk.skipped:
            mask[each.start * FRAME : each.stop * FRAME] = False
        heard[start : start + len(mask)] |= mask
        assert len(pauses.heard(chunk, GEOMETRY)) <= (chunk_s + 2 * stride_s) * RATE + FRAME
    assert heard[waveform != 0].all()
    assert [chunk.is_last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    starts = [chunk.start_frame for chunk in chunks]
    ends = [chunk.start_frame + GEOMETRY.frames(len(chunk.waveform)) for chunk in chunks]
    assert all(after > before for before, after in pairwise(starts))
    assert all(start <= end for start, end in zip(starts[1:], ends[:-1], strict=True))
    for before, after in pairwise(chunks):
        pause = before.waveform[(after.start_frame - before.start_frame) * FRAME :]
        least_s = 2 * min(pauses.PAUSE_STRIDE_S, stride_s)
        assert len(pause) / RATE > least_s - 2 * GEOMETRY.frame_s or not pause.any()


def test_stitched_windows_of_local_hearing_equal_one_forward(rng: np.random.Generator) -> None:
    """A network that hears only its frame: cut at pauses and with silence skipped, the same emission."""

    def emission(waveform: Waveform) -> np.ndarray:
        rows = GEOMETRY.frames(len(waveform))
        loud = np.array([np.abs(waveform[i * FRAME : i * FRAME + 2320]).max() > 0.01 for i in range(rows)])
        return np.where(np.stack((~loud, loud), axis=1), 0.0, pauses.NEVER).astype(np.float32)

    parts = [p for s in rng.uniform(0.5, 8, 12) for p in (sound(s, rng), silence(rng.uniform(0.1, 3)))]
    waveform = np.concatenate(parts)
    chunks = split(waveform)
    assert len(chunks) > 2
    stitcher = chunking.Stitcher(blank=0)
    starts = [*(chunk.start_frame for chunk in chunks[1:]), None]
    rows = [
        stitcher.add(
            chunk, pauses.restore(emission(pauses.heard(chunk, GEOMETRY)), chunk, blank=0), following
        )
        for chunk, following in zip(chunks, starts, strict=True)
    ]
    got, expected = np.concatenate(rows), emission(waveform)
    assert got.shape == expected.shape
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).all()
