"""What the posterior of a word is worth, and where that is known from."""

import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.decoding.confidence import AS_IT_IS, Confidence
from medasr_service.errors import ModelUnavailable
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.manifest import CONFIDENCE
from medasr_service.transcriber import Options, Transcriber
from tests.conftest import CLIPS
from training import confidence as measuring
from training.confidence import Judged

DEMO = Confidence.load(DEMO_FOLDER)
POSTERIORS = st.floats(0, 1)


def test_what_was_not_measured_stays_as_it_is(tmp_path: Path) -> None:
    assert Confidence.load(tmp_path) == AS_IT_IS
    assert [AS_IT_IS.probability(p) for p in (0.0, 1e-9, 0.3, 1.0)] == [0.0, 1e-9, 0.3, 1.0]


def test_the_demo_model_was_measured() -> None:
    """It is surer than it is right: `python -m training.confidence`."""
    assert DEMO != AS_IT_IS
    assert DEMO.probability(0.9) < 0.8
    assert DEMO.probability(1.0) > 0.98


@given(POSTERIORS, POSTERIORS)
def test_the_map_rises_and_stays_a_probability(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= DEMO.probability(low) <= DEMO.probability(high) <= 1


def test_slope_and_intercept_are_a_line_between_log_odds() -> None:
    found = Confidence(0.5, -1.0).probability(0.8)
    assert math.log(found / (1 - found)) == pytest.approx(0.5 * math.log(4) - 1)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"slope": 1}', '{"slope": "a", "intercept": 0}', '{"slope": -1, "intercept": 0}',
     '{"slope": NaN, "intercept": 0}', '{"slope": 1, "intercept": Infinity}'],
)  # fmt: skip
def test_a_damaged_file_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / CONFIDENCE).write_text(content)
    with pytest.raises(ModelUnavailable, match=CONFIDENCE) as caught:
        Confidence.load(tmp_path)
    assert "\n" not in caught.value.message


def test_the_fit_finds_the_line_that_made_the_words(rng: np.random.Generator) -> None:
    truth = Confidence(0.7, -1.2)
    posteriors = rng.uniform(0.05, 0.999, 20_000)
    words = [Judged("quiet", float(p), bool(rng.random() < truth.probability(p))) for p in posteriors]
    found = measuring.fit(words)
    assert [found.slope, found.intercept] == pytest.approx([0.7, -1.2], abs=0.06)
    assert measuring.error(words, found) < 0.02 < measuring.error(words, AS_IT_IS)


async def test_words_have_the_mapped_probability(
    make_transcriber: Callable[..., Transcriber], options: Options
) -> None:
    with CLIPS[0].path.open("rb") as file:
        transcript = await make_transcriber().transcribe(BytesIO(file.read()), options)
    for word in transcript.words:
        assert word.probability == DEMO.probability(measuring.posterior(word))


async def test_no_speech_prob_is_near_0_in_speech_and_noise_is_no_segment(
    make_transcriber: Callable[..., Transcriber], options: Options, rng: np.random.Generator
) -> None:
    speech = CLIPS[8].waveform
    noise = rng.normal(0, 0.02, 3 * 16_000).astype(np.float32)
    transcriber = make_transcriber(normalize=False)
    for waveform, segments in ((speech, 1), (noise, 0), (np.zeros(48_000, np.float32), 0)):
        file = BytesIO()
        soundfile.write(file, waveform, 16_000, format="WAV")
        file.seek(0)
        found = (await transcriber.transcribe(file, options)).segments
        assert (len(found) > 0) == (segments > 0)
        for segment in found:
            assert segment.no_speech_prob < 0.05
            assert -0.5 < segment.avg_logprob <= 0
