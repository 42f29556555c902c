"""medasr listen, with a microphone that is the test's, and medasr transcribe --stream."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from medasr_service import cli
from medasr_service.cli import EXIT_OK, EXIT_USAGE, listen, model
from medasr_service.cli.growing import Growing
from medasr_service.errors import NotReady
from medasr_service.live.events import Delta, Event, Failed, Hypothesis
from medasr_service.live.session import Session
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.text.transcript import Word
from medasr_service.transcriber import Transcriber
from tests.conftest import CLIPS
from tests.test_transcriber import GEOMETRY, SENTENCE, VOCABULARY, hear, spell

TEXT = "FINDINGS\nLungs are clear."
SPEECH = np.concatenate((spell(SENTENCE), np.zeros(16_000, np.float32)))


async def infer(waveforms: list[Waveform]) -> list[Emission]:
    return [hear(waveform) for waveform in waveforms]


def transcriber() -> Transcriber:
    return Transcriber(infer, VOCABULARY, GEOMETRY, Settings(normalize=False))


async def test_what_is_said_is_printed_while_it_is_said_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    grown: list[str] = []
    spoken = asyncio.Event()
    loop = asyncio.get_running_loop()

    @contextmanager
    def microphone(device: Any, on_audio: Callable[[Waveform], None]) -> Iterator[None]:
        async def speak() -> None:
            for at in range(0, len(SPEECH), 640):
                await asyncio.to_thread(on_audio, SPEECH[at : at + 640])
            grown.append(capsys.readouterr().out)
            await asyncio.to_thread(on_audio, SPEECH)
            spoken.set()

        speaking = loop.create_task(speak())
        yield
        assert speaking.done()

    listening = asyncio.create_task(listen.listen(transcriber(), Settings(normalize=False), microphone))
    await spoken.wait()
    listening.cancel()  # as Ctrl-C does
    await listening
    assert grown[0] == TEXT
    assert grown[0] + capsys.readouterr().out == f"{TEXT}\n\n{TEXT}\n"


def terminal(written: str, columns: int) -> list[str]:
    """The lines of a terminal that was sent this: what is dim in the brackets."""
    lines, row, column, dim = [[" "] * columns], 0, 0, False
    for part in re.findall(r"\x1b\[\d*[A-Za-z]|.|\n", written):
        match part:
            case "\x1b[2m" | "\x1b[0m":
                dim = part == "\x1b[2m"
            case "\x1b[A":
                row -= 1
            case "\x1b[J":
                lines = [*lines[:row], lines[row][:column] + [" "] * (columns - column)]
            case "\n":
                row, column = row + 1, 0
            case _ if part.startswith("\x1b"):
                column = int(part[2:-1]) - 1
            case _:
                if column == columns:
                    row, column = row + 1, 0
                while len(lines) <= row:
                    lines.append([" "] * columns)
                lines[row][column] = f"<{part}>" if dim else part
                column += 1
        while len(lines) <= row:
            lines.append([" "] * columns)
    return ["".join(line).replace("><", "").rstrip() for line in lines]


@pytest.mark.parametrize("columns", [30, 37, 80])
def test_on_a_terminal_what_is_not_sure_is_dim_and_rewritten(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    text, written, sure = Growing(), "", ""
    report = "FINDINGS:\nThe lungs are clear.\n\nThere is no effusion, no pneumothorax and no oedema."
    said = re.split(" ", report)
    for i, word in enumerate(said):
        guess = (" " if i else "") + " ".join(said[i : i + 4])
        text.guess(guess)
        written += capsys.readouterr().out
        now = terminal(written, columns)
        seen = "".join(re.findall("<(.*?)>", "".join(now)))
        assert seen.strip("… ")
        assert guess.endswith(seen[-3:])
        sure += (" " if i else "") + word
        text.add((" " if i else "") + word)
        written += capsys.readouterr().out
        assert terminal(written, columns) == terminal(sure, columns)


async def test_a_guess_behind_a_failure_is_taken_back_from_where_it_stands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", sys.stdout)  # the same terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    class Failing:
        async def events(self) -> AsyncGenerator[Event, None]:
            yield Delta(0, (spoken("The lungs"),))
            yield Failed(0, NotReady("Away."))
            yield Hypothesis(1, "The hurt")
            yield Delta(1, (spoken("The heart"),))

    await listen._print(cast(Session, Failing()), Growing())
    assert terminal(capsys.readouterr().out, 80) == ["The lungs", "medasr: Away.", "The heart"]


def spoken(text: str) -> Word:
    return Word(text, 0.0, 1.0, 0.99, (), written=text)


def test_where_nobody_looks_there_is_only_what_is_sure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = Growing()
    text.add("The lungs")
    text.guess(" are cle")
    text.add(" are clear.")
    assert capsys.readouterr().out == "The lungs are clear."
    assert not text.shows_guesses


def test_without_sounddevice_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert cli.main(["listen"]) == EXIT_USAGE
    assert "pip install sounddevice" in capsys.readouterr().err


class PortAudioError(Exception):
    pass


def refuse(**_: Any) -> AbstractContextManager[Any]:
    raise PortAudioError("Error querying device -1")


def test_without_a_microphone_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = SimpleNamespace(PortAudioError=PortAudioError, InputStream=refuse)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    assert cli.main(["listen"]) == EXIT_USAGE
    assert "No microphone can be opened: Error querying device -1" in capsys.readouterr().err


def test_the_microphone_is_asked_for_what_the_model_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def open_stream(**options: Any) -> AbstractContextManager[Any]:
        asked.update(options)
        return contextmanager(lambda: iter([None]))()

    fake = SimpleNamespace(PortAudioError=PortAudioError, InputStream=open_stream)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    heard: list[Waveform] = []
    with listen.microphone("headset", heard.append):
        asked["callback"](np.ones((640, 1), np.float32), 640, None, None)
    assert (asked["samplerate"], asked["channels"], asked["device"]) == (16_000, 1, "headset")
    assert heard[0].shape == (640,)


def test_sound_that_the_microphone_lost_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def open_stream(**options: Any) -> AbstractContextManager[Any]:
        asked.update(options)
        return contextmanager(lambda: iter([None]))()

    fake = SimpleNamespace(PortAudioError=PortAudioError, InputStream=open_stream)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with listen.microphone(None, lambda _: None):
        asked["callback"](np.ones((640, 1), np.float32), 640, None, "input overflow")
    assert "lost sound (input overflow): words may be missing" in capsys.readouterr().err


def test_a_stream_prints_each_segment_as_it_comes(
    make_transcriber: Callable[..., Transcriber],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(model, "load", lambda _: make_transcriber())
    name = str(CLIPS[0].path)
    assert cli.main(["transcribe", name, "--no-progress"]) == EXIT_OK
    plain = capsys.readouterr().out
    assert cli.main(["transcribe", name, "--stream"]) == EXIT_OK
    assert capsys.readouterr().out == plain
    assert cli.main(["transcribe", name, "--stream", "--format", "srt"]) == EXIT_USAGE


def test_keywords_that_cannot_be_are_told_before_the_microphone_is_listened_to(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "microphone", lambda device, on_audio: nullcontext())
    monkeypatch.setattr(model, "load", lambda config: transcriber())
    assert cli.main(["listen", "--keyword", "x" * 65]) == EXIT_USAGE
    assert "the limit is 64" in capsys.readouterr().err
