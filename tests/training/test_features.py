"""Recordings and shards of features."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from training import features
from training.voices import SAMPLE_RATE, VOICES, Speech, Voice, espeak, present


def tone(seconds: float, silence_s: float = 0.3) -> np.ndarray:
    """A tone between two silences."""
    sound = np.sin(np.arange(int(seconds * SAMPLE_RATE)) * 0.3).astype(np.float32)
    silence = np.zeros(int(silence_s * SAMPLE_RATE), np.float32)
    return np.concatenate([silence, sound, silence])


def speak_tones(texts: list[list[str]], rng: Random) -> list[Speech | None]:
    return [
        Speech(tone(0.3 * len(said)), "tone", [0.3 + 0.3 * index for index in range(len(said))])
        for said in texts
    ]


TONES = Voice("tone", "none", "none", 1.0, speak_tones)


def fail(texts: list[list[str]], rng: Random) -> list[Speech | None]:
    raise OSError("no such library")


def test_word_starts_move_with_the_silence_in_front() -> None:
    for seed in range(20):
        heard = features.record(Speech(tone(1.0), "en-us", [0.3, 0.8]), Random(seed), noise=False)
        loud = np.flatnonzero(np.abs(heard.waveform) > 0.01 * np.abs(heard.waveform).max())
        assert heard.starts_s is not None
        assert heard.starts_s[0] == pytest.approx(loud[0] / SAMPLE_RATE, abs=0.005)
        assert heard.starts_s[-1] == pytest.approx(loud[-1] / SAMPLE_RATE, abs=0.005)


def test_noise_has_the_power_asked_for() -> None:
    clean = tone(2.0, silence_s=0.0)
    noise = features.add_noise(clean, 20, Random(1), coloured=False) - clean
    assert 10 * np.log10((clean**2).mean() / (noise**2).mean()) == pytest.approx(20, abs=0.2)


def test_a_shard_depends_on_its_seed_and_number_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "UTTERANCES_PER_SHARD", 24)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        features.build_shard(3, 7, [TONES], folder)
        assert {path.name for path in folder.iterdir()} == {"0003.npy", "0003.jsonl"}
    for name in ("0003.npy", "0003.jsonl"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    for utterance, array in features.load(first):
        assert array.shape == (utterance.frames, 128)
        assert utterance.starts_s is not None
        assert len(utterance.starts_s) == len(utterance.words) + 1


def test_a_missing_voice_is_named_and_left_out() -> None:
    absent = Voice("absent", "absent (Debian)", "none", 0.5, fail)
    assert present([TONES, absent]) == ([TONES], [absent])


@pytest.mark.needs("espeak-ng")
def test_espeak_tells_when_words_start() -> None:
    speech = espeak([["no", "C T", "of the", "chest"]], Random(1), accents=["en-us"], variants=[""])[0]
    assert speech is not None
    assert speech.starts_s is not None
    assert speech.starts_s == sorted(speech.starts_s)
    assert len(set(speech.starts_s)) == 4


def test_shares_add_up() -> None:
    assert sum(voice.share for voice in VOICES) == pytest.approx(1)
