"""What the command's exit status says."""

EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE = 0, 1, 2
EXIT_STOPPED = 130  # by Ctrl-C, as shells report it
