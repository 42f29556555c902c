"""Sound of the last stage: codecs, rooms, clicks and mumbling; and what its shards say."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.training.test_features import TONES
from training import codecs, features, sound, wide
from training.codecs import Codec
from training.notation import DOUBT
from training.numbers import Word
from training.voices import SAMPLE_RATE, Speech, Waveform


def bursts(seconds: float) -> Waveform:
    """Tones that come and go as syllables do."""
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sum([np.sin(2 * np.pi * hertz * times) / hertz for hertz in (220, 440, 880, 1760)], axis=0)
    tone = tone * (np.sin(2 * np.pi * 1.7 * times) > 0.3)
    waveform: Waveform = (0.5 * tone / np.abs(tone).max()).astype(np.float32)
    return waveform


@pytest.mark.parametrize("codec", [*codecs.MEASURED, codecs.A_LAW], ids=lambda codec: codec.name)
@pytest.mark.parametrize("seconds", [0.31, 2.7])
def test_a_codec_keeps_the_length_and_the_place(codec: Codec, seconds: float) -> None:
    waveform = bursts(seconds)
    heard = codecs.through(waveform, codec)
    assert heard.shape == waveform.shape
    assert heard.dtype == np.float32
    loud = [np.convolve(np.abs(one), np.ones(320) / 320, "same") for one in (waveform, heard)]
    shifts = range(-1600, 1601, 160)
    best = max(shifts, key=lambda shift: float((np.roll(loud[1], -shift) * loud[0]).sum()))
    assert abs(best) <= 160  # 10 ms


def test_every_bit_rate_of_training_is_one_that_its_encoder_takes() -> None:
    waveform = bursts(0.5)
    for codec in codecs.SHARES:
        sizes = [len(codecs.encode(waveform, codec, rate)) for rate in sorted(set(codec.bit_rates))]
        assert sizes == sorted(sizes)
    assert sum(codecs.SHARES.values()) == pytest.approx(1)


def test_a_room_keeps_length_and_level_and_fills_the_pauses() -> None:
    waveform = bursts(2.0)
    heard = sound.echo(waveform, Random(1), decay_s=0.5, direct_db=3)
    assert heard.shape == waveform.shape
    assert np.abs(heard).max() == pytest.approx(np.abs(waveform).max(), rel=1e-5)
    pauses = np.abs(waveform) < 1e-6
    assert (heard[pauses] ** 2).mean() > 1e-5


def test_clicks_are_short_and_few() -> None:
    waveform = bursts(2.0)
    heard = sound.clicks(waveform, Random(1), each_s=0.5)
    changed = np.flatnonzero(heard != waveform)
    assert 0 < len(changed) <= 4 * 0.005 * SAMPLE_RATE
    assert np.abs(heard).max() <= 1


def test_mumbling_lasts_as_long_as_asked_for() -> None:
    heard = sound.mumble(0.7, [bursts(1.0), bursts(0.3)], Random(1))
    assert len(heard) == int(0.7 * SAMPLE_RATE)
    assert 0 < np.abs(heard).max() <= 1


def test_what_is_mumbled_over_is_not_written() -> None:
    words = tuple(Word(text, text) for text in ["no", "acute", "fracture", "of", "the", "hip"])
    speech = Speech(bursts(3.0), "tone", [0.5 * number for number in range(6)])
    for seed in range(30):
        kept, mumbled = wide.mumbled(words, speech, [bursts(1.0)], Random(seed))
        texts = [word.written for word in kept]
        assert texts.count(DOUBT) == 1
        first = texts.index(DOUBT)
        behind = len(texts) - first - 1
        assert kept[:first] == words[:first]
        assert kept[first + 1 :] == words[len(words) - behind :]
        head = int(0.5 * first * SAMPLE_RATE)
        assert np.array_equal(mumbled.waveform[:head], speech.waveform[:head])


def test_where_it_is_not_known_when_words_start_mumbling_is_at_an_end() -> None:
    words = (Word("no", "no"), Word("fracture", "fracture"))
    ends = set()
    for seed in range(40):
        kept, mumbled = wide.mumbled(words, Speech(bursts(1.0), "pico"), [bursts(1.0)], Random(seed))
        if len(kept) > 1:
            ends.add(tuple(word.written for word in kept))
            assert len(mumbled.waveform) > SAMPLE_RATE
    assert ends == {(DOUBT, "no", "fracture"), ("no", "fracture", DOUBT)}


def test_a_wide_shard_hangs_on_its_seed_and_number_only_and_repeats_the_plain_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "UTTERANCES_PER_SHARD", 24)
    monkeypatch.setattr(features, "LONGEST_FRAMES", 5000)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        wide.build_shard(2, 7, [TONES], tmp_path / name)
    for name in ("0002.npy", "0002.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    texts = {utterance.text for utterance, _ in features.load(tmp_path / "first")}
    plain = set(list(features.plain_texts(7, 3))[2 * features.UTTERANCES_PER_SHARD :])
    assert 6 <= len(texts & plain) <= 13


def test_where_nobody_speaks_nothing_is_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "NOTHING_PER_SHARD", 6)
    assert wide.build_nothing(0, 1, [], tmp_path) > 0
    shard = features.load(tmp_path)
    assert [utterance.words for utterance, _ in shard] == [[]] * 6
    levels = [float(found.mean()) for _, found in shard]
    assert max(levels) - min(levels) > 1
    assert all(np.isfinite(found).all() for _, found in shard)
