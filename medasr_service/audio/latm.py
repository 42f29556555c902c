"""The headers of AAC in LATM, as broadcasts and phones carry it: LOAS (ISO/IEC 14496-3, 1.7.2)."""

from medasr_service.audio import adts
from medasr_service.audio.frames import Frame, Header

SYNC, HEAD = 0x2B7, 3
FIRST = b"\x56"  # byte of the mark
SAMPLES = 1_024


def header() -> Header:
    """For one file: not every frame tells the rate, so that of the last one is kept."""
    last = 0

    def read(head: bytes) -> Frame | None:
        nonlocal last
        if len(head) < 12 or head[0] << 3 | head[1] >> 5 != SYNC:
            return None
        size = (head[1] & 0x1F) << 8 | head[2]
        if size < 2:
            return None
        last = _rate(head[HEAD:]) or last
        return Frame(HEAD + size, SAMPLES, last, 0)

    return read


def _rate(body: bytes) -> int:
    """Of a frame that has it, in its first and usual place; else 0."""
    bits = int.from_bytes(body[:8])
    is_same, version, rest = bits >> 63, bits >> 62 & 1, bits & (1 << 62) - 1
    if is_same or version:
        return 0
    index = rest >> 39 & 15  # behind 1 + 6 + 4 + 3 bits of the multiplex, and 5 of the object type
    return adts.RATES[index] if index < len(adts.RATES) else 0
