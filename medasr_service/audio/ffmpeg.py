"""Sound through FFmpeg (PyAV), which is only ever told the one container that the first bytes show.

Left to guess, it would also open playlists, which name other files and hosts.

A sound belongs where its packet's time says. Where times go on by more than the sound before them lasts, the
recorder was paused, or packets were lost on the way to it: silence (``Gap``). Where packets cannot be
decoded, or the file was found to be damaged, or its container counts nothing but samples, sound is lost
(``Flaw``).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from medasr_service.audio import limits
from medasr_service.audio.limits import Check
from medasr_service.audio.pieces import Block, Flaw, Gap, Piece, damaged_at
from medasr_service.errors import InvalidAudio, UnsupportedAudio

if TYPE_CHECKING:
    import av

GAP_S = 0.05  # times of packets are rounded, and tremble by less
RESTART_S = 1.0  # times that fall back by more begin anew
MAX_PLANES = 7  # beyond, PyAV reads planes that are not there, and the process ends
END_S = 0.25  # containers count in packets: so much may lack to the announced end


class NoSuchTrack(InvalidAudio):
    """There are no more tracks of sound."""

    def __init__(self) -> None:
        super().__init__("The file has no audio track.")


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes are damaged behind the packets of ``before_s``; what can be read goes on at ``after_s``."""

    before_s: float
    after_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Container:
    """What is known of a file before FFmpeg reads it. ``name`` is FFmpeg's.

    ``has_times``: its packets say when they sound; else they follow each other. ``counts_samples``: what
    lacks in its times lacks in the file. ``end_s``: where its sound ends, if the file says so otherwise than
    by the length that FFmpeg reads (``has_length``).
    """

    name: str
    has_times: bool = True
    counts_samples: bool = False
    has_length: bool = False
    starts_at_zero: bool = False
    end_s: float = 0.0
    end_slack_s: float = END_S
    damage: tuple[Damage, ...] = ()
    cut_off: str = ""  # why its end is sure to be missing


def decode(file: BinaryIO, container: Container, check: Check, *, track: int = 0) -> Iterator[Piece]:
    """The ``track``-th track of sound. Raises NoSuchTrack behind the last."""
    import av  # only here: 15 MB of libraries that WAV, FLAC and OGG do without

    file.seek(0)
    try:
        with av.open(file, mode="r", format=container.name, metadata_errors="ignore") as source:
            sounds = source.streams.audio
            if track >= len(sounds):
                raise NoSuchTrack
            stream = sounds[track]
            if stream.codec_context is None:
                raise UnsupportedAudio(f"The sound in this {container.name} file is in an unknown coding.")
            yield from _Reading(source, stream, container, check).pieces()
    except av.FFmpegError:
        raise _unreadable(container) from None


def _unreadable(container: Container) -> InvalidAudio:
    if container.cut_off:
        return damaged_at(0.0, container.cut_off)
    return UnsupportedAudio(
        f"The file looks like {container.name}, but it is damaged, incomplete or in an unknown coding."
    )


