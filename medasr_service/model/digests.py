"""SHA-256 of files, each read once: the processes of a service tell one another what they have read.

A checkpoint and its artefact are nearly a gigabyte, and each process of a service checks them as it starts.
"""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

VARIABLE = "_MEDASR_DIGESTS"  # in the environment of the processes that are started later


def sha256(file: Path) -> str:
    """Of the file as it is now: one that has been changed or replaced since it was read is read again."""
    stat = file.stat()
    key = f"{file.absolute()} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    known = _known()
    if key not in known:
        with file.open("rb") as stream:
            known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return known[key]


def to_tell() -> str:
    """What this process has read; as VARIABLE, another one need not read it."""
    return json.dumps(_known())


@cache
def _known() -> dict[str, str]:
    return dict(json.loads(os.environ.get(VARIABLE, "{}")))
