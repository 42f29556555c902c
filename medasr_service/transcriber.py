"""One recording to one transcript: the only path, for the server, the command line and the tests.

audio.stream -> pauses.split | chunking.split -> infer -> chunking.Stitcher -> ctc.greedy | beam -> ctc.words
-> dictation.parse -> segments.cut -> dictation.attribute -> boundaries.refine -> Segment. All of it in a
stream: it holds a few windows.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, TypeVar

import numpy as np

from medasr_service.audio import stream as audio
from medasr_service.audio.stream import AudioInfo
from medasr_service.decoding import ctc
from medasr_service.decoding.confidence import AS_IT_IS, Confidence
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.errors import InvalidRequest
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.settings import Settings
from medasr_service.text import boundaries, dictation, segments
from medasr_service.text.boundaries import Levels
from medasr_service.text.transcript import Segment, Token, Transcript, Word
from medasr_service.windows import chunking, pauses
from medasr_service.windows.chunking import Chunk, Stitcher

if TYPE_CHECKING:  # flashlight-text is not there for every version of Python
    from medasr_service.decoding.beam import BeamDecoder, Search

T = TypeVar("T")
Infer: TypeAlias = Callable[[list[Waveform]], Awaitable[list[Emission]]]
"""The one seam: waveforms to emissions, wherever the model runs."""
Decoding: TypeAlias = Literal["greedy", "lm"]


@dataclass(frozen=True, slots=True)
class Options:
    """What one request may choose; lengths in seconds."""

    chunk_length_s: float
    stride_length_s: float
    formatting: Literal["dictation", "raw"]
    decoding: Decoding = "greedy"
    keywords: tuple[str, ...] = ()  # besides those of the settings

    @classmethod
    def defaults(cls, settings: Settings) -> "Options":
        return cls(settings.chunk_length_s, settings.stride_length_s, settings.formatting, settings.decoding)


class Transcriber:
    """Holds what does not change from recording to recording. ``beam``: decodes with a language model;
    ``confidence``: what the posterior of a word is worth."""

    def __init__(
        self,
        infer: Infer,
        vocabulary: Vocabulary,
        geometry: FrameGeometry,
        settings: Settings,
        beam: "BeamDecoder | None" = None,
        confidence: Confidence = AS_IT_IS,
    ) -> None:
        self._infer = infer
        self._confidence = confidence
        self._beam = beam
        self._vocabulary = vocabulary
        self._geometry = geometry
        self._settings = settings

    @property
    def decodings(self) -> tuple[Decoding, ...]:
        """What ``Options.decoding`` may be."""
        return ("greedy", "lm") if self._beam and self._beam.has_lm else ("greedy",)

    @property
    def infer(self) -> Infer:
        return self._infer

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    @property
    def geometry(self) -> FrameGeometry:
        return self._geometry

    def check(self, options: Options) -> None:
        """Refuses what no recording can be decoded with (InvalidRequest)."""
        self._search(options)

    async def inspect(self, file: BinaryIO) -> AudioInfo:
        """Refuses what cannot be transcribed (InvalidAudio and its children) before any of it is."""
        limits = self._settings
        return await _in_thread(
            audio.inspect, file, max_duration_s=limits.max_duration_s, max_channels=limits.max_channels
        )

    def gain(self, info: AudioInfo) -> float:
        return info.gain(max_gain=self._settings.max_gain) if self._settings.normalize else 1.0

    async def transcribe(
        self, file: BinaryIO, options: Options, *, on_segment: Callable[[Segment], None] = lambda _: None
    ) -> Transcript:
        """All segments of ``stream``, joined. ``on_segment`` hears of each as it comes."""
        self.check(options)
        info = await self.inspect(file)
        found = []
        async with aclosing(self.stream(file, info, options)) as stream:
            async for segment in stream:
                on_segment(segment)
                found.append(segment)
        return self.joined(found, info)

    def joined(self, found: Sequence[Segment], info: AudioInfo) -> Transcript:
        """The transcript that all segments of ``stream`` make."""
        return Transcript(
            text="".join(segment.text for segment in found),
            raw_text="".join(segment.raw_text for segment in found),
            segments=tuple(found),
            duration=info.duration,
            gain=self.gain(info),
        )

    async def stream(
        self,
        file: BinaryIO,
        info: AudioInfo,
        options: Options,
        *,
        on_window: Callable[[float], None] = lambda _: None,
    ) -> AsyncGenerator[Segment, None]:
        """Segments in order, each as soon as later audio cannot change it; ``info`` is from ``inspect``.

        ``on_window`` hears, after each window, how many seconds of the recording the model has heard.
        """
        decoder = _Decoder(
            self._vocabulary, self._geometry, info, options, self._search(options), self._confidence
        )
        blocks = audio.stream(
            file,
            gain=self.gain(info),
            max_duration_s=self._settings.max_duration_s,
            max_channels=self._settings.max_channels,
        )
        split = pauses.split if self._settings.windows == "pauses" else chunking.split
        chunks = split(
            blocks, self._geometry, chunk_s=options.chunk_length_s, stride_s=options.stride_length_s
        )
        stitcher = Stitcher(blank=self._vocabulary.blank)
        async with aclosing(self._inferred(chunks)) as windows:
            held: tuple[Chunk, Emission] | None = None
            async for window in windows:
                on_window(self._end_s(window[0]))
                if held:
                    until = window[0].start_frame
                    emission, levels = stitcher.add(*held, until), self._levels(held[0], until)
                    for segment in await _in_thread(decoder.push, emission, levels):
                        yield segment
                held = window
            if held:
                emission, levels = stitcher.add(*held, None), self._levels(held[0], None)
                for segment in await _in_thread(decoder.push, emission, levels, final=True):
                    yield segment

    def _search(self, options: Options) -> "Search | None":
        """The search of one recording; None where it is decoded greedily."""
        use_lm, beam = options.decoding == "lm", self._beam
        if use_lm and not (beam and beam.has_lm):
            raise InvalidRequest(
                "decoding is 'lm', but this service has no language model.", param="decoding"
            )
        if beam is None:
            if options.keywords:
                raise InvalidRequest("keywords are not supported by this service.", param="keywords")
            return None
        if not (use_lm or options.keywords or beam.keywords):
            return None
        return beam.search(use_lm=use_lm, keywords=options.keywords)

    def _levels(self, chunk: Chunk, until_frame: int | None) -> Levels:
        """The loudness of a window, up to where the next one begins."""
        geometry = self._geometry
        step = None if until_frame is None else until_frame - chunk.start_frame
        return Levels.of(
            chunk.waveform[: step and step * geometry.frame_samples],
            start_s=chunk.start_frame * geometry.frame_s,
            step_samples=geometry.hop,
            sample_rate=geometry.sample_rate,
        )

    async def _inferred(self, chunks: Iterator[Chunk]) -> AsyncGenerator[tuple[Chunk, Emission], None]:
        """Chunks with their emissions, in order; a few wait for the model at a time."""
        pending: deque[tuple[Chunk, asyncio.Task[Emission]]] = deque()
        try:
            more = True
            while more or pending:
                while more and len(pending) < self._settings.chunks_in_flight:
                    chunk = await _in_thread(next, chunks, None)
                    if chunk is None:
                        more = False
                    else:
                        pending.append((chunk, asyncio.create_task(self._infer_one(chunk))))
                if pending:
                    chunk, task = pending.popleft()
                    yield chunk, await task
        finally:
            for _, task in pending:
                task.cancel()

    def _end_s(self, chunk: Chunk) -> float:
        samples = chunk.start_frame * self._geometry.frame_samples + len(chunk.waveform)
        return samples / self._geometry.sample_rate

    async def _infer_one(self, chunk: Chunk) -> Emission:
        [emission] = await self._infer([pauses.heard(chunk, self._geometry)])
        return pauses.restore(emission, chunk, self._vocabulary.blank)


async def _in_thread(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """asyncio.to_thread, but cancelled it waits for the thread's end: it may be reading the file."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class _Decoder:
    """Emissions to segments; holds the frames since the last segment's end, and no more."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        geometry: FrameGeometry,
        info: AudioInfo,
        options: Options,
        search: "Search | None",
        confidence: Confidence,
    ) -> None:
        self._confidence = confidence
        self._search = search
        self._found: list[Token] = []  # by the search, since the last segment's end
        self._vocabulary = vocabulary
        self._geometry = geometry
        self._duration = info.duration
        self._latest_s = max(0.0, info.duration - geometry.frame_s)  # for a word to start
        self._raw = options.formatting == "raw"
        self._tail: Emission | None = None
        self._tail_start = 0  # frame of the tail's first row
        self._levels: Levels | None = None  # from a little before the tail
        self._before: Word | None = None  # the last word of the segment before, with the times of its peaks
        self._cursor = dictation.Cursor()
        self._segments = 0

    def push(self, emission: Emission, levels: Levels, *, final: bool = False) -> list[Segment]:
        """The segments that are complete once these frames, and their loudness, are known too."""
        self._tail = emission if self._tail is None else np.concatenate((self._tail, emission))
        self._levels = levels if self._levels is None else self._levels.then(levels)
        tokens, known_until = self._tokens(emission, final=final)
        items = dictation.parse(ctc.words(tokens, self._geometry))
        known_until_s = self._geometry.seconds(known_until)
        complete = segments.cut(items, known_until_s=known_until_s, final=final)
        following = [items[end].words[0] if end < len(items) else None for end in _ends(complete)]
        ready = [self._segment(*each) for each in zip(complete, following, strict=True)]
        if complete:
            self._drop(complete[-1][-1].words[-1].tokens[-1].end_frame)
        elif not items:
            self._drop(known_until)
        return ready

    def _tokens(self, emission: Emission, *, final: bool) -> tuple[list[Token], int]:
        """The tokens since the last segment's end, and the frame before which no other will start."""
        assert self._tail is not None
        if self._search is None:
            tokens = ctc.greedy(self._tail, self._vocabulary, start_frame=self._tail_start)
            return tokens, self._tail_start + len(self._tail)
        self._found += self._search.push(emission, final=final)
        return self._found, self._search.settled_until

    def _drop(self, until_frame: int) -> None:
        assert self._tail is not None
        self._found = [token for token in self._found if token.start_frame >= until_frame]
        self._tail = self._tail[until_frame - self._tail_start :]
        self._tail_start = until_frame
        assert self._levels is not None
        self._levels = self._levels.since(until_frame * self._geometry.frame_s - boundaries.HELD_S)

    def _segment(self, items: Sequence[dictation.Item], after: Word | None) -> Segment:
        assert self._tail is not None
        assert self._levels is not None
        words, self._cursor = dictation.attribute(items, self._cursor)
        raw = [" " * (self._segments > 0 or i > 0) + word.text for i, word in enumerate(words)]
        if self._raw:
            words = tuple(replace(word, written=text) for word, text in zip(words, raw, strict=True))
        before, self._before = self._before, words[-1]
        words = tuple(
            replace(
                word,
                start=min(word.start, self._latest_s),
                end=min(word.end, self._duration),
                probability=self._confidence.probability(word.probability),
            )
            for word in boundaries.refine(words, self._levels, before=before, after=after)
        )
        tokens = [token for word in words for token in word.tokens]
        rows = slice(tokens[0].start_frame - self._tail_start, tokens[-1].end_frame - self._tail_start)
        segment = Segment(
            id=self._segments,
            start=words[0].start,
            end=words[-1].end,
            text="".join(word.written for word in words),
            raw_text="".join(raw),
            words=words,
            avg_logprob=float(np.mean([token.logprob for token in tokens])),
            no_speech_prob=float(np.exp(self._tail[rows, self._vocabulary.blank].min())),
        )
        self._segments += 1
        return segment


def _ends(parts: Iterable[Sequence[T]]) -> list[int]:
    """The position behind each part in what they are the parts of."""
    return list(accumulate(map(len, parts)))
