"""Files that appear whole or not at all."""

import os
from pathlib import Path


def write(file: Path, text: str) -> None:
    """UTF-8, under a temporary name beside it first, then renamed."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
