"""What stands behind the announced end of a WAV's samples: chunks, tags, padding, or more samples.

A recorder that was ended at the wrong moment leaves a header that tells of an earlier one: more sound
follows, and no header says so. Samples are told from other bytes by what they are like: those of sound are
quiet, or hang together with the next ones; other bytes, read as samples, are loud white noise.
"""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from medasr_service.audio import frames, riff

_NAMES = (  # of chunks that stand behind samples, also where their end was lost
    "LIST list id3_ ID3_ JUNK junk PAD_ FLLR bext cart iXML axml aXML fact PEAK cue_ smpl inst plst acid afsp"
    " DISP levl minf elm1 regn umid chna LGWV SAUR strc tlst MD5_ CSET"
)
KNOWN = (b"_PMX", *(name.replace("_", " ").encode() for name in _NAMES.split()))
MAX_CHUNKS = 100
LOOK_BYTES = 1 << 20
BEHIND_BYTES = 1 << 16  # in which chunks at the end of the file are looked for
QUIET = 0.1  # of full scale: the mean size of samples; of any bytes it is a half
LAGS, ALIKE = range(1, 5), 0.3  # correlation with a sample a few behind; of white noise it is about 0


@dataclass(frozen=True, slots=True)
class Form:
    """How samples lie: ``width`` bytes each, ``align`` for those of all channels."""

    order: str
    is_float: bool
    width: int
    align: int


def end_of_samples(file: BinaryIO, start: int, end: int) -> int:
    """Before the chunks and tags that stand at the end of a stretch of samples of unknown length."""
    for _ in range(MAX_CHUNKS):
        found = _last_chunk(file, start, end)
        if found is None:
            break
        end = found
    return end


def _last_chunk(file: BinaryIO, start: int, end: int) -> int | None:
    base = max(start, end - BEHIND_BYTES)
    block = riff.read(file, base, end - base)
    if block[-128:-125] == b"TAG":
        return end - 128
    for name in KNOWN:
        at = block.rfind(name)
        while at >= 0:
            head = block[at + 4 : at + 8]
            for size in (int.from_bytes(head, "little"), int.from_bytes(head)):
                if at + 8 + size + size % 2 - len(block) in (0, 1):
                    return base + at
            at = block.rfind(name, 0, at)
    return None


def rest(file: BinaryIO, at: int, end: int, order: str) -> int:
    """Where in a stretch behind samples begins what is neither chunk nor tag, text or zeros; else its end."""
    for start in (at, at + 1):
        known = last = start
        for chunk in riff.chunks(file, start, order):
            is_known = chunk.name in KNOWN
            if not (is_known or riff.is_name(chunk.name)) or chunk.body > end:
                break
            behind = chunk.body + chunk.size
            if end - 1 <= behind <= end + 1 or (is_known and behind > end):
                return end
            if behind > end:
                break
            last = behind + chunk.size % 2
            known = last if is_known else known
        if last > start and _is_filling(file, last, end):
            return end
        if known > start:
            return known
    return end if _is_filling(file, at, end) else at


def _is_filling(file: BinaryIO, at: int, end: int) -> bool:
    """Whether there are but tags, text and zeros."""
    for _ in range(frames.MAX_TAGS + (end - at) // LOOK_BYTES):
        if at >= end:
            return True
        if size := frames.tag(file, at):
            at += size
            continue
        block = riff.read(file, at, min(LOOK_BYTES, end - at))
        tags = [found for name in frames.TAG_NAMES if (found := block.find(name, 1)) > 0]
        block = block[: min(tags, default=len(block))]
        if not frames.is_text(block.strip(b"\0")):
            return False
        at += max(1, len(block))
    return False


def are_samples(file: BinaryIO, at: int, end: int, form: Form) -> bool:
    """Whether bytes are plainly samples of sound, at the beginning, in the middle and at the end."""
    length = (end - at) // form.align
    window = min(length, LOOK_BYTES // 4 // form.align)
    firsts = {0, (length - window) // 2, length - window}
    return all(
        _is_sound(riff.read(file, at + first * form.align, window * form.align), form) for first in firsts
    )


def _is_sound(block: bytes, form: Form) -> bool:
    samples = _samples(block, form)
    if len(samples) <= max(LAGS) or not np.isfinite(samples).all() or np.abs(samples).max() > 8.0:
        return False
    samples = samples - samples.mean(axis=0)
    if float(np.abs(samples).mean()) < QUIET:
        return True
    power = max(float((samples**2).mean()), 1e-12)
    return any(abs(float((samples[lag:] * samples[:-lag]).mean())) > ALIKE * power for lag in LAGS)


def _samples(block: bytes, form: Form) -> NDArray[np.float64]:
    """In full scale, shape [samples, channels]; of whole numbers the two highest bytes."""
    channels = form.align // form.width
    raw = np.frombuffer(block[: len(block) - len(block) % form.align], np.uint8).reshape(-1, form.width)
    if form.is_float:
        values = raw.view(f"{form.order}f{form.width}").astype(np.float64)
    elif form.width == 1:
        values = raw / 128.0 - 1.0
    else:
        high = np.ascontiguousarray(raw[:, -2:] if form.order == "<" else raw[:, :2])
        values = high.view(f"{form.order}i2") / 32_768.0
    return values.reshape(-1, channels)
