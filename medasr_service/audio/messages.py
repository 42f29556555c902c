"""What a decoder process and the service say to each other, over a socket.

To the process: a call as JSON, then an empty message for each turn to go on. From it: one frame a turn. What
comes back is data only, never pickled: a process that was taken over must not reach further than its answer.
"""

import json
import socket
import struct
from enum import IntEnum
from typing import Any

LENGTH = struct.Struct("<I")
HEADER = struct.Struct("<BIf")  # kind, bytes that follow, CPU seconds of the process so far
MAX_FRAME_BYTES = 64 << 20  # a block at the lowest rate has 2 MB
GO_ON = LENGTH.pack(0)


class Kind(IntEnum):
    MORE = 0  # the turn is over, the call is not
    INFO = 1  # what ``inspect`` found, as JSON
    BLOCK = 2  # samples, float32
    END = 3  # of the stream
    REFUSED = 4  # JSON: the class of the error, its text
    FAILED = 5  # JSON: the class of what is a fault of ours


def call(name: str, options: dict[str, Any]) -> bytes:
    message = json.dumps([name, options]).encode()
    return LENGTH.pack(len(message)) + message


def receive(channel: socket.socket, size: int) -> bytes:
    """So many bytes. Raises EOFError where the other side is gone."""
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def receive_message(channel: socket.socket) -> bytes:
    """A call, or nothing: to go on."""
    (size,) = LENGTH.unpack(receive(channel, LENGTH.size))
    return receive(channel, size)


def send(channel: socket.socket, kind: Kind, body: Any = b"", *, cpu_s: float) -> None:
    data = memoryview(body).cast("B")
    channel.sendall(HEADER.pack(kind, len(data), cpu_s))
    channel.sendall(data)
