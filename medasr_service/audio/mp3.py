"""The headers of MP3 (MPEG audio, layers I to III), and what their first frame announces."""

from medasr_service.audio.frames import Frame

RATES = (44_100, 48_000, 32_000)  # of version 1; a half in version 2, a quarter in 2.5
KBITS = {  # (is version 1, layer): by the index in the header
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
MAX_SIDE = 4 + 2 + 32  # bytes before Xing, Info or VBRI: header, checksum, side information


def header(head: bytes) -> Frame | None:
    """None also for a frame of free format, which does not tell its length."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate_index, index = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 4 or rate_index == 3 or not 0 < index < 15:
        return None
    first = version == 3
    rate = RATES[rate_index] >> (0 if first else 1 if version == 2 else 2)
    bits, padding = KBITS[first, layer][index] * 1_000, head[2] >> 1 & 1
    samples = 384 if layer == 1 else 1_152 if layer == 2 or first else 576
    size = (12 * bits // rate + padding) * 4 if layer == 1 else samples // 8 * bits // rate + padding
    return Frame(size, samples, rate, version << 8 | layer << 4 | rate_index)


def is_free_format(head: bytes) -> bool:
    """Whether a frame begins there that does not tell its length."""
    return (
        len(head) >= 4
        and head[2] >> 4 == 0
        and header(head[:2] + bytes([head[2] | 0x10]) + head[3:]) is not None
    )


def count(frame: bytes) -> int | None:
    """How many frames follow, by the Xing, Info or VBRI that stands in place of sound; 0: it does not say."""
    for name in (b"Xing", b"Info"):
        at = frame.find(name, 4, MAX_SIDE + 4)
        if at >= 0:
            return int.from_bytes(frame[at + 8 : at + 12]) if frame[at + 7] & 1 else 0
    if frame[36:40] == b"VBRI":
        return int.from_bytes(frame[50:54])
    return None
