"""Streams of frames without a container (MP3, AAC): which bytes are frames, and whether all are there.

Each frame has a header that tells its length. Tags, padding and text stand in front, behind and, where files
were joined, between them. Decoders look for the next frame wherever they lost it; here all frames are found
first, so that what is skipped is known. How many there should be is said by the first frame of many MP3s;
without, only what stands in place of frames shows that some are lost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from medasr_service.errors import InvalidAudio

CHAIN = 3  # frames in a row tell sound from bytes that look like a header
SEARCH_BYTES = 1 << 20  # in front of the first frame, and at a time
WINDOW = 1 << 16  # bytes looked at together
HEAD = 64  # bytes of a frame that tell what it is
MAX_RUNS = 1_000
MAX_LOOKS = 1_000_000  # at what may be the start of a run
MAX_TAGS = 100  # in a row; between two frames, with what stands between them


@dataclass(frozen=True, slots=True)
class Frame:
    """What a header says; ``kind`` does not change in a stream."""

    size: int  # bytes
    samples: int
    rate: int
    kind: int

    @property
    def seconds(self) -> float:
        return self.samples / self.rate if self.rate else 0.0


Header: TypeAlias = Callable[[bytes], Frame | None]
"""From the first HEAD bytes of a frame; None where they are no header."""
Count: TypeAlias = Callable[[bytes], int | None]
"""From the same: how many the file says that follow it, 0 if it does not, None: it is sound."""


@dataclass(slots=True)
class Run:
    """Frames in a row, and how long they sound; ``count`` as their first one announces, None without."""

    start: int
    end: int
    frames: int = 0
    seconds: float = 0.0
    frame_s: float = 0.0
    count: int | None = None
    is_cut: bool = False  # a frame goes on behind the end of the file


@dataclass(frozen=True, slots=True)
class Part:
    """Stretches of frames that may be decoded as one; behind them ``missing_s`` seconds lack, if ``why``."""

    stretches: tuple[tuple[int, int], ...]
    missing_s: float = 0.0
    why: str = ""


def survey(
    file: BinaryIO, header: Header, count: Count = lambda _: None, *, sync: bytes = b"\xff"
) -> list[Part]:
    """All frames of the file; none where it is none of this kind. Leaves the file at its start.

    ``sync``: the byte with which each begins.

    Raises InvalidAudio where it is cut up into more pieces than a recording can be.
    """
    runs = list(_Search(file, header, count, sync).runs())
    parts: list[Part] = []
    if not runs:
        return []
    begun = [i for i, run in enumerate(runs) if i == 0 or run.count is not None]
    for first, last in zip(begun, [*begun[1:], len(runs)], strict=True):
        parts += _parts(file, runs[first:last], runs[last].start if last < len(runs) else None)
    file.seek(0)
    return parts


def _parts(file: BinaryIO, runs: list[Run], until: int | None) -> Iterator[Part]:
    """Of one recording, which ends where the next one begins (``until``), or with the file."""
    size = file.seek(0, 2)
    announced = runs[0].count or 0
    lacking = announced - sum(run.frames for run in runs)
    frame_s = runs[0].frame_s
    is_vouched = announced > 0 and -1 <= lacking <= 1  # some count themselves
    stretches: list[tuple[int, int]] = []
    for i, run in enumerate(runs):
        stretches.append((run.start, run.end))
        is_last = i + 1 == len(runs)
        if is_vouched:
            continue
        end = runs[i + 1].start if not is_last else size if until is None else until
        lost = run.is_cut or not _is_harmless(file, run, end, at_end=is_last)
        if lost and not (is_last and announced > 0 and lacking <= 1):
            per_byte_s = run.seconds / max(1, run.end - run.start)
            missing_s = lacking * frame_s if lacking > 1 else (end - run.end) * per_byte_s
            why = "the file ends inside a frame" if run.is_cut else "something else stands in place of frames"
            yield Part(tuple(stretches), missing_s, why)
            stretches, lacking = [], 0
    if stretches:
        why = (
            f"the file announces {announced:,} frames, and has {announced - lacking:,}" if lacking > 1 else ""
        )
        yield Part(tuple(stretches), max(0, lacking) * frame_s if why else 0.0, why)


def _is_harmless(file: BinaryIO, run: Run, end: int, *, at_end: bool) -> bool:
    """Whether what stands behind a run is no lost sound: tags, text, zeros; at the end also a rest of bytes.

    Between frames, other bytes are what is left of some; zeros as long as a frame may stand in place of it.
    """
    at = run.end
    frame_bytes = (run.end - run.start) / max(1, run.frames)
    for _ in range(MAX_TAGS + (end - at) // WINDOW):
        if at >= end:
            return True
        if size := tag(file, at):
            at += size
            continue
        file.seek(at)
        block = file.read(min(WINDOW, end - at))
        tags = [found for name in TAG_NAMES if (found := block.find(name, 1)) > 0]
        block = block[: min(tags, default=len(block))]
        plain = block.strip(b"\0")
        if len(plain) >= (frame_bytes if at_end else 1) and not is_text(plain):
            return False
        if not at_end and len(block) - len(plain) >= frame_bytes:
            return False
        at += max(1, len(block))
    return False


def is_text(block: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\r\n\t" for byte in block)


class _Search:
    """For runs of frames, from the start of the file to its end."""

    def __init__(self, file: BinaryIO, header: Header, count: Count, sync: bytes) -> None:
        self._file, self._header, self._count, self._sync = file, header, count, sync
        self._size = file.seek(0, 2)
        self._kind: int | None = None
        self._looks = 0

    def runs(self) -> Iterator[Run]:
        at = behind_tags(self._file)
        limit = min(self._size, at + SEARCH_BYTES + self._zeros(at))
        for _ in range(MAX_RUNS):
            found = self._find(at, limit)
            if found is None:
                return
            run = self._walk(found)
            yield run
            at, limit = run.end, self._size
        raise InvalidAudio(f"The recording is broken up into more than {MAX_RUNS:,} pieces.")

    def _zeros(self, at: int) -> int:
        """How many stand there."""
        self._file.seek(at)
        zeros = 0
        while block := self._file.read(WINDOW):
            if rest := block.lstrip(b"\0"):
                return zeros + len(block) - len(rest)
            zeros += len(block)
        return zeros

    def _find(self, at: int, limit: int) -> int | None:
        """Where a chain of frames begins."""
        while at < limit:
            self._file.seek(at)
            block = self._file.read(WINDOW)
            for i in _syncs(block, self._sync):
                frame = self._header(block[i : i + HEAD])
                if frame and self._kind in (None, frame.kind) and self._is_chain(at + i, frame.kind):
                    return at + i
            at += max(1, len(block) - HEAD if len(block) == WINDOW else WINDOW)
        return None

    def _is_chain(self, at: int, kind: int) -> bool:
        """Whether frames of one kind follow each other from there, or up to a tag or the end of the file."""
        self._looks += 1
        if self._looks > MAX_LOOKS:
            raise InvalidAudio("The recording holds more that looks like sound, and is none, than is taken.")
        for number in range(CHAIN):
            self._file.seek(at)
            head = self._file.read(HEAD)
            if number and (at == self._size or head.startswith(TAG_NAMES)):
                return True
            frame = self._header(head)
            if frame is None or frame.kind != kind or at + frame.size > self._size:
                return False
            at += frame.size
        return True

    def _walk(self, at: int) -> Run:
        """To where something else begins, or another recording."""
        run, base, block = Run(at, at), at, b""
        while True:
            if at - base + HEAD > len(block):
                self._file.seek(at)
                base, block = at, self._file.read(WINDOW)
            head = block[at - base : at - base + HEAD]
            frame = self._header(head)
            if frame is None or self._kind not in (None, frame.kind):
                break
            announced = self._count(head)
            if announced is not None and at > run.start:
                break
            if at + frame.size > self._size:
                run.is_cut = True
                break
            self._kind = frame.kind
            at += frame.size
            run.frame_s = frame.seconds
            if announced is None:
                run.frames += 1
                run.seconds += frame.seconds
            else:
                run.count = announced
        run.end = at
        return run


def _syncs(block: bytes, sync: bytes) -> Iterator[int]:
    i = block.find(sync)
    while i >= 0:
        yield i
        i = block.find(sync, i + 1)


TAG_NAMES = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def behind_tags(file: BinaryIO) -> int:
    """Where the file begins, but for its tags."""
    at = 0
    for _ in range(MAX_TAGS):
        at += tag(file, at)
    return at


def tag(file: BinaryIO, at: int) -> int:
    """Bytes of the tag that begins there: ID3v2, ID3v1, APEv2, Lyrics3; 0 where there is none."""
    file.seek(at)
    head = file.read(32)
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 0x80:
        footer = 10 if head[5] & 0x10 else 0
        return 10 + footer + sum(byte << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
    if head[:3] == b"TAG":
        return 227 if head[3:4] == b"+" else 128
    if head[:8] == b"APETAGEX" and len(head) >= 16:
        length = int.from_bytes(head[12:16], "little")
        is_header = len(head) >= 24 and int.from_bytes(head[20:24], "little") & 1 << 29
        return length + 32 if is_header else 32  # a tag may also have but the footer
    if head[:11] == b"LYRICSBEGIN":
        file.seek(at)
        end = file.read(WINDOW).find(b"LYRICS200")
        return end + 9 if end > 0 else 11
    return 0
