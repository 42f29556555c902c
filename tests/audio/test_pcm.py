"""Samples that come without a container."""

import io

import numpy as np
import pytest
import soundfile

from medasr_service.audio.pcm import A_LAW, MU_LAW, PCM16


@pytest.mark.parametrize(("law", "subtype"), [(MU_LAW, "ULAW"), (A_LAW, "ALAW")])
def test_each_code_of_g711_is_the_sample_that_libsndfile_has(law: np.ndarray, subtype: str) -> None:
    codes = io.BytesIO(bytes(range(256)))
    known, _ = soundfile.read(
        codes, dtype="int16", format="RAW", subtype=subtype, samplerate=8000, channels=1
    )
    np.testing.assert_array_equal(law, known)


def test_telephony_is_as_long_at_16_khz() -> None:
    pcm = PCM16(8000, MU_LAW)
    pieces = [pcm.decode(bytes([0x9F]) * 801), pcm.decode(b""), pcm.decode(bytes([0x1F]) * 799), pcm.flush()]
    assert sum(map(len, pieces)) == 3200


def test_what_is_held_is_what_a_flush_gives() -> None:
    pcm = PCM16(24_000)
    pcm.decode(bytes(4801))
    assert pcm.held == pytest.approx(len(pcm.flush()), abs=1)
    assert pcm.held == 0
    assert len(pcm.flush()) == 0


@pytest.mark.parametrize("size", [1, 3, 7, 4095])
def test_pieces_that_part_samples_are_the_whole(size: int, rng: np.random.Generator) -> None:
    data = rng.integers(-20_000, 20_000, 5000, np.int16).tobytes()
    whole, pieces = PCM16(16_000), PCM16(16_000)
    parts = [pieces.decode(data[at : at + size]) for at in range(0, len(data), size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.decode(data))
