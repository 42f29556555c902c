"""What else the model considered for a word."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from medasr_service.decoding.alternatives import readings
from medasr_service.decoding.ctc import Vocabulary
from tests.conftest import CLIPS, SAMPLE, in_noise

PIECES = ("<blank>", "▁hypo", "▁hyper", "tension", "▁no", "{period}", "</s>")
VOCABULARY = Vocabulary(PIECES, 0, frozenset({0, 6}))
SURE = 0.98


def emission(*frames: dict[str, float]) -> np.ndarray:
    """Log-posteriors; what a frame does not name shares the rest."""
    rows = []
    for frame in frames:
        rest = (1 - sum(frame.values())) / (len(PIECES) - len(frame))
        rows.append([np.log(max(frame.get(piece, rest), 1e-9)) for piece in PIECES])
    # argpartition of ten pieces wants more than ten
    return np.pad(np.array(rows, np.float32), ((0, 0), (0, 8)), constant_values=-30)


WIDE = Vocabulary((*PIECES, *("x",) * 8), 0, frozenset({0, 6}))


def told(*frames: dict[str, float], written: str = "hypotension", count: int = 5) -> dict[str, float]:
    found = readings(emission(*frames), WIDE, written=written, begins=True, count=count)
    return {each.text: round(each.probability, 2) for each in found}


def test_the_other_reading_has_its_share() -> None:
    frames = [{"▁hypo": 0.6, "▁hyper": 0.39}, {"<blank>": SURE}, {"tension": SURE}]
    found = told(*frames)
    assert next(iter(found)) == "hypertension"
    assert found["hypertension"] == pytest.approx(0.39, abs=0.02)


def test_pieces_that_repeat_are_one_and_their_frames_add_up() -> None:
    frames = [{"▁hypo": 0.5, "▁hyper": 0.49}] * 2 + [{"tension": SURE}] * 2
    found = told(*frames)
    assert found["hypertension"] == pytest.approx(0.49**2, abs=0.01)
    assert "hyperhypertension" not in found


def test_a_sure_word_has_no_other_and_a_mark_is_none() -> None:
    assert told({"▁hypo": 0.999}, {"tension": 0.999}) == {}
    assert "{period}" not in told({"▁no": 0.5, "{period}": 0.45}, written="no")


def test_clips_tell_them_and_long_recordings_refuse(client: TestClient) -> None:
    fields = {
        "response_format": "verbose_json",
        "timestamp_granularities[]": "word",
        "alternatives": "3",
    }
    files = {"file": ("clip.wav", in_noise(CLIPS[3].waveform, 10))}
    plain = {**fields, "alternatives": "0"}
    body = client.post("/v1/audio/transcriptions", files=files, data=fields).json()
    without = client.post("/v1/audio/transcriptions", files=files, data=plain).json()
    assert body["text"] == without["text"]
    parts = [part for word in body["words"] for part in word.get("parts", [word])]
    assert all("alternatives" not in part for word in without["words"] for part in word.get("parts", [word]))
    doubtful = [part for part in parts if part["probability"] < 0.7]
    assert doubtful
    assert any(part.get("alternatives") for part in doubtful)
    for part in parts:
        shares = [each["probability"] for each in part.get("alternatives", [])]
        assert shares == sorted(shares, reverse=True)
        assert len(shares) <= 3
        assert all(each["text"] != part["raw"] for each in part.get("alternatives", []))


def test_they_need_the_times_of_words(client: TestClient) -> None:
    files = {"file": ("sample.wav", SAMPLE.read_bytes())}
    answer = client.post("/v1/audio/transcriptions", files=files, data={"alternatives": "3"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "alternatives"
