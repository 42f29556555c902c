"""A checkpoint of google/medasr's exact size with random weights: for speed and memory, not for text.

python -m benchmarks.random_checkpoint build/random-checkpoint
MEDASR_MODEL=build/random-checkpoint make run
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import LasrCTCConfig, LasrForCTC

from medasr_service.model.checkpoint import DEMO_FOLDER

PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", "processor_config.json")


def make(folder: Path) -> Path:
    """Writes the checkpoint, unless it is there; a folder that exists is complete."""
    if folder.exists():
        return folder
    torch.manual_seed(0)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        part = Path(scratch) / folder.name
        LasrForCTC(LasrCTCConfig()).save_pretrained(part)
        for name in PROCESSOR_FILES:
            shutil.copy(DEMO_FOLDER / name, part)
        part.replace(folder)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    print(make(parser.parse_args().folder))
