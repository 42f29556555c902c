"""The service, gone with the process that started it: `python -m medasr_service.serving.tied`."""

import ctypes
import signal
from contextlib import suppress

from medasr_service.serving.start import serve

PR_SET_PDEATHSIG = 1  # prctl(2), on Linux


def tie() -> None:
    with suppress(OSError, AttributeError):  # where there is no such thing, it stays, and holds its port
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    tie()
    serve()
