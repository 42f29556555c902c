"""One recording to one transcript: the only path, for the server, the command line and the tests.

audio.reader -> pauses | chunking.Splitter -> infer -> chunking.Stitcher -> Segmenter -> Segment. All of it
in a stream: it holds a few windows.
"""

import asyncio
import copy
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from medasr_service.audio import notes
from medasr_service.audio.pieces import Damaged
from medasr_service.audio.reader import InThreads, Reader, in_thread
from medasr_service.audio.stream import AudioInfo
from medasr_service.decoding.alternatives import MAX_CLIP_S
from medasr_service.decoding.confidence import AS_IT_IS, Confidence
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.decoding.keywords import clean
from medasr_service.errors import InvalidRequest
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.segmenter import Segmenter
from medasr_service.settings import Settings
from medasr_service.telemetry.account import stage
from medasr_service.text import notices
from medasr_service.text.boundaries import Levels
from medasr_service.text.transcript import Lost, Segment, Transcript, Warned
from medasr_service.windows import chunking, pauses
from medasr_service.windows.chunking import Chunk, Splits, Stitcher

if TYPE_CHECKING:  # flashlight-text is not there for every version of Python
    from medasr_service.decoding.beam import BeamDecoder, Search

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
    damaged: Damaged = "refuse"  # what becomes of a recording of which a part cannot be read
    alternatives: int = 0  # how many other readings each word is to have

    @classmethod
    def defaults(cls, settings: Settings) -> "Options":
        return cls(settings.chunk_length_s, settings.stride_length_s, settings.formatting, settings.decoding)


