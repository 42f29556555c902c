"""What a command prints: each line at once, whole, or not at all and said so."""

import os
import sys
from contextlib import suppress

from medasr_service.errors import MedASRError


class OutputClosed(Exception):
    """Whoever read standard output has gone: there is nobody left to tell."""


class OutputFailed(MedASRError):
    """Standard output takes nothing more."""


def put(text: str, end: str = "\n") -> None:
    """To standard output, at once. Raises OutputClosed or OutputFailed: an OSError is a recording's."""
    if sys.stdout is None:  # started with it closed
        raise OutputFailed("The output cannot be written: standard output is closed")
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise OutputClosed from None
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not as {sys.stdout.encoding}"
        raise OutputFailed(f"The output cannot be written: {reason}") from None


def tell(text: str) -> None:
    """A line to standard error; where that is gone, so is its reader."""
    with suppress(OSError):
        print(f"medasr: {text}", file=sys.stderr, flush=True)


def shown(name: str) -> str:
    """A file's name, also one that is not UTF-8, as text that can be written anywhere."""
    return os.fsencode(name).decode("utf-8", "replace")


def forget() -> None:
    """What is still held back for a reader who has gone is not tried again when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
