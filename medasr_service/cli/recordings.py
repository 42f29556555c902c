"""Which recordings a command was given: files, patterns, folders, or manifests that know what was said."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medasr_service.cli.transcribe import expand
from medasr_service.errors import UsageError
from medasr_service.evaluation.samples import AUDIO_SUFFIXES


@dataclass(frozen=True, slots=True)
class Recording:
    """``spoken`` is the text that was said, where it is known."""

    path: Path
    spoken: str | None = None


def read(arguments: Sequence[str]) -> list[Recording]:
    """All of them. Raises UsageError where one is not there: the work that follows may take hours."""
    found = [recording for name in expand(arguments) for recording in _of(Path(name))]
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
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise UsageError(f"there is no recording in {folder}")
    for file in files:
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
