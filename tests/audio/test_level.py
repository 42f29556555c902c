"""The gain follows the speech; the limiter leaves alone what fits."""

import numpy as np
import pytest
import soundfile

from medasr_service.audio.level import CEILING, Limiter, Meter, limited
from medasr_service.live.window import Window
from medasr_service.model.geometry import FrameGeometry, Waveform
from tests.conftest import CLIPS, SAMPLE

RATE = 16_000
BURSTS = {"a click": 0.005, "a knock": 0.1, "three knocks": 0.3}


def quiet_speech(rng: np.random.Generator) -> Waveform:
    """Six seconds of syllables at -46 dBFS."""
    at = np.arange(6 * RATE) / RATE
    syllables = np.clip(np.sin(2 * np.pi * 3 * at), 0, 1)
    return (0.01 * syllables * rng.normal(0, 1, len(at))).astype(np.float32)


def gain_of(samples: Waveform) -> float:
    meter = Meter()
    for start in range(0, len(samples), 5_000):
        meter.add(samples[start : start + 5_000], RATE)
    return meter.loudness.gain(max_gain=30)


def live_gain_of(samples: Waveform, geometry: FrameGeometry) -> float:
    window = Window(geometry)
    for start in range(0, len(samples), 640):
        window.append(samples[start : start + 640])
        window.advance(len(samples))
    return window.loudness.gain(max_gain=30)


@pytest.mark.parametrize("name", BURSTS)
def test_what_knocks_beside_quiet_speech_does_not_undo_its_gain(
    rng: np.random.Generator, geometry: FrameGeometry, name: str
) -> None:
    speech = quiet_speech(rng)
    burst = np.zeros(2 * RATE, np.float32)
    burst[RATE // 2 : RATE // 2 + round(BURSTS[name] * RATE)] = 1.0
    both = np.concatenate((burst, speech))
    assert gain_of(both) > 0.4 * gain_of(speech) > 4
    assert live_gain_of(both, geometry) > 0.4 * live_gain_of(speech, geometry) > 4


@pytest.mark.parametrize("path", [SAMPLE, *[clip.path for clip in CLIPS]], ids=lambda path: path.name)
@pytest.mark.parametrize("share", [1.0, 0.05, 0.01])
def test_an_ordinary_recording_has_the_gain_of_its_peak(path: str, share: float) -> None:
    samples = share * soundfile.read(path, dtype="float32")[0]
    peak = float(np.abs(samples).max())
    assert gain_of(samples) == pytest.approx(1.0 if peak >= 0.1 else min(30.0, 0.95 / peak))


def test_the_limiter_leaves_alone_what_fits(rng: np.random.Generator) -> None:
    samples = rng.uniform(-CEILING, CEILING, 10_000).astype(np.float32)
    limiter = Limiter()
    pieces = [limiter.push(samples[a : a + 777]) for a in range(0, len(samples), 777)]
    assert np.concatenate((*pieces, limiter.flush())).tolist() == samples.tolist()


@pytest.mark.parametrize("size", [50, 640, 100_000])
def test_the_limiter_keeps_the_rest_and_the_length(rng: np.random.Generator, size: int) -> None:
    samples = rng.uniform(-0.5, 0.5, 40_000).astype(np.float32)
    samples[10_000:10_080] *= 50
    limiter = Limiter()
    pieces = [limiter.push(samples[a : a + size]) for a in range(0, len(samples), size)]
    out = np.concatenate((*pieces, limiter.flush()))
    assert len(out) == len(samples)
    assert np.abs(out).max() <= 1.0
    assert out[:9_700].tolist() == samples[:9_700].tolist()
    assert out[13_000:].tolist() == samples[13_000:].tolist()
    np.testing.assert_allclose(out, limited(samples), atol=1e-6)
