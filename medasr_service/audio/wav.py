"""The chunks of a WAV, to tell whether all of it is there."""

import struct
from typing import BinaryIO

from medasr_service.errors import InvalidAudio, TruncatedAudio

MAX_CHUNKS = 1_000  # before the samples; real ones have a handful
BYTE_ORDERS = {b"RIFF": "<", b"RIFX": ">"}


def check(file: BinaryIO, byte_order: str) -> None:
    """Compares what a WAV header promises with what is there; libsndfile reads on in silence.

    A recording of which a part is missing must not pass for the whole. Chunks: 4 bytes name, 4 bytes size.
    """
    size = file.seek(0, 2)
    at = 12
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        name, length = struct.unpack(f"{byte_order}4sI", head)
        if name == b"data":
            if length > size - at - 8:
                raise TruncatedAudio(
                    f"The WAV header announces {length:,} bytes of audio; the file holds {size - at - 8:,}."
                )
            break
        at += 8 + length + length % 2
    else:
        raise InvalidAudio(f"The WAV file has more than {MAX_CHUNKS:,} chunks before its audio.")
    file.seek(0)
