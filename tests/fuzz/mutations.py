"""The n-th mutation, the same each time: bytes flipped, set, cut out, doubled, taken from another file."""

import random
import struct

NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
WORDS = (
    *(b"RIFF", b"RIFX", b"WAVE", b"fmt ", b"data", b"LIST", b"fact", b"OggS", b"OpusHead", b"\x01vorbis"),
    *(b"fLaC", b"ID3", b"Xing", b"Info", b"APETAGEX", b"ftyp", b"moov", b"mdat", b"moof", b"trak", b"mdia"),
    *(b"stbl", b"stsd", b"stsz", b"stts", b"stsc", b"stco", b"co64", b"elst", b"trun", b"esds", b"cmov"),
    *(b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\x1fC\xb6u", b"\xff\xf1", b"\xff\xf9", b"\xff\xfb", b"#!AMR\n"),
)
HEAD = 600  # bytes in which most fields are


def mutate(number: int, seeds: list[bytes]) -> bytes:
    dice = random.Random(number)
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8, 30))):
        _change(data, dice, seeds)
        if not data:
            break
    return bytes(data)


def _change(data: bytearray, dice: random.Random, seeds: list[bytes]) -> None:
    at = dice.randrange(min(len(data), HEAD) if dice.random() < 0.6 else len(data))
    length = min(1 << dice.randrange(11), len(data) - at)
    match dice.randrange(10):
        case 0 | 1:
            data[at] ^= 1 << dice.randrange(8)
        case 2:
            data[at] = dice.randrange(256)
        case 3 | 4:
            kind = dice.choice((">H", "<H", ">I", "<I", ">Q", "<Q"))
            size = struct.calcsize(kind)
            value = struct.pack(kind, dice.choice(NUMBERS) % (1 << 8 * size))
            data[at : at + size] = value
        case 5:
            word = dice.choice(WORDS)
            data[at : at + len(word)] = word
        case 6:
            del data[at : at + length]
        case 7:
            data[at:at] = data[at : at + length] * dice.choice((1, 2, 20))
        case 8:
            other = dice.choice(seeds)
            begin = dice.randrange(len(other))
            data[at : at + length] = other[begin : begin + length]
        case 9:
            if dice.random() < 0.3:
                del data[at:]
            else:
                data[at : at + length] = dice.randbytes(length)
