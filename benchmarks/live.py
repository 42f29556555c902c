"""Live dictation, measured: what it writes against the file's text, how late the text comes, how many speak.

    python -m benchmarks.live                                    # full-size cost, the demo model's words
    python -m benchmarks.live --cost none                        # the demo model alone
    python -m benchmarks.live --simulate --seconds 120
    python -m benchmarks.live --simulate --batch 0.021 0.029 --hypotheses --delay low

The full-size network with random weights costs what google/medasr costs, and hears nothing. So each batch is
run twice: by the full-size network, whose posteriors are thrown away, and by the demo model, whose posteriors
are used. The demo model is small (it adds a few per cent), and what is measured is the text of real words at
the full cost. Sessions share one model, as in the service: what waits while a batch runs makes the next
batch. The hop between BentoML's processes (15 to 20 ms) and the WebSocket are not in it.

With ``--simulate`` time is virtual: how long a batch takes is measured beforehand, and waited for on a clock
that jumps. It says soon, and whatever else the machine does, what a change of the sessions' pace is worth;
the figures that count are those without it. ``--batch`` says what a batch costs: so runs can be compared.

Times of words are those that the file's transcript has, from the sound. Microphones are played in real time,
in pieces of 40 ms, each stream starting a little later than the one before.
"""

import argparse
import asyncio
import json
import resource
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import soundfile

from benchmarks import random_checkpoint, virtual_time
from benchmarks.shared_model import RATE, Batches, Cost, Forward
from medasr_service import engines
from medasr_service.api.realtime_session import CONTEXT
from medasr_service.decoding import language_model
from medasr_service.decoding.beam import BeamDecoder
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.live.events import Completed, Delta, Event, Hypothesis
from medasr_service.live.session import Session, TurnDetection
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.text.transcript import Transcript, Word
from medasr_service.transcriber import Infer, Options, Transcriber

PIECE = RATE // 25
STREAMS = (1, 2, 4, 6, 8)
HELD_S = 2.0  # p95 of a stream that is held
PAUSE_S = 1.2  # between the clips of a stream
Json = dict[str, Any]


@dataclass
class Heard:
    """What one stream was told, and when: seconds since its first sample."""

    deltas: list[tuple[float, Word]] = field(default_factory=list)
    guesses: list[tuple[float, int, list[str]]] = field(default_factory=list)  # when, behind how many words
    turns: list[tuple[float, Completed]] = field(default_factory=list)

    def take(self, at_s: float, event: Event) -> None:
        if isinstance(event, Delta):
            self.deltas += [(at_s, word) for word in event.words]
        elif isinstance(event, Hypothesis):
            self.guesses.append((at_s, len(self.deltas), event.text.split()))
        elif isinstance(event, Completed):
            self.turns.append((at_s, event))

    @property
    def text(self) -> str:
        return "".join(turn.text for _, turn in self.turns)


def recordings(noise_db: float | None = None) -> list[tuple[str, Waveform]]:
    """The bundled ones; with white noise, so many decibels below the speech, where that is given."""
    paths = [*sorted((DEMO_FOLDER / "clips").glob("*.flac")), DEMO_FOLDER / "sample.wav"]
    found = [(path.name, soundfile.read(path, dtype="float32")[0]) for path in paths]
    if noise_db is None:
        return found
    rng = np.random.default_rng(0)
    return [(name, _noisy(waveform, noise_db, rng)) for name, waveform in found]


def _noisy(waveform: Waveform, below_db: float, rng: np.random.Generator) -> Waveform:
    level = float(np.sqrt(np.square(waveform).mean())) * 10 ** (-below_db / 20)
    return waveform + rng.normal(0, level, len(waveform)).astype(np.float32)


def spoken() -> list[str]:
    """What is said in them."""
    lines = (DEMO_FOLDER / "clips" / "manifest.jsonl").read_text().splitlines()
    clips = sorted((each["audio"], each["text"]) for each in map(json.loads, lines))
    return [*(text for _, text in clips), (DEMO_FOLDER / "sample.txt").read_text()]


def joined(rng: np.random.Generator, seconds: float) -> Waveform:
    """Clips with pauses between them, for so long at the least."""
    clips = [waveform for name, waveform in recordings() if name.endswith(".flac")]
    parts: list[Waveform] = []
    while sum(map(len, parts)) < seconds * RATE:
        parts += [clips[rng.integers(len(clips))], np.zeros(int(PAUSE_S * RATE), np.float32)]
    return np.concatenate(parts)


async def as_fast_as_heard(session: Session, waveform: Waveform) -> Heard:
    """The audio in small pieces, each offered only when the session waits for it: time does not matter."""
    heard = Heard()

    async def feed() -> None:
        for at in range(0, len(waveform), PIECE):
            session.append(waveform[at : at + PIECE])
            for _ in range(8):  # the session runs as far as it can
                await asyncio.sleep(0)
        session.close()

    feeding = asyncio.create_task(feed())
    async for event in session.events():
        heard.take(0.0, event)
    await feeding
    return heard


