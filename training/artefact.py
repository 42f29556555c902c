"""The demo model's ONNX artefacts, which the package brings along: `python -m training.artefact` makes them.

They serve at once and without torch. A change of the checkpoint, or of what is exported, wants them anew:
tests/engines/test_shipped.py says so.
"""

import shutil
import tempfile
from pathlib import Path

from medasr_service.engines import artefact
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_FOLDER
from medasr_service.settings import Settings

FOLDER = DEMO_FOLDER / "artefacts"
PRECISIONS = ("fp32", "int8")


def main() -> None:
    """Replaces what is there."""
    demo = checkpoint.resolve(Settings(model="demo"))
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as scratch:
            made = artefact.ensure(demo, Path(scratch), precision).parent
            shutil.rmtree(FOLDER / precision, ignore_errors=True)
            shutil.copytree(made, FOLDER / precision)
        size = sum(file.stat().st_size for file in (FOLDER / precision).iterdir())
        print(f"{FOLDER / precision}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
