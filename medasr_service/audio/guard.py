"""What a decoder throws at bytes that it does not expect refuses the recording; it is no failure of ours."""

import errno
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from medasr_service.errors import InvalidAudio, MedASRError

P = ParamSpec("P")
T = TypeVar("T")

OURS = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.EPERM, errno.EACCES)  # the disk, or this process


def guarded(decode: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """The same, but whatever it raises besides errors of this package is InvalidAudio.

    Decoders raise what their authors did not think of: OverflowError for a box of 2^63 bytes, ValueError for
    a layout that no library knows. Only what cannot come from the bytes stays what it is.
    """

    @functools.wraps(decode)
    def guarded_decode(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        try:
            yield from decode(*args, **kwargs)
        except (MedASRError, ImportError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in OURS:
                raise
            raise InvalidAudio("The recording is damaged: its decoder cannot make sense of it.") from error

    return guarded_decode
