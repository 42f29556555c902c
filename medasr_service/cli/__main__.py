"""python -m medasr_service.cli: the command without its script."""

import sys

from medasr_service.cli import main

if __name__ == "__main__":
    sys.exit(main())
