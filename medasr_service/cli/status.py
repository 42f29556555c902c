"""What the command's exit status says."""

from medasr_service.interrupts import EXIT_STOPPED

__all__ = ["EXIT_OK", "EXIT_PIPE", "EXIT_SOME_FAILED", "EXIT_STOPPED", "EXIT_USAGE"]

EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE = 0, 1, 2
EXIT_PIPE = 141  # the reader of a pipe has gone: 128 and SIGPIPE, as shells report it
