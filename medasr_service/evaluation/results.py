"""What came out, in a file that grows by a line for each recording, so that a run can be taken up again."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    """One recording under one decoding; ``key`` says what it depends on: the sound, the model, the settings.

    ``words`` are those of the text that is scored, with the probability of each. ``elapsed_s`` is the time
    that it took. With an ``error`` there is no text.
    """

    key: str
    name: str
    decoding: str
    text: str = ""
    words: tuple[tuple[str, float], ...] = ()
    duration_s: float = 0.0
    elapsed_s: float = 0.0
    error: str | None = None


def key(audio_sha256: str, decoding: str, conditions: Mapping[str, object]) -> str:
    """The same sound under the same conditions has the same key, whatever its file is called."""
    known = json.dumps([audio_sha256, decoding, dict(conditions)], sort_keys=True, default=str)
    return hashlib.sha256(known.encode()).hexdigest()[:32]


class Results:
    """The lines of a file, by key; without a file they are kept for this run only.

    A line that a crash cut short is left behind and counts as not there. Failures are tried again.
    """

    def __init__(self, file: Path | None, *, fresh: bool = False) -> None:
        self._file = file
        self._known: dict[str, Result] = {}
        if file and fresh:
            file.unlink(missing_ok=True)
        if file and file.exists():
            content = file.read_bytes()
            self._known = {result.key: result for result in _read(content) if not result.error}
            if content and not content.endswith(b"\n"):
                self._append(b"\n")

    def get(self, key: str) -> Result | None:
        return self._known.get(key)

    def add(self, result: Result) -> None:
        self._known[result.key] = result
        self._append(json.dumps(asdict(result), ensure_ascii=False).encode() + b"\n")

    def _append(self, data: bytes) -> None:
        if self._file:
            with self._file.open("ab") as file:
                file.write(data)


def _read(content: bytes) -> Iterable[Result]:
    for line in content.splitlines():
        try:
            fields = json.loads(line)
            fields["words"] = tuple((str(text), float(p)) for text, p in fields["words"])
            yield Result(**fields)
        except (ValueError, TypeError, KeyError):
            continue
