"""medasr listen: what is said into the microphone, as text that grows. All stays on this machine."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from medasr_service.audio.stream import SAMPLE_RATE
from medasr_service.cli import model
from medasr_service.cli.console import put, tell
from medasr_service.cli.growing import Growing
from medasr_service.cli.status import EXIT_OK
from medasr_service.decoding import keywords
from medasr_service.errors import InvalidRequest, MedASRError, UsageError
from medasr_service.live.events import Delta, Failed, Hypothesis
from medasr_service.live.session import Session, TurnDetection
from medasr_service.model.geometry import Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Transcriber

BLOCK = SAMPLE_RATE // 25  # samples that the microphone gives at a time


class NoMicrophone(MedASRError):
    """There is no microphone, or nothing to read it with."""


class Listen(Protocol):
    """Opens a microphone; what it hears goes to the callback, from a thread of its own."""

    def __call__(
        self, device: str | int | None, on_audio: Callable[[Waveform], None]
    ) -> AbstractContextManager[Any]: ...


def add(commands: Any) -> None:
    parser = commands.add_parser("listen", help="print what is said into the microphone, while it is said")
    parser.add_argument(
        "--device", help="number or part of the name of the microphone; default: the system's"
    )
    parser.add_argument("--formatting", choices=("dictation", "raw"), help="default: as set")
    parser.add_argument("--keyword", action="append", default=[], help="a term to favour; may be repeated")
    parser.add_argument("--keywords-file", type=Path, help="terms to favour, one a line")
    parser.add_argument("--list-devices", action="store_true", help="print the microphones and leave")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, config: Settings) -> int:
    if options.list_devices:
        put(str(_sounddevice().query_devices()))
        return EXIT_OK
    device = int(options.device) if options.device and options.device.isdigit() else options.device
    with microphone(device, lambda _: None):  # before the model's minute
        pass
    try:
        terms = [*options.keyword, *keywords.read(options.keywords_file)]
        transcriber = model.load(config)
        transcriber.live_search(terms)
    except InvalidRequest as error:
        raise UsageError(error.message) from None
    raw = (options.formatting or config.formatting) == "raw"
    tell("listening; Ctrl-C ends it")
    asyncio.run(listen(transcriber, config, microphone, device=device, raw=raw, terms=terms))
    return EXIT_OK


async def listen(
    transcriber: Transcriber,
    config: Settings,
    microphone: Listen,
    *,
    device: str | int | None = None,
    raw: bool = False,
    terms: Sequence[str] = (),
) -> None:
    """Prints until the microphone ends or the user does: then what was said is still transcribed."""
    text = Growing()
    session = Session(
        transcriber.infer,
        transcriber.vocabulary,
        transcriber.geometry,
        config,
        raw=raw,
        turn_detection=TurnDetection(),
        search=transcriber.live_search(terms),
        hypotheses=text.shows_guesses,
    )
    loop = asyncio.get_running_loop()

    def hear(samples: Waveform) -> None:
        loop.call_soon_threadsafe(session.append, samples if len(samples) else np.empty(0, np.float32))

    with microphone(device, hear):
        printing = asyncio.create_task(_print(session, text))
        with suppress(asyncio.CancelledError):  # Ctrl-C
            await asyncio.shield(printing)
    session.close()
    await printing
    put("")


async def _print(session: Session, text: Growing) -> None:
    async for event in session.events():
        match event:
            case Delta():
                text.add(event.text)
            case Hypothesis():
                text.guess(event.text)
            case Failed():
                text.guess("")
                print(f"\nmedasr: {event.error.message}", file=sys.stderr)
                text.at_line_start()


def microphone(device: str | int | None, on_audio: Callable[[Waveform], None]) -> AbstractContextManager[Any]:
    """Mono at 16 kHz. Raises NoMicrophone."""
    sounddevice = _sounddevice()

    def callback(block: Any, frames: int, when: Any, status: Any) -> None:
        if status:  # the machine was too busy to take all of it
            print(f"\nmedasr: the microphone lost sound ({status}): words may be missing", file=sys.stderr)
        on_audio(block[:, 0].copy())

    try:
        stream: AbstractContextManager[Any] = sounddevice.InputStream(
            samplerate=SAMPLE_RATE,
            blocksize=BLOCK,
            channels=1,
            dtype="float32",
            device=device,
            callback=callback,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise NoMicrophone(f"No microphone can be opened: {reason}") from None
    return stream


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise NoMicrophone("medasr listen needs sounddevice: pip install sounddevice") from None
    except OSError:
        raise NoMicrophone("medasr listen needs PortAudio: apt install libportaudio2") from None
    return sounddevice
