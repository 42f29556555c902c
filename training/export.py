"""The folder that ships: weights in half precision, processor, sample, clips and plot."""

# mypy: disallow-untyped-calls=false
# (transformers and torch leave some functions untyped)

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from transformers import LasrForCTC

from medasr_service.evaluation import scoring
from training import recognition
from training.evaluation import Recording, Texts, speak_report, speak_short
from training.features import extract
from training.stages import Point, Stage
from training.voices import SAMPLE_RATE, Voice, Waveform, espeak

CLIPS = 12
SHORTEST_CLIP_S, LONGEST_CLIP_S = 3.0, 10.0
SHORTEST_SAMPLE_S, LONGEST_SAMPLE_S = 32.0, 58.0
SAMPLE_TRIES = 4  # for one candidate of a clip, candidates for the sample
SAMPLE_VOICE = "flite slt"
# The clips' voices beside the table's: espeak-ng speaks five, in accents of its own.
ESPEAK_CLIPS = ("en-us+f2", "en-us+m3", "gmw/en+f4", "en-gb-scotland+m2", "en-gb-x-rp+f3")


@dataclass(frozen=True)
class Picked:
    """A recording, what the model writes, and how many others were passed over before it."""

    recording: Recording
    heard: str
    passed_over: int

    @property
    def is_exact(self) -> bool:
        return self.heard == self.recording.text

    @property
    def errors(self) -> int:
        """Word errors of the model."""
        words = len(scoring.normalise(self.recording.text).split())
        return round(words * scoring.word_error_rate([self.recording.text], [self.heard]))


