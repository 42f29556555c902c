"""Ctrl-C while nothing is there to be saved, as while modules and models load."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_STOPPED = 130  # 128 and the signal's number, as shells report it


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Ctrl-C is one line and the end: an exception would come out of a half-loaded module as something else.

    Where it is ignored (nohup) or somebody else's, it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(*_: object) -> None:
    os.write(2, b"medasr: stopped\n")
    os._exit(EXIT_STOPPED)
