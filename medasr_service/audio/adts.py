"""The headers of AAC without a container: ADTS (ISO/IEC 14496-3, 1.A.2.2)."""

from medasr_service.audio.frames import Frame

RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)


def header(head: bytes) -> Frame | None:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    index = head[2] >> 2 & 15
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if index >= len(RATES) or size < 7:
        return None
    return Frame(size, 1_024 * ((head[6] & 3) + 1), RATES[index], index)
