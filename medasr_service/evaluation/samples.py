"""What is evaluated: recordings with their text, from a manifest or from a folder of pairs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medasr_service.audio.suffixes import AUDIO_SUFFIXES
from medasr_service.errors import UsageError

DRUGS = Path(__file__).with_name("drugs.txt")


@dataclass(frozen=True, slots=True)
class Sample:
    """``name`` is the recording as the manifest names it, ``text`` what is said in it."""

    name: str
    audio: Path
    text: str


def read(source: Path) -> list[Sample]:
    """From a .jsonl file, or from a folder: each recording beside a .txt of the same name.

    Raises UsageError, before any recording is touched, when a line cannot be read, a recording or its
    text is missing, or there is none.
    """
    try:
        samples = _pairs(source) if source.is_dir() else _lines(source)
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UsageError(f"{getattr(error, 'filename', None) or source}: {reason}") from None
    if not samples:
        raise UsageError(f"{source} names no recordings")
    return samples


def terms(file: Path) -> list[str]:
    """The terms of a file, one in each line; a line that begins with # says something about them."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UsageError(f"{file}: {reason}") from None
    found = (line.strip() for line in lines)
    return list(dict.fromkeys(line for line in found if line and not line.startswith("#")))


def _lines(manifest: Path) -> list[Sample]:
    samples = []
    missing = []
    for number, line in enumerate(manifest.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        entry = _entry(line, f"{manifest}, line {number}")
        audio = manifest.parent / entry["audio"]
        if not audio.is_file():
            missing.append(f"{manifest}, line {number}: there is no file {audio}")
        samples.append(Sample(entry["audio"], audio, entry["text"]))
    if missing:
        more = f" (and {len(missing) - 1:,} more are missing)" if len(missing) > 1 else ""
        raise UsageError(missing[0] + more)
    return samples


def _entry(line: str, place: str) -> dict[str, str]:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{place} is not JSON: {error}") from None
    if not isinstance(entry, dict):
        raise UsageError(f"{place} is not an object with audio and text")
    for key in ("audio", "text"):
        if not isinstance(entry.get(key), str) or (key == "audio" and not entry[key]):
            raise UsageError(f"{place} has no {key}")
    return entry


def _pairs(folder: Path) -> list[Sample]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    recordings = [file for file in files if file.suffix.lower() in AUDIO_SUFFIXES]
    texts = {file for file in files if file.suffix.lower() == ".txt"}
    samples = []
    for recording in recordings:
        text = recording.with_suffix(".txt")
        if text not in texts:
            raise UsageError(f"{recording} has no {text.name} beside it")
        name = recording.relative_to(folder).as_posix()
        samples.append(Sample(name, recording, text.read_text(encoding="utf-8-sig").strip()))
    alone = texts - {sample.audio.with_suffix(".txt") for sample in samples}
    if alone:
        raise UsageError(f"{min(alone)} has no recording beside it")
    return samples