async def as_spoken(session: Session, waveform: Waveform, *, delay_s: float = 0.0) -> Heard:
    """The audio in real time."""
    heard = Heard()
    clock = asyncio.get_running_loop().time
    await asyncio.sleep(delay_s)
    start = clock()

    async def feed() -> None:
        for at in range(0, len(waveform), PIECE):
            await asyncio.sleep(start + (at + PIECE) / RATE - clock())
            session.append(waveform[at : at + PIECE])
        session.close()

    feeding = asyncio.create_task(feed())
    async for event in session.events():
        heard.take(clock() - start, event)
    await feeding
    return heard


def delays(heard: Heard, words: Sequence[Word]) -> tuple[list[float], list[float], list[float]]:
    """Seconds from the end of each word to its delta, from the last of each turn to ``completed``, and from
    the end of each word to its first sight, sure or not, as it is in the end."""
    live = [word for _, word in heard.deltas]
    ends: dict[int, float] = {}
    matcher = SequenceMatcher(a=[w.text for w in live], b=[w.text for w in words], autojunk=False)
    for a, b, size in matcher.get_matching_blocks():
        ends.update({a + i: words[b + i].end for i in range(size)})
    of_words = [at - ends[i] for i, (at, _) in enumerate(heard.deltas) if i in ends]
    seen = {i: at for i, (at, _) in enumerate(heard.deltas)}
    for at, behind, guess in reversed(heard.guesses):
        for i, text in enumerate(guess, behind):
            if i in seen and text == live[i].text:
                seen[i] = min(at, seen[i])
    of_turns, last = [], -1
    for at, turn in heard.turns:
        last += len(turn.words)
        if turn.words and last in ends:
            of_turns.append(at - ends[last])
    return of_words, of_turns, [seen[i] - end for i, end in ends.items()]


class Bench:
    """``cost`` is the checkpoint that is run for its cost; simulated, it is run beforehand only."""

    def __init__(
        self,
        settings: Settings,
        cost: Path | None,
        *,
        simulate: bool = False,
        batch: Cost | None = None,
        noise_db: float | None = None,
        hypotheses: bool = False,
        delay: str = "medium",
    ) -> None:
        self._hypotheses, self._context = hypotheses, CONTEXT[delay]
        self._settings = settings
        self._noise_db = noise_db
        self._found = checkpoint.resolve(settings)
        self._vocabulary = Vocabulary.load(self._found.folder)
        self._beam: BeamDecoder | None = None
        if settings.decoding == "lm":
            self._beam = language_model.load(self._found, self._vocabulary, settings)
        self._demo = engines.load(self._found, settings)
        self._forwards: list[Forward] = [self._demo.infer]
        if cost and not batch:
            full = checkpoint.resolve(settings.model_copy(update={"model": str(cost)}))
            self._forwards.insert(0, engines.load(full, settings).infer)
        self.cost: Cost | None = None
        if simulate:
            self.cost, self._forwards = batch or Cost.measured(self._forwards[0]), [self._demo.infer]
        self.run = virtual_time.run if simulate else asyncio.run

    def session(self, infer: Infer, turns: TurnDetection | None) -> Session:
        clock = asyncio.get_running_loop().time
        return Session(
            infer,
            self._vocabulary,
            self._found.geometry,
            self._settings,
            raw=True,
            turn_detection=turns,
            clock=clock,
            search=self._beam.search() if self._beam else None,
            hypotheses=self._hypotheses,
            context=self._context,
        )

    def batches(self) -> Batches:
        return Batches(*self._forwards, cost=self.cost)

    async def _file(self, waveform: Waveform) -> Transcript:
        import io

        file = io.BytesIO()
        soundfile.write(file, waveform, RATE, format="WAV", subtype="FLOAT")
        transcriber = Transcriber(self._alone, self._vocabulary, self._found.geometry, self._settings)
        return await transcriber.transcribe(
            file, replace(Options.defaults(self._settings), decoding="greedy")
        )

    async def _alone(self, waveforms: list[Waveform]) -> list[Emission]:
        return self._demo.infer(waveforms)

    async def accuracy(self) -> Json:
        """WER of what was completed live against the file's text, decoded greedily, and against what is said,
        over the bundled recordings."""
        result: Json = {}
        for name, turns in (("server_vad", TurnDetection()), ("manual", None)):
            pairs = []
            for _, waveform in recordings(self._noise_db):
                heard = await as_fast_as_heard(self.session(self._alone, turns), waveform)
                pairs.append(((await self._file(waveform)).raw_text, heard.text))
            output = jiwer.process_words([a for a, _ in pairs], [b for _, b in pairs])
            errors = output.substitutions + output.deletions + output.insertions
            against_speech = jiwer.process_words(spoken(), [text for _, text in pairs])
            result[name] = {
                "wer_percent": round(100 * output.wer, 2),
                "wer_percent_of_speech": round(100 * against_speech.wer, 2),
                "words": errors + output.hits - output.insertions,
                "recordings_equal": sum(a == b for a, b in pairs),
                "recordings": len(pairs),
            }
        return result

    async def files(self, waveforms: Sequence[Waveform]) -> list[Transcript]:
        return [await self._file(waveform) for waveform in waveforms]

    async def streams(self, waveforms: Sequence[Waveform], files: Sequence[Transcript]) -> Json:
        """All of them at once; ``files`` are their transcripts."""
        batches = self.batches()
        running = asyncio.create_task(batches.run())
        clock = asyncio.get_running_loop().time
        used, started = _cpu_s(), clock()
        heard = await asyncio.gather(
            *(
                as_spoken(self.session(batches.infer, TurnDetection()), waveform, delay_s=0.13 * i)
                for i, waveform in enumerate(waveforms)
            )
        )
        used, lasted = _cpu_s() - used, clock() - started
        running.cancel()
        found = [delays(each, file.words) for each, file in zip(heard, files, strict=True)]
        of_words, of_turns, sights = (np.concatenate(each) for each in zip(*found, strict=True))
        output = jiwer.process_words([file.raw_text for file in files], [each.text for each in heard])
        return {
            "streams": len(waveforms),
            "words": len(of_words),
            "delta_p50_s": _percentile(of_words, 50),
            "delta_p95_s": _percentile(of_words, 95),
            **(
                {"sight_p50_s": _percentile(sights, 50), "sight_p95_s": _percentile(sights, 95)}
                if self._hypotheses
                else {}
            ),
            "completed_p50_s": _percentile(of_turns, 50),
            "completed_p95_s": _percentile(of_turns, 95),
            "wer_percent": round(100 * output.wer, 2),
            "model_busy": round(batches.busy_s / lasted, 2),
            **({} if self.cost else {"cpus_used": round(used / lasted, 2)}),
        }


