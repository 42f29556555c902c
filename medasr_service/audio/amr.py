"""The frames of AMR (RFC 4867, section 5): a byte that tells the kind, then as many as that kind has."""

from typing import BinaryIO

from medasr_service.audio.ffmpeg import Container

NARROW, WIDE = b"#!AMR\n", b"#!AMR-WB\n"
SIZES = {  # bytes by kind, with the first; 0: there is no such kind
    NARROW: (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
    WIDE: (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}
WINDOW = 1 << 16


def container(file: BinaryIO) -> Container:
    """AMR tells no length: whether its frames end where the file does is all that can be seen."""
    file.seek(0)
    head = file.read(len(WIDE))
    magic = WIDE if head == WIDE else NARROW
    sizes, size = SIZES[magic], file.seek(0, 2)
    at, base, block = len(magic), 0, b""
    cut_off = ""
    while at < size:
        if not base <= at < base + len(block):
            file.seek(at)
            base, block = at, file.read(WINDOW)
        step = sizes[block[at - base] >> 3 & 15]
        if not step:
            cut_off = "what stands there is no frame"
            break
        at += step
    if at > size:
        cut_off = "the file ends inside a frame"
    return Container("amr", has_times=False, cut_off=cut_off)