class _Reading:
    """One track on its way from packets to pieces; counts samples as FFmpeg decodes them."""

    def __init__(
        self,
        source: "av.container.InputContainer",
        stream: "av.AudioStream",
        container: Container,
        check: Check,
    ) -> None:
        import av

        self._source, self._stream, self._container, self._check = source, stream, container, check
        self._rate = stream.codec_context.sample_rate
        self._origin_s = _origin_s(source, stream, container)
        self._position = 0  # samples from the origin to what comes next
        self._decoded = 0
        self._damage = deque(container.damage)
        self._lost_s = 0.0  # in packets that could not be decoded since the last frame
        self._failed = False
        self._is_told = False  # why the container is known to be damaged
        self._to_float, self._channels = av.AudioResampler(format="fltp"), 0
        self._held: list[Block] = []  # a packet is a few milliseconds: what follows works on longer pieces
        self._held_values = 0

    def pieces(self) -> Iterator[Piece]:
        end_s = self._end_s()
        self._check(self._rate, self._stream.codec_context.channels, max(0.0, end_s))
        for frame in self._frames():
            yield from self._missing_before(frame)
            yield from self._sound(frame)
        yield from self._release()
        yield from self._missing_at_end(end_s)

    def _end_s(self) -> float:
        """Where the file says that this sound ends, from the origin on; 0 where it does not."""
        stream = self._stream
        if self._container.has_length and stream.duration and stream.time_base:
            start = (stream.start_time or 0) * stream.time_base
            return float(start + stream.duration * stream.time_base) - self._origin_s
        return self._container.end_s

    def _frames(self) -> "Iterator[av.AudioFrame]":
        """Of all packets that can be decoded."""
        import av

        packets = self._source.demux(self._stream)
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if packet.is_corrupt:
                    self._fail(packet)
                yield from packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError:
                self._fail(packet)

    def _fail(self, packet: "av.packet.Packet[Any] | None") -> None:
        """A packet, or what follows it, cannot be read."""
        self._failed = True
        if packet and packet.duration and packet.time_base:
            self._lost_s += float(packet.duration * packet.time_base)

    def _missing_before(self, frame: "av.AudioFrame") -> Iterator[Piece]:
        missing_s, now_s = 0.0, 0.0
        timed = self._container.has_times and frame.time is not None
        if timed:
            now_s = (frame.time or 0.0) - self._origin_s
            missing_s = now_s - self._position / self._rate
            if missing_s < -RESTART_S:
                self._origin_s += missing_s
            missing_s = missing_s if missing_s >= GAP_S else 0.0
        why = ""
        while timed and self._damage and now_s + self._origin_s >= self._damage[0].after_s - GAP_S:
            why = self._damage.popleft().why
        if self._failed:
            why = why or "it cannot be decoded there"
            self._is_told = True
            missing_s = missing_s if timed else self._lost_s
            self._failed, self._lost_s = False, 0.0
        if not (why or missing_s):
            return
        yield from self._release()
        if missing_s and not why and self._container.counts_samples:
            why = self._container.cut_off or "a part is missing"
            self._is_told = True
        self._check(self._rate, 1, self._position / self._rate + missing_s)
        self._position += round(missing_s * self._rate)
        yield Flaw(missing_s, why) if why else Gap(missing_s)

    def _sound(self, frame: "av.AudioFrame") -> Iterator[Piece]:
        """Each frame has its own channels: the header, and what came before, may say otherwise."""
        import av

        if frame.sample_rate != self._rate:
            raise InvalidAudio("The sample rate changes in the middle of the recording.")
        channels = frame.layout.nb_channels
        if channels != self._channels:
            yield from self._release()
            self._channels = channels
            self._check(self._rate, channels, self._position / self._rate)
            self._to_float = av.AudioResampler(format="fltp" if channels <= MAX_PLANES else "flt")
        for out in self._to_float.resample(frame):
            values = out.to_ndarray().astype(np.float32, copy=False)
            block = values.T if channels <= MAX_PLANES else values.reshape(-1, channels)
            self._position += len(block)
            self._decoded += len(block)
            self._held.append(block)
            self._held_values += block.size
        if self._held_values >= limits.BLOCK_VALUES:
            self._check(self._rate, channels, self._position / self._rate)
            yield from self._release()

    def _release(self) -> Iterator[Piece]:
        if self._held:
            yield np.concatenate(self._held), self._rate
            self._held, self._held_values = [], 0

    def _missing_at_end(self, end_s: float) -> Iterator[Piece]:
        if self._failed and not self._decoded:
            raise _unreadable(self._container)
        missing_s = end_s - self._position / self._rate
        if self._failed:
            yield Flaw(max(self._lost_s, missing_s), "it cannot be decoded there")
        elif self._damage:
            yield Flaw(max(0.0, missing_s), self._damage[0].why)
        elif self._container.cut_off and not (self._is_told and missing_s <= self._container.end_slack_s):
            yield Flaw(max(0.0, missing_s), self._container.cut_off)
        elif missing_s > self._container.end_slack_s:
            yield Flaw(missing_s, f"the file announces {end_s:,.1f} s")


def _origin_s(source: "av.container.InputContainer", stream: "av.AudioStream", container: Container) -> float:
    """The time of the file at which all its tracks may begin."""
    if container.starts_at_zero and stream.frames:
        return 0.0
    return (source.start_time or 0) / 1_000_000
