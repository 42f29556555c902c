"""Changes to the file of keys that leave everything else in it as it was written."""

import os
import re
import shutil
from pathlib import Path

from medasr_service.accounts.keys import NAME, Key, parse, read
from medasr_service.errors import UsageError


def section(name: str, digest: str, **limits: object) -> str:
    """What stands in the file for a new key; limits as TOML takes them. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            "A name has at most 64 letters, digits, '-' and '_', and begins with none of these two"
        )
    lines = [f"[{name}]", f'sha256 = "{digest}"']
    lines += [f"{field} = {value}" for field, value in limits.items() if value is not None]
    text = "\n".join(lines) + "\n"
    try:
        parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return text


def add(file: Path, text: str) -> None:
    """A section at the end of the file, which is made where it is not there. Raises UsageError."""
    before = _text(file) if file.exists() else ""
    [key] = parse(text)
    if key.name in {each.name for each in parse(before)}:
        raise UsageError(f"[{key.name}] is in {file} already: give another name, or revoke that one first")
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    _replace(file, before, f"{before}{gap}{text}", {key.name: key})


def revoke(file: Path, name: str) -> None:
    """Takes the section of a name out. Raises UsageError."""
    before = _text(file)
    if name not in {key.name for key in read(file)}:
        raise UsageError(f"there is no key {name[:64]!r} in {file}")
    lines = before.splitlines(keepends=True)
    header = re.compile(rf"\s*\[\s*{re.escape(name)}\s*\]")
    start = next((i for i, line in enumerate(lines) if header.match(line)), len(lines))
    end = next((i for i in range(start + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))
    while end > start + 1 and end < len(lines) and lines[end - 1].lstrip().startswith("#"):
        end -= 1  # a comment above the next one is that one's
    _replace(file, before, "".join(lines[:start] + lines[end:]), {name: None})


def _text(file: Path) -> str:
    read(file)
    return file.read_text(encoding="utf-8")


def _replace(file: Path, before: str, after: str, change: dict[str, Key | None]) -> None:
    """At once, as a whole. Raises UsageError where it would change more than is meant."""
    wanted = {key.name: key for key in parse(before)} | change
    try:
        found = {key.name: key for key in parse(after)}
    except ValueError as error:
        raise UsageError(f"{file} was not changed: {error}") from None
    if found != {name: key for name, key in wanted.items() if key}:
        raise UsageError(f"{file} was not changed: it is written in a way that only you can change")
    try:
        file = file.resolve()
        new = file.with_name(f".{file.name}.new")
        with new.open("w", encoding="utf-8") as text:
            text.write(after)
            text.flush()
            os.fsync(text.fileno())
        if file.exists():
            shutil.copymode(file, new)
        new.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
