"""What is being written lies beside what it will be; a crash may leave it behind."""

import posixpath
import secrets

SUFFIX = ".part"


def beside(path: str) -> str:
    """A name in the same folder that nobody else takes."""
    folder, name = posixpath.split(path)
    return f"{folder}/.{name[:100]}.{secrets.token_hex(4)}{SUFFIX}"
