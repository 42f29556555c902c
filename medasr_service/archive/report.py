"""What came out of a run: for people, and for programs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from medasr_service.archive.rows import Row


@dataclass(frozen=True, slots=True)
class Tally:
    """Of some recordings: ``heard_s`` seconds of sound, ``failures`` by the codes of their errors."""

    recordings: int = 0
    heard_s: float = 0.0
    doubts: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> "Tally":
        return sum(
            (cls(1, row.duration_s, row.doubts, {row.code: 1} if row.code else {}) for row in rows),
            cls(),
        )

    def __add__(self, other: "Tally") -> "Tally":
        failures = dict(self.failures)
        for code, count in other.failures.items():
            failures[code] = failures.get(code, 0) + count
        return Tally(
            self.recordings + other.recordings,
            self.heard_s + other.heard_s,
            self.doubts + other.doubts,
            failures,
        )

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


@dataclass(frozen=True, slots=True)
class Report:
    """``now`` was done in this run, ``before`` in others; ``seconds`` is what this one took, and
    ``damaged_parts`` what it found damaged and made anew."""

    folder: str
    recordings: int
    passed_over: int
    now: Tally
    before: Tally
    damaged_parts: int
    seconds: float

    @property
    def all(self) -> Tally:
        return self.now + self.before

    @property
    def rtfx(self) -> float:
        """Seconds of sound heard in a second."""
        return self.now.heard_s / self.seconds if self.seconds else 0.0


def to_json(report: Report) -> dict[str, Any]:
    found = report.all
    return {
        "folder": report.folder,
        "recordings": report.recordings,
        "passed_over": report.passed_over,
        "done_now": report.now.recordings,
        "done_before": report.before.recordings,
        "hours_now": round(report.now.heard_s / 3600, 4),
        "hours": round(found.heard_s / 3600, 4),
        "seconds": round(report.seconds, 1),
        "rtfx": round(report.rtfx, 1),
        "failures": dict(sorted(found.failures.items())),
        "doubts": found.doubts,
        "doubts_per_hour": _per_hour(found),
        "damaged_parts": report.damaged_parts,
    }


def to_text(report: Report) -> str:
    found, now = report.all, report.now
    failures = ", ".join(f"{code} {count:,}" for code, count in sorted(found.failures.items()))
    lines = [
        ("recordings", f"{report.recordings:,}: {now.recordings:,} now, {report.before.recordings:,} before"),
        ("audio", f"{found.heard_s / 3600:,.2f} h, {now.heard_s / 3600:,.2f} h of it now"),
        ("time", _time(report.seconds) + (f", RTFx {report.rtfx:.1f}" if now.heard_s else "")),
        ("failed", f"{found.failed:,}" + (f" ({failures})" if failures else "")),
        ("doubts", f"{found.doubts:,}, {_per_hour(found):,.1f} in an hour of audio"),
    ]
    if report.passed_over:
        lines.append(("passed over", f"{report.passed_over:,} files that are no recordings by their names"))
    if report.damaged_parts:
        lines.append(("damaged", f"{report.damaged_parts:,} parts, made anew"))
    lines.append(("rows", report.folder))
    return "".join(f"{name:<12} {text}\n" for name, text in lines)


def _per_hour(tally: Tally) -> float:
    return round(tally.doubts / (tally.heard_s / 3600), 1) if tally.heard_s else 0.0


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
