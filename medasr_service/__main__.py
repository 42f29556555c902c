"""The command `medasr`, also as python -m medasr_service."""

import sys

from medasr_service.interrupts import leaving_at_once


def main() -> int:
    """The exit status."""
    with leaving_at_once():
        from medasr_service import cli
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
