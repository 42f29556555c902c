"""Time to the final segment, as pipecat measures services: from the end of speech to the last text of it.

    python -m benchmarks.final_segment                                 # full-size cost, demo words
    python -m benchmarks.final_segment --simulate --batch 0.021 0.029  # in virtual time, see benchmarks.live
    python -m benchmarks.final_segment --url ws://127.0.0.1:8400       # a service, over its WebSocket

As in pipecat-ai/stt-benchmark sound comes in real time, in pieces of 20 ms, and silence behind it; after
0.2 s without speech the client takes the turn as over, and commits. Speech is what is louder than 30 dB
below the loudest piece: there Silero's detector says it. ``--server-vad``: no commit, the service finds the
end in a pause of 0.5 s. The recordings are the bundled ones: words are right or wrong of the demo model, not
of google/medasr; times are of its full size.
"""

import argparse
import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import jiwer
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import random_checkpoint
from benchmarks.live import Bench, recordings, spoken
from benchmarks.shared_model import RATE, Cost
from medasr_service.live.events import Completed
from medasr_service.live.session import Session, TurnDetection
from medasr_service.model.geometry import Waveform
from medasr_service.settings import Settings

PIECE = RATE // 50
STOP_S = 0.2  # pipecat's VAD stop_secs
SPEECH = 10 ** (-30 / 20)  # of the loudest piece
SILENCE_S = 4.0  # behind each recording
PART = "conversation.item.input_audio_transcription"


class Listener(Protocol):
    async def append(self, samples: Waveform) -> None: ...
    async def commit(self) -> None: ...
    async def end(self) -> None: ...
    def texts(self) -> AsyncIterator[str]:
        """Of the turns, each when it is complete."""
        ...


class InProcess:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def append(self, samples: Waveform) -> None:
        self._session.append(samples)

    async def commit(self) -> None:
        self._session.commit()

    async def end(self) -> None:
        self._session.close()

    async def texts(self) -> AsyncIterator[str]:
        async for event in self._session.events():
            if isinstance(event, Completed):
                yield event.text


class OverTheWire:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def _say(self, kind: str, **event: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **event}))

    async def open(self, *, server_vad: bool) -> None:
        audio_input = {
            "format": {"type": "audio/pcm", "rate": RATE},
            "transcription": {"formatting": "raw"},
            "turn_detection": {"type": "server_vad"} if server_vad else None,
        }
        await self._say("session.update", session={"type": "transcription", "audio": {"input": audio_input}})
        while json.loads(await self._socket.recv())["type"] != "session.updated":
            pass

    async def append(self, samples: Waveform) -> None:
        pcm = (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
        await self._say("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    async def commit(self) -> None:
        await self._say("input_audio_buffer.commit")

    async def end(self) -> None:
        await self._socket.close()

    async def texts(self) -> AsyncIterator[str]:
        async for message in self._socket:
            event = json.loads(message)
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
            if event["type"] == f"{PART}.completed":
                yield event["transcript"]


def speech(waveform: Waveform) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Of each whole piece, whether there is speech in it."""
    pieces = waveform[: len(waveform) // PIECE * PIECE].reshape(-1, PIECE)
    levels = np.sqrt(np.square(pieces, dtype=np.float64).mean(axis=1))
    found: np.ndarray[Any, np.dtype[np.bool_]] = levels >= SPEECH * levels.max()
    return found


async def heard(listener: Listener, waveform: Waveform, *, commits: bool) -> tuple[float, str]:
    """Seconds from the end of speech to the last turn's text, and the text of all."""
    clock = asyncio.get_running_loop().time
    is_speech = speech(waveform)
    last = int(np.flatnonzero(is_speech)[-1])
    pieces = np.concatenate((waveform, np.zeros(int(SILENCE_S * RATE), np.float32)))
    texts: list[tuple[float, str]] = []
    start = clock()

    async def speak() -> None:
        quiet, said = 0, False
        for i in range(len(pieces) // PIECE):
            await asyncio.sleep(start + (i + 1) * PIECE / RATE - clock())
            await listener.append(pieces[i * PIECE : (i + 1) * PIECE])
            quiet = 0 if i < len(is_speech) and is_speech[i] else quiet + 1
            said = said or not quiet
            if commits and said and quiet * PIECE >= STOP_S * RATE:
                await listener.commit()
                said = False
        await listener.end()

    speaking = asyncio.create_task(speak())
    async for text in listener.texts():
        if text.strip():
            texts.append((clock(), text))
    await speaking
    end = start + (last + 1) * PIECE / RATE
    return texts[-1][0] - end, "".join(text for _, text in texts)


async def over_the_wire(url: str, *, server_vad: bool) -> list[tuple[float, str]]:
    found = []
    for _, waveform in recordings():
        async with connect(f"{url}/v1/realtime?intent=transcription", proxy=None) as socket:
            listener = OverTheWire(socket)
            await listener.open(server_vad=server_vad)
            found.append(await heard(listener, waveform, commits=not server_vad))
    return found


async def in_process(bench: Bench, *, server_vad: bool) -> list[tuple[float, str]]:
    batches = bench.batches()
    running = asyncio.create_task(batches.run())
    found = []
    for _, waveform in recordings():
        session = bench.session(batches.infer, TurnDetection() if server_vad else None)
        found.append(await heard(InProcess(session), waveform, commits=not server_vad))
    running.cancel()
    return found


def summary(found: list[tuple[float, str]]) -> dict[str, float]:
    times = 1000 * np.array([seconds for seconds, _ in found])
    return {
        "recordings": len(found),
        **{f"ttfs_p{p}_ms": round(float(np.percentile(times, p))) for p in (50, 95, 99)},
        "wer_percent": round(100 * jiwer.wer(spoken(), [text for _, text in found]), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="of a service (ws://...); default: in this process")
    parser.add_argument("--cost", default="build/random-checkpoint", help="as for benchmarks.live")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--delay", default="medium", help="as for benchmarks.live")
    parser.add_argument("--server-vad", action="store_true", help="the service finds the end of a turn")
    parser.add_argument("--simulate", action="store_true", help="in virtual time")
    parser.add_argument("--batch", type=float, nargs=2, metavar=("GROUP_S", "SECOND_S"))
    options = parser.parse_args()
    if options.url:
        found = asyncio.run(over_the_wire(options.url, server_vad=options.server_vad))
    else:
        given = Cost(*options.batch) if options.batch else None
        cost = None if options.cost == "none" or given else random_checkpoint.make(Path(options.cost))
        settings = Settings.model_validate({"precision": options.precision})
        simulate = options.simulate or given is not None
        bench = Bench(settings, cost, simulate=simulate, batch=given, delay=options.delay)
        found = bench.run(in_process(bench, server_vad=options.server_vad))
    print(json.dumps(summary(found), indent=2))


if __name__ == "__main__":
    main()
