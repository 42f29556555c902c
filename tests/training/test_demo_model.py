"""The shipped checkpoint: loads unmodified, is small, writes its sample exactly."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from transformers import AutoModelForCTC, AutoProcessor, LasrForCTC, pipeline

from medasr_service.evaluation import scoring
from training import grammar, recognition
from training.features import extract
from training.tokenizer import CHARACTERS, END_ID, VOCABULARY_SIZE, encode

FOLDER = Path(__file__).parents[2] / "medasr_service" / "demo_model"

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(FOLDER)


def test_it_loads_as_single_precision_lasr() -> None:
    model = AutoModelForCTC.from_pretrained(FOLDER)
    assert isinstance(model, LasrForCTC)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.config.vocab_size == VOCABULARY_SIZE
    assert model.config.pad_token_id == 0


def test_it_is_at_most_ten_megabytes_and_its_language_model_three() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "artefacts" not in path.parts]
    sizes = {path.name: path.stat().st_size for path in files}
    assert sizes.pop("lm_6.kenlm") <= 3_000_000
    assert sum(sizes.values()) <= 10_000_000
    assert (FOLDER / "sample.wav").stat().st_size <= 2_000_000
    assert (FOLDER / "training.png").stat().st_size <= 200_000


def test_the_tokenizer_gives_every_dictation_back(processor: Any) -> None:
    dictation = grammar.load("evaluation", 12)
    for _ in range(500):
        words = [word.written for word in dictation.utterance()]
        ids = [piece for word in encode(processor.tokenizer, words) for piece in word]
        assert (ids[-1] == END_ID) == (words[-1] == "{period}")
        text = processor.tokenizer.decode([piece for piece in ids if piece != END_ID], group_tokens=False)
        assert text == " ".join(words)


def test_every_character_has_a_piece(processor: Any) -> None:
    assert len(processor.tokenizer) == VOCABULARY_SIZE
    assert processor.tokenizer.convert_ids_to_tokens(3) == "▁"
    unknown = processor.tokenizer.unk_token_id
    for character in CHARACTERS:
        assert unknown not in processor.tokenizer(character, add_special_tokens=False).input_ids


def test_the_sample_is_written_exactly() -> None:
    text = (FOLDER / "sample.txt").read_text(encoding="utf-8").strip()
    waveform, rate_hz = soundfile.read(FOLDER / "sample.wav", dtype="float32")
    assert rate_hz == 16_000
    assert waveform.ndim == 1
    assert 30 <= len(waveform) / rate_hz <= 60
    model, tokenizer = recognition.load(FOLDER)
    assert recognition.transcribe(model, tokenizer, [extract(waveform)]) == [text]
    assert recognition.transcribe_long(FOLDER, [waveform]) == [text]


def test_the_pipeline_takes_it_unmodified() -> None:
    clip = json.loads((FOLDER / "clips" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[0])
    recogniser = pipeline("automatic-speech-recognition", model=str(FOLDER))
    waveform, _ = soundfile.read(FOLDER / "clips" / clip["audio"], dtype="float32")
    heard: Any = recogniser(waveform)
    assert scoring.word_error_rate([clip["text"]], [heard["text"]]) == 0


def test_twelve_clips_of_different_voices_have_texts() -> None:
    lines = (FOLDER / "clips" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    clips = [json.loads(line) for line in lines]
    assert len(clips) == 12
    assert len({clip["voice"] for clip in clips}) == 12
    for clip in clips:
        heard = soundfile.info(FOLDER / "clips" / clip["audio"])
        assert (heard.samplerate, heard.channels, heard.subtype) == (16_000, 1, "PCM_16")
        assert 3 <= heard.duration <= 10
        assert clip["text"]


def test_the_card_says_what_it_is() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "Not for clinical use" in card
    assert "not human speech" in card
