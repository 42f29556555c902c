"""A row for each recording, and parts: the files that hold them. What is damaged in a part is found."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from medasr_service.archive import tables

Json = dict[str, Any]
SHARD = 64  # recordings in a part: minutes of work, for it is claimed and written as a whole
CHECK = "check"  # of a row: the SHA-256 of all else in it


@dataclass(frozen=True, slots=True)
class Row:
    """``version`` is that of the recording as it was heard; ``content`` what else there is: the fields of
    verbose_json, or ``error`` and its ``code``."""

    file: str
    version: str
    content: Json

    @property
    def code(self) -> str:
        """Of its error; empty where it has a text."""
        return str(self.content.get("code") or "")

    @property
    def duration_s(self) -> float:
        return float(self.content.get("duration") or 0.0)

    @property
    def doubts(self) -> int:
        return int(self.content.get("doubts") or 0)

    def to_json(self) -> Json:
        row = {"file": self.file, "version": self.version, **self.content}
        return {**row, CHECK: _check(row)}

    @classmethod
    def of_json(cls, row: Json) -> "Row":
        """Raises ValueError where it is not as it was written."""
        check = row.pop(CHECK, None)
        if check != _check(row):
            raise ValueError("damaged")
        return cls(str(row.pop("file")), str(row.pop("version")), row)


def _check(row: Json) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows that a part holds whole, by their files; ``damaged`` where it holds something else, too."""

    rows: dict[str, Row] = field(default_factory=dict)
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """How rows become a file: ``split`` gives its rows, each by itself where one can be damaged alone."""

    suffix: str
    write: Callable[[Sequence[Json]], bytes]
    split: Callable[[bytes], Iterable[Callable[[], Json]]]

    def part(self, rows: Iterable[Row]) -> bytes:
        return self.write([row.to_json() for row in sorted(rows, key=lambda row: row.file)])

    def read(self, content: bytes) -> Part:
        """Never raises: what cannot be read is not there."""
        rows: dict[str, Row] = {}
        damaged = False
        try:
            for take in self.split(content):
                try:
                    row = Row.of_json(take())
                except (ValueError, KeyError, TypeError, AttributeError):
                    damaged = True
                    continue
                damaged = damaged or row.file in rows
                rows[row.file] = row
        except ValueError:
            damaged = True
        return Part(rows, damaged)


def _lines(rows: Sequence[Json]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _split_lines(content: bytes) -> Iterable[Callable[[], Json]]:
    return [lambda line=line: json.loads(line) for line in content.split(b"\n") if line]  # type: ignore[misc]


def _split_table(content: bytes) -> Iterable[Callable[[], Json]]:
    return [lambda row=row: row for row in tables.read(content)]  # type: ignore[misc]


FORMATS = {
    "jsonl": Format(".jsonl", _lines, _split_lines),
    "parquet": Format(".parquet", tables.write, _split_table),
}