def _percentile(values: Any, percent: float) -> float:
    return round(float(np.percentile(values, percent)), 2)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(
    settings: Settings,
    *,
    cost: Path | None,
    streams: Sequence[int] = STREAMS,
    seconds: float = 25.0,
    simulate: bool = False,
    batch: Cost | None = None,
    noise_db: float | None = None,
    hypotheses: bool = False,
    delay: str = "medium",
) -> Json:
    """All figures; ``cost`` is the checkpoint that is run for its cost. Takes ``seconds`` for each number."""
    bench = Bench(
        settings, cost, simulate=simulate, batch=batch, noise_db=noise_db, hypotheses=hypotheses, delay=delay
    )
    accuracy = asyncio.run(bench.accuracy())
    loads: list[Json] = []
    waveforms: list[Waveform] = []
    files: list[Transcript] = []
    for count in streams:
        more = [joined(np.random.default_rng(i), seconds) for i in range(len(waveforms), count)]
        waveforms += more
        files += asyncio.run(bench.files(more))
        loads.append(bench.run(bench.streams(waveforms[:count], files[:count])))
        if loads[-1]["delta_p95_s"] > HELD_S:
            break
    held = [load["streams"] for load in loads if load["delta_p95_s"] <= HELD_S]
    return {
        **({"batch": vars(bench.cost)} if bench.cost else {}),
        "accuracy": accuracy,
        "loads": loads,
        "streams_held": max(held, default=0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cost", default="build/random-checkpoint", help="checkpoint to run for its cost, or none"
    )
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--decoding", default="greedy", choices=("greedy", "lm"))
    parser.add_argument("--noise", type=float, metavar="DB", help="white noise, so far below the speech")
    parser.add_argument("--simulate", action="store_true", help="in virtual time")
    parser.add_argument(
        "--batch",
        type=float,
        nargs=2,
        metavar=("GROUP_S", "SECOND_S"),
        help="simulated: what a batch costs, a group of windows and a second of sound; default: as measured",
    )
    parser.add_argument("--hypotheses", action="store_true", help="what is not yet sure is told, too")
    parser.add_argument("--delay", default="medium", choices=CONTEXT, help="as a session asks for it")
    parser.add_argument("--set", action="append", default=[], metavar="live_...=VALUE", help="a setting")
    options = parser.parse_args()
    if options.simulate and options.decoding == "lm":
        parser.error("the search runs in a thread, which no virtual clock knows: without --simulate")
    cost = None if options.cost == "none" else random_checkpoint.make(Path(options.cost))
    changes = dict(change.split("=", 1) for change in options.set)
    settings = Settings.model_validate(
        {"precision": options.precision, "decoding": options.decoding, **changes}
    )
    result = measure(
        settings,
        cost=cost,
        streams=options.streams,
        seconds=options.seconds,
        simulate=options.simulate or bool(options.batch),
        batch=Cost(*options.batch) if options.batch else None,
        hypotheses=options.hypotheses,
        delay=options.delay,
        noise_db=options.noise,
    )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
