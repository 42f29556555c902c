"""Which recordings a command was given: files, patterns, folders, or manifests that know what was said."""

import glob
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medasr_service.audio.suffixes import AUDIO_SUFFIXES
from medasr_service.errors import UsageError

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Recording:
    """``spoken`` is the text that was said, where it is known."""

    path: Path
    spoken: str | None = None


def expand(
    arguments: Sequence[str], suffixes: Sequence[str] = AUDIO_SUFFIXES, kind: str = "recording"
) -> list[str]:
    """The files that are meant, each once: of a folder its recordings, of a pattern that the shell left alone
    what matches. A name without a match stays a name. Raises UsageError for a folder that has none."""
    found: list[str] = []
    for name in _matching(arguments):
        found += (
            [str(file) for file in _in_folder(Path(name), suffixes, kind)] if Path(name).is_dir() else [name]
        )
    return list(dict.fromkeys(found))


def _matching(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        exact = pattern == STDIN or Path(pattern).exists()
        yield from [pattern] if exact else sorted(glob.glob(pattern, recursive=True)) or [pattern]  # noqa: PTH207


def _in_folder(folder: Path, suffixes: Sequence[str] = AUDIO_SUFFIXES, kind: str = "recording") -> list[Path]:
    """Its recordings, not those of folders in it."""
    try:
        found = sorted(file for file in folder.iterdir() if file.suffix.lower() in suffixes)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from None
    if not found:
        raise UsageError(f"there is no {kind} in {folder}")
    return found


def read(arguments: Sequence[str]) -> list[Recording]:
    """All of them. Raises UsageError where one is not there: the work that follows may take hours."""
    found = [recording for name in dict.fromkeys(_matching(arguments)) for recording in _of(Path(name))]
    missing = [recording.path for recording in found if not recording.path.is_file()]
    if missing:
        more = f" (and {len(missing) - 1:,} more are missing)" if len(missing) > 1 else ""
        raise UsageError(f"there is no file {missing[0]}{more}")
    return found


def _of(path: Path) -> Iterator[Recording]:
    if path.is_dir():
        yield from _of_folder(path)
    elif path.suffix == ".jsonl":
        yield from _of_manifest(path)
    else:
        yield Recording(path)


def _of_folder(folder: Path) -> Iterator[Recording]:
    """Each recording; a .txt of the same name beside it is what was said."""
    for file in _in_folder(folder):
        text = file.with_suffix(".txt")
        yield Recording(file, _text(text) if text.is_file() else None)


def _of_manifest(manifest: Path) -> Iterator[Recording]:
    """Names of recordings are from the folder of the manifest on; the text of a line may be missing."""
    for number, line in enumerate(_text(manifest).splitlines(), 1):
        if line.strip():
            try:
                content = json.loads(line)
                audio, text = content["audio"], content.get("text")
                if not (isinstance(audio, str) and isinstance(text, str | None)):
                    raise TypeError
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UsageError(f'{manifest}:{number} is not {{"audio": FILE, "text": TEXT}}') from None
            yield Recording(manifest.parent / audio, text)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
