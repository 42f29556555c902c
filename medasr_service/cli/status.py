"""What the command's exit status says."""

EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE = 0, 1, 2
# By Ctrl-C, and as the reader of a pipe has gone: 128 and the signal's number, as shells report it.
EXIT_STOPPED, EXIT_PIPE = 130, 141
