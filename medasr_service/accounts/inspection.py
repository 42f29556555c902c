"""Whether the lines of a chain are those that were written: the first that is not is named."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medasr_service.accounts.audit import CLOSED
from medasr_service.accounts.chain import NOTHING, TORN, Fields, Head

START = Head()
NOT_CLOSED = "no line says that the service has stopped: it runs, was killed, or lines are missing at the end"


@dataclass(frozen=True)
class Remark:
    file: Path
    number: int  # of the line in it, from 1 on; 0: of none
    said: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}: {self.said}" if self.number else f"{self.file}: {self.said}"


@dataclass
class Inspected:
    """``fault``: what is wrong first; nothing behind it was looked at. ``notices`` are no faults."""

    lines: int = 0
    head: Head = START
    fault: Remark | None = None
    notices: list[Remark] = field(default_factory=list)


class _Wrong(Exception):
    def __init__(self, file: Path, number: int, said: str) -> None:
        self.remark = Remark(file, number, said)


Place = tuple[Path, int]


def inspect(files: Sequence[Path], *, after: Head = START, heads: Sequence[Head] = ()) -> Inspected:
    """The files of one chain, the oldest first. ``after``: the head of what was before them; ``heads``: such
    as were told, which must stand in them. Raises OSError.
    """
    found = Inspected(head=after)
    try:
        event = _lines(files, found, {head.number: head.digest for head in heads})
        for head in heads:
            if head.number > found.head.number:
                said = (
                    f"it ends with line {found.head.number:,} of the chain, but line {head.number:,} was told"
                )
                raise _Wrong(files[-1], 0, said)
    except _Wrong as wrong:
        found.fault = wrong.remark
    else:
        if event != CLOSED:
            found.notices.append(Remark(files[-1], 0, NOT_CLOSED))
    return found


def _lines(files: Sequence[Path], found: Inspected, told: dict[int, str]) -> str | None:
    """Goes through them all; the event of the last. Raises _Wrong."""
    before: Place | None = None  # the line before
    torn: Place | None = None  # it, where it is no whole one
    event = None
    for place, line, is_whole in _read(files):
        fields = _parsed(line)
        if fields is None:
            if torn:
                raise _Wrong(*torn, "this is no line of an audit")
            before, torn, event = place, place, None
            found.head = found.head.next(line)
        else:
            event = fields.get("event")
            if torn and event != TORN:
                raise _Wrong(*torn, "this is no line of an audit")
            _check(fields, found, place, before)
            if event == TORN and before:
                found.notices.append(
                    Remark(*before, "it was cut off when a process was killed; the next one says so")
                )
            found.head = found.head.next(line)
            before, torn = place, None
        found.lines += 1
        if told.get(found.head.number, found.head.digest) != found.head.digest:
            raise _Wrong(*place, "this is not the line whose head was told")
        if not is_whole:
            found.notices.append(Remark(*place, "it is cut off: the service was killed while it wrote"))
            return None
    if torn:
        raise _Wrong(*torn, "this is no line of an audit")
    return event


def _read(files: Sequence[Path]) -> Iterator[tuple[Place, bytes, bool]]:
    """Place, line, and whether it has an end; one without is the last of its file."""
    for file in files:
        with file.open("rb") as source:
            for number, line in enumerate(source, start=1):
                is_whole = line.endswith(b"\n")
                yield (file, number), line.removesuffix(b"\n"), is_whole or file != files[-1]


def _parsed(line: bytes) -> Fields | None:
    try:
        fields = json.loads(line)
        return fields if isinstance(fields["n"], int) and isinstance(fields["prev"], str) else None
    except (ValueError, TypeError, KeyError):
        return None


def _check(fields: Fields, found: Inspected, place: Place, before: Place | None) -> None:
    """Whether it goes on from the line before. Raises _Wrong."""
    number, due, digest = fields["n"], found.head.number + 1, fields["prev"]
    if (number, digest) == (due, found.head.digest):
        return
    if number == 1 and digest == NOTHING:
        raise _Wrong(*place, "a new chain begins here: nothing binds it to what is before")
    if before is None and found.head == START:
        raise _Wrong(
            *place, f"it is line {number:,} of the chain: name what is before, or its head (--after)"
        )
    if number > due:
        raise _Wrong(*place, f"{number - due:,} lines are missing before it")
    if number < due:
        raise _Wrong(
            *place, f"it is line {number:,} of the chain, where {due:,} is due: moved, or there twice"
        )
    raise _Wrong(*(before or place), f"it was changed: line {due:,} of the chain holds another hash of it")
