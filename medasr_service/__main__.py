"""The command `medasr`, also as python -m medasr_service: how it ends, whatever ends it."""

import sys

EXIT_STOPPED = 130  # as in cli/status.py, before anything of it is imported


def main() -> int:
    """The exit status. Ctrl-C is one line, at any time."""
    try:
        from medasr_service import cli

        return cli.main()
    except KeyboardInterrupt:
        print("medasr: stopped", file=sys.stderr)
        return EXIT_STOPPED


if __name__ == "__main__":
    sys.exit(main())
