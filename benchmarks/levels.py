"""What is written of speech at several levels, beside clicks, knocks and doors, from files and live.

    python -m benchmarks.levels

The bundled clips, joined, as 16-bit samples: the speech at a level (RMS of its loud half, in dBFS), each kind
of noise at full scale, once before the speech and once in its first pause. The table is WER, file / live.
"""

import argparse
import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import replace

import jiwer
import numpy as np
import soundfile

from medasr_service import engines
from medasr_service.live.events import Completed
from medasr_service.live.session import Session, TurnDetection
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Options, Transcriber

RATE = 16_000
PIECE = RATE // 25
LEVELS_DB = (-20, -30, -40, -46, -52)
FRONT_S, PAUSE_S = 1.0, 1.0
NOISE = 10 ** (-90 / 20)  # of a good recorder


def click(rng: np.random.Generator) -> Waveform:
    return _burst(rng, 0.005, 1.0)


def knock(rng: np.random.Generator) -> Waveform:
    return _burst(rng, 0.1, 0.02)


def door(rng: np.random.Generator) -> Waveform:
    return _burst(rng, 0.6, 0.1)


def _burst(rng: np.random.Generator, seconds: float, decay_s: float) -> Waveform:
    """Noise at full scale that decays."""
    at = np.arange(round(seconds * RATE)) / RATE
    burst = rng.uniform(-1, 1, len(at)) * np.exp(-at / decay_s)
    scaled: Waveform = (burst / np.abs(burst).max()).astype(np.float32)
    return scaled


BESIDE: dict[str, Callable[[np.random.Generator], Waveform] | None] = {
    "nothing": None,
    "click, 5 ms": click,
    "knock, 100 ms": knock,
    "door, 600 ms": door,
}


def speech(count: int) -> tuple[list[Waveform], str]:
    lines = (DEMO_FOLDER / "clips" / "manifest.jsonl").read_text().splitlines()[:count]
    clips = [json.loads(line) for line in lines]
    waveforms: list[Waveform] = []
    for each in clips:
        waveforms.append(soundfile.read(DEMO_FOLDER / "clips" / each["audio"], dtype="float32")[0])
    return [each / _level(each) for each in waveforms], " ".join(each["text"] for each in clips)


def _level(waveform: Waveform) -> float:
    blocks = waveform[: len(waveform) // 320 * 320].reshape(-1, 320)
    energies = np.sort(np.square(blocks).mean(axis=1))
    return float(np.sqrt(energies[len(energies) // 2 :].mean()))


def recording(clips: list[Waveform], level_db: float, beside: str) -> Waveform:
    """What a recorder keeps: 16 bits, clipped at full scale."""
    rng = np.random.default_rng(1)
    parts: list[Waveform] = []
    for i, clip in enumerate(clips):
        quiet = np.zeros(round((PAUSE_S if i else FRONT_S) * RATE), np.float32)
        make = BESIDE[beside]
        if make and i < 2:
            burst = make(rng)
            quiet[RATE // 5 : RATE // 5 + len(burst)] = burst[: len(quiet) - RATE // 5]
        parts += [quiet, clip * np.float32(10 ** (level_db / 20))]
    whole = np.concatenate(parts)
    whole += rng.normal(0, NOISE, len(whole)).astype(np.float32)
    rounded: Waveform = (np.clip(np.round(whole * 32_768), -32_768, 32_767) / 32_768).astype(np.float32)
    return rounded


async def from_file(transcriber: Transcriber, options: Options, waveform: Waveform) -> str:
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE, format="WAV", subtype="PCM_16")
    return (await transcriber.transcribe(file, options)).raw_text


async def live(transcriber: Transcriber, settings: Settings, waveform: Waveform) -> str:
    """As a microphone brings it: the session has done what it has to before the next piece comes."""
    session = Session(
        transcriber.infer,
        transcriber.vocabulary,
        transcriber.geometry,
        settings,
        raw=True,
        turn_detection=TurnDetection(),
        clock=lambda: 0.0,
    )

    async def feed() -> None:
        for at in range(0, len(waveform), PIECE):
            session.append(waveform[at : at + PIECE])
            for _ in range(8):
                await asyncio.sleep(0)
        session.close()

    feeding = asyncio.create_task(feed())
    texts = [event.text async for event in session.events() if isinstance(event, Completed)]
    await feeding
    return "".join(texts)


async def measure(count: int) -> None:
    settings = Settings()
    demo = checkpoint.resolve(settings)
    engine = engines.load(demo, settings)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        return engine.infer(waveforms)

    transcriber = Transcriber.of(demo, infer, settings)
    options = replace(Options.defaults(settings), formatting="raw")
    clips, spoken = speech(count)
    print(f"| beside the speech | {' | '.join(f'{level} dBFS' for level in LEVELS_DB)} |")
    print(f"| --- |{' --- |' * len(LEVELS_DB)}")
    for beside in BESIDE:
        cells = []
        for level_db in LEVELS_DB:
            waveform = recording(clips, level_db, beside)
            both = (
                await from_file(transcriber, options, waveform),
                await live(transcriber, settings, waveform),
            )
            cells.append(" / ".join(f"{jiwer.wer(spoken, text):.3f}" for text in both))
        print(f"| {beside} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=4, help="how many of the bundled clips")
    asyncio.run(measure(parser.parse_args().clips))


if __name__ == "__main__":
    main()
