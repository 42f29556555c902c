"""Greedy transcription with a checkpoint, one way for features and one for long recordings."""

# mypy: disallow-untyped-calls=false
# (transformers and torch leave some functions untyped)

import asyncio
import io
from itertools import groupby
from pathlib import Path
from typing import Any

import soundfile
import torch
from transformers import AutoModelForCTC, AutoProcessor, LasrForCTC, LasrTokenizer, pipeline

from medasr_service.cli import model as served
from medasr_service.settings import Settings
from medasr_service.transcriber import Options
from training.batches import Example, collate
from training.features import Features
from training.tokenizer import END_ID
from training.voices import SAMPLE_RATE, Waveform

CHUNK_S, STRIDE_S = 20, 2
ROWS = 12


@torch.inference_mode()
def transcribe(model: LasrForCTC, tokenizer: LasrTokenizer, features: list[Features]) -> list[str]:
    """The text of each utterance's features (frames, 128); utterances of up to 20 s."""
    device = next(model.parameters()).device
    texts = [""] * len(features)
    by_length = sorted(range(len(features)), key=lambda index: len(features[index]))
    for first in range(0, len(by_length), ROWS):
        rows = by_length[first : first + ROWS]
        examples = [Example(features[row], [0], None) for row in rows]
        batch = collate(examples, aligned=False, augment=None).to(device)
        ids: Any = model.generate(input_features=batch.features, attention_mask=batch.mask)
        for row, sequence in zip(rows, ids.tolist(), strict=True):
            kept = [piece for piece, _ in groupby(sequence) if piece not in (0, END_ID)]
            texts[row] = str(tokenizer.decode(kept, group_tokens=False))
    return texts


def load(folder: Path) -> tuple[LasrForCTC, LasrTokenizer]:
    """The model and tokenizer of a checkpoint folder."""
    processor: Any = AutoProcessor.from_pretrained(folder)
    return AutoModelForCTC.from_pretrained(folder).eval(), processor.tokenizer


def transcribe_long(folder: Path, waveforms: list[Waveform]) -> list[str]:
    """Long recordings through the transformers pipeline, in windows of 20 s with strides of 2 s."""
    recogniser: Any = pipeline("automatic-speech-recognition", model=str(folder))
    texts = []
    for waveform in waveforms:
        inputs = {"raw": waveform.copy(), "sampling_rate": SAMPLE_RATE}
        result = recogniser(inputs, chunk_length_s=CHUNK_S, stride_length_s=STRIDE_S)
        texts.append(" ".join(result["text"].replace("</s>", " ").split()))
    return texts


def transcribe_served(folder: Path, waveform: Waveform) -> str:
    """As the service does it, its windows cut at pauses; nothing formatted."""
    config = Settings(model=str(folder), engine="torch", formatting="raw")
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    file.seek(0)
    transcript = asyncio.run(served.load(config).transcribe(file, Options.defaults(config)))
    return transcript.text