def save_model(model: LasrForCTC, processor: Any, folder: Path) -> None:
    """Half-precision weights that load as single precision, and the processor."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    processor.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["dtype"] = config["encoder_config"]["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def clip_voices(voices: list[Voice]) -> list[Voice]:
    """Twelve voices for the clips: each of the table, then accents of espeak-ng."""
    others = [voice for voice in voices if voice.name != "espeak-ng"]
    template = next((voice for voice in voices if voice.name == "espeak-ng"), None)
    if template is not None:
        for name in ESPEAK_CLIPS:
            accent, variant = name.split("+")
            speak = partial(espeak, accents=[accent], variants=["+" + variant])
            others.append(replace(template, name="espeak-ng", speak=speak))
    return [others[number % len(others)] for number in range(CLIPS)]


def pick_clips(folder: Path, voices: list[Voice], texts: Texts, rng: Random, candidates: int) -> list[Picked]:
    """A short recording in each of twelve voices, the first that the model writes exactly."""
    return [pick_clip(folder, voice, texts, rng, candidates) for voice in clip_voices(voices)]


def pick_clip(folder: Path, voice: Voice, texts: Texts, rng: Random, candidates: int) -> Picked:
    """A short recording in the voice, the first that the model writes exactly, or the last tried."""
    model, tokenizer = recognition.load(folder)
    passed_over = 0
    while True:
        recording = speak_short(voice, 1, texts, rng)[0]
        if SHORTEST_CLIP_S <= recording.seconds <= LONGEST_CLIP_S:
            heard = recognition.transcribe(model, tokenizer, [extract(recording.waveform)])[0]
            picked = Picked(recording, heard, passed_over)
            passed_over += 1
            if heard == recording.text or passed_over == candidates:
                return picked


def pick_sample(folder: Path, voices: list[Voice], texts: Texts, rng: Random, candidates: int) -> Picked:
    """A report, the first that the model writes exactly in one piece, in windows, and as it is served."""
    model, tokenizer = recognition.load(folder)
    voice = next((voice for voice in voices if voice.name == SAMPLE_VOICE), voices[0])
    for passed_over in range(SAMPLE_TRIES * candidates):
        recording = speak_report(voice, texts, rng, SHORTEST_SAMPLE_S, LONGEST_SAMPLE_S, times=1)
        heard = recognition.transcribe(model, tokenizer, [extract(recording.waveform)])[0]
        picked = Picked(recording, _heard_long(folder, recording, heard), passed_over)
        if picked.is_exact:
            break
    return picked


def _heard_long(folder: Path, recording: Recording, heard: str) -> str:
    """What was heard in one piece; where that is exact, in windows; and then as the service cuts them."""
    for transcribe in (
        lambda waveform: recognition.transcribe_long(folder, [waveform])[0],
        lambda waveform: recognition.transcribe_served(folder, waveform),
    ):
        if heard == recording.text:
            heard = transcribe(recording.waveform)
    return heard


def kept_recordings(folder: Path, checkpoint: Path) -> tuple[Picked, list[Picked]]:
    """The sample and the clips of a folder, and what the checkpoint writes of them.

    Of the sample it is what is wrong, where it is written otherwise in one piece and in windows.
    """
    model, tokenizer = recognition.load(checkpoint)
    lines = (folder / "clips" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    clips = [json.loads(line) for line in lines]
    files = [folder / "sample.wav", *(folder / "clips" / clip["audio"] for clip in clips)]
    texts = [(folder / "sample.txt").read_text(encoding="utf-8").strip(), *(clip["text"] for clip in clips)]
    voices = [SAMPLE_VOICE, *(clip["voice"] for clip in clips)]
    recordings = [
        Recording(soundfile.read(file, dtype="float32")[0], text, voice)
        for file, text, voice in zip(files, texts, voices, strict=True)
    ]
    heard = recognition.transcribe(model, tokenizer, [extract(one.waveform) for one in recordings])
    heard[0] = _heard_long(checkpoint, recordings[0], heard[0])
    sample, *picked = [Picked(*each, 0) for each in zip(recordings, heard, strict=True)]
    return sample, picked


def save_recordings(folder: Path, sample: Recording, clips: list[Recording]) -> None:
    """sample.wav with its text, and the clips with their manifest; 16 bits, 16 kHz, mono."""
    _write(folder / "sample.wav", sample.waveform)
    (folder / "sample.txt").write_text(sample.text + "\n", encoding="utf-8")
    (folder / "clips").mkdir(exist_ok=True)
    lines = []
    for number, clip in enumerate(clips, 1):
        name = f"{number:02d}.flac"
        _write(folder / "clips" / name, clip.waveform)
        lines.append(json.dumps({"audio": name, "text": clip.text, "voice": clip.voice}) + "\n")
    (folder / "clips" / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")


def _write(file: Path, waveform: Waveform) -> None:
    """What was read from 16 bits is written as it was."""
    scaled = np.clip(np.rint(waveform * 32_768.0), -32_768, 32_767)
    soundfile.write(file, scaled.astype(np.int16), SAMPLE_RATE, subtype="PCM_16")


def plot(history: list[Point], stages: tuple[Stage, ...], path: Path) -> None:
    """Loss and WER over the steps, the stages told apart by shading."""
    steps = [point.step for point in history]
    figure, left = plt.subplots(figsize=(8, 4.5), layout="constrained")
    right = left.twinx()
    left.plot(steps, [point.loss for point in history], color="tab:blue", label="CTC loss")
    measured = [(point.step, 100 * point.wer) for point in history if point.wer is not None]
    right.plot(*zip(*measured, strict=True), color="tab:red", marker=".", label="WER")
    start = 0
    for number, stage in enumerate(stages):
        end = start + stage.steps
        left.axvspan(start, end, color="grey", alpha=0.08 + 0.10 * (number % 2), lw=0)
        middle = (start + end) / 2
        left.text(middle, 1.01, stage.name, transform=left.get_xaxis_transform(), ha="center")
        start = end
    left.set(xlabel="step", ylabel="CTC loss of training batches", yscale="log", xlim=(0, steps[-1]))
    right.set(ylabel="WER of the development recordings, %", yscale="log")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick >= 0.7 * min(np.array(measured)[:, 1])]
    right.set_yticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    left.legend(loc="lower left")
    right.legend(loc="upper right")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def publish(source: Path, target: Path) -> None:
    """Move every file of `source` into `target`, each renamed into its place in one go."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            temporary = place.with_name(place.name + ".tmp")
            temporary.write_bytes(path.read_bytes())
            temporary.replace(place)