class Transcriber:
    """Holds what does not change from recording to recording. ``beam``: decodes with a language model;
    ``confidence``: what the posterior of a word is worth; ``reader``: processes, where recordings come from
    strangers."""

    def __init__(
        self,
        infer: Infer,
        vocabulary: Vocabulary,
        geometry: FrameGeometry,
        settings: Settings,
        beam: "BeamDecoder | None" = None,
        confidence: Confidence = AS_IT_IS,
        reader: Reader | None = None,
    ) -> None:
        self._infer = infer
        self._confidence = confidence
        self._beam = beam
        self._vocabulary = vocabulary
        self._geometry = geometry
        self._settings = settings
        self._reader = reader or InThreads()

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, infer: Infer, settings: Settings, reader: Reader | None = None
    ) -> "Transcriber":
        """With all that lies beside the checkpoint's network: its vocabulary, its language model, what its
        probabilities are worth. Raises ModelUnavailable where one of them cannot be used.
        """
        from medasr_service.decoding import language_model  # only here: most users are handed a transcriber

        vocabulary = Vocabulary.load(checkpoint.folder)
        beam = language_model.load(checkpoint, vocabulary, settings)
        confidence = Confidence.load(checkpoint.folder)
        return cls(infer, vocabulary, checkpoint.geometry, settings, beam, confidence, reader)

    def through(self, infer: Infer) -> "Transcriber":
        """The same, but for the way to the model."""
        other = copy.copy(self)
        other._infer = infer
        return other

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

    def check(self, options: Options) -> tuple[Warned, ...]:
        """Refuses what no recording can be decoded with (InvalidRequest); says what will be of no use."""
        search = self._search(options)
        return search.warnings(options.keywords) if search else ()

    def live_search(self, keywords: Sequence[str] = (), decoding: Decoding = "greedy") -> "Search | None":
        """The search for keywords in live speech, those of the settings too, and with the language model
        where ``decoding`` is "lm"; None where there is nothing to search for.

        Raises InvalidRequest.
        """
        options = replace(Options.defaults(self._settings), decoding=decoding, keywords=clean(keywords))
        return self._search(options)

    async def inspect(self, file: BinaryIO, damaged: Damaged = "refuse") -> AudioInfo:
        """Refuses what cannot be transcribed (InvalidAudio and its children) before any of it is.

        ``damaged``: "skip" is content with what can be read.
        """
        limits = self._settings
        with stage("decode"):
            return await self._reader.inspect(
                file, max_duration_s=limits.max_duration_s, max_channels=limits.max_channels, damaged=damaged
            )

    def gain(self, info: AudioInfo) -> float:
        return info.gain(max_gain=self._settings.max_gain) if self._settings.normalize else 1.0

    async def transcribe(
        self,
        file: BinaryIO,
        options: Options,
        *,
        on_info: Callable[[AudioInfo], Awaitable[None]] | None = None,
        on_segment: Callable[[Segment], None] = lambda _: None,
        on_window: Callable[[float], None] = lambda _: None,
    ) -> Transcript:
        """All segments of ``stream``, joined. ``on_segment`` hears of each as it comes, ``on_info`` of the
        recording before any: it may refuse it. ``on_window`` as in ``stream``.
        """
        warned = await in_thread(self.check, options)
        info = await self.inspect(file, options.damaged)
        if on_info:
            await on_info(info)
        found = []
        async with aclosing(self.stream(file, info, options, on_window=on_window)) as stream:
            async for segment in stream:
                on_segment(segment)
                found.append(segment)
        return self.joined(found, info, warned)

    def joined(self, found: Sequence[Segment], info: AudioInfo, warned: Sequence[Warned] = ()) -> Transcript:
        """The transcript that all segments of ``stream`` make; ``warned`` is from ``check``."""
        return Transcript(
            text="".join(segment.text for segment in found),
            raw_text="".join(segment.raw_text for segment in found),
            segments=tuple(found),
            duration=info.duration,
            gain=self.gain(info),
            warnings=(*warned, *of_recording(info), *notices.of_segments(found)),
            lost=tuple(Lost(loss.start, loss.seconds) for loss in info.losses),
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
        if options.alternatives and info.duration > MAX_CLIP_S:
            raise InvalidRequest(
                f"alternatives are told of up to {MAX_CLIP_S:g} s of audio; this is {info.duration:,.1f} s.",
                param="alternatives",
            )
        segmenter = Segmenter(
            self._vocabulary,
            self._geometry,
            info.duration,
            await in_thread(self._search, options),
            self._confidence,
            raw=options.formatting == "raw",
            alternatives=options.alternatives,
        )
        blocks = self._reader.stream(
            file,
            gain=self.gain(info),
            track=info.track,
            channel=info.channel,
            damaged=info.damaged,
            max_duration_s=self._settings.max_duration_s,
            max_channels=self._settings.max_channels,
        )
        lengths = {"chunk_s": options.chunk_length_s, "stride_s": options.stride_length_s}
        splitter = (
            pauses.Splitter(self._geometry, gaps=[span.bounds for span in info.gaps], **lengths)
            if self._settings.windows == "pauses"
            else chunking.Splitter(self._geometry, **lengths)
        )
        stitcher = Stitcher(blank=self._vocabulary.blank)
        async with (
            aclosing(blocks),
            aclosing(_chunks(blocks, splitter)) as chunks,
            aclosing(self._inferred(chunks)) as heard,
        ):
            held: tuple[Chunk, Emission] | None = None
            async for window in heard:
                on_window(self._end_s(window[0]))
                if held:
                    for segment in await self._segments(segmenter, stitcher, held, window[0].start_frame):
                        yield segment
                held = window
            if held:
                for segment in await self._segments(segmenter, stitcher, held, None):
                    yield segment

    async def _segments(
        self,
        segmenter: Segmenter,
        stitcher: Stitcher,
        window: tuple[Chunk, Emission],
        until_frame: int | None,
    ) -> list[Segment]:
        """Those that this window finishes; it counts up to where the next one begins, if there is one."""
        with stage("stitch"):
            emission = stitcher.add(*window, until_frame)
            levels = self._levels(window[0], until_frame)
        with stage("text"):
            return await in_thread(segmenter.push, emission, levels, final=until_frame is None)

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

    async def _inferred(self, chunks: AsyncIterator[Chunk]) -> AsyncGenerator[tuple[Chunk, Emission], None]:
        """Chunks with their emissions, in order; a few wait for the model at a time."""
        pending: deque[tuple[Chunk, asyncio.Task[Emission]]] = deque()
        try:
            more = True
            while more or pending:
                while more and len(pending) < self._settings.chunks_in_flight:
                    coming: Chunk | None = await anext(chunks, None)
                    if coming is None:
                        more = False
                    else:
                        pending.append((coming, asyncio.create_task(self._infer_one(coming))))
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


async def _chunks(blocks: AsyncIterator[Waveform], splitter: Splits) -> AsyncGenerator[Chunk, None]:
    while True:
        with stage("decode", traced=False):  # there may be thousands
            block = await anext(blocks, None)
        if block is None:
            break
        ready: list[Chunk] = await in_thread(list, splitter.push(block))
        for chunk in ready:
            yield chunk
    for chunk in splitter.finish():
        yield chunk


def of_recording(info: AudioInfo) -> tuple[Warned, ...]:
    """What is to be known of how the recording was heard."""
    return tuple(Warned(code, message) for code, message in notes.of(info))
