"""What `medasr verify` found out, for people and for programs."""

import json
from dataclasses import asdict, dataclass

from medasr_service.evaluation.agreement import CRITICAL, Check, Counts, Difference

FEW_WORDS = 5_000  # half an hour or so: with fewer, thresholds of a few in a thousand say little

_CHECKS = {  # what a threshold is about, and its figures
    "verify_min_token_agreement": ("pieces that agree", "{:.3f} %", "at least"),
    "verify_max_wer": ("words that differ", "{:.3f} %", "at most"),
    "verify_max_wer_increase": ("WER against the spoken text, change", "{:+.3f} points", "at most"),
    "verify_max_critical": (
        " and ".join(f"{kind}s" for kind in CRITICAL) + " that differ",
        "{:.0f}",
        "at most",
    ),
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What two engines made of all recordings; ``failed`` names those that could not be read, and why."""

    model: str
    reference: str
    candidate: str
    recordings: int
    seconds: float
    counts: Counts
    differences: tuple[tuple[str, Difference], ...]  # with the name of the recording, numbers first
    checks: tuple[Check, ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Nothing heard is nothing verified."""
        return bool(self.counts.words) and not self.failed and all(check.passed for check in self.checks)


def to_text(found: Verification) -> str:
    counts = found.counts
    lines = [
        f"{found.model}: {found.candidate} against {found.reference}, {found.recordings:,} recordings,"
        f" {found.seconds / 60:,.1f} min, {counts.words:,} words",
        "",
        f"{'frames that agree':<38}{100 * counts.frame_agreement:>10.3f} %  ({counts.frames:,})",
        *map(_check, found.checks),
        "",
    ]
    if 0 < counts.words < FEW_WORDS:
        lines += [f"{counts.words:,} words are few: give it hours of your own recordings.", ""]
    if found.differences:
        lines += [*map(_difference, found.differences), ""]
    return "\n".join([*lines, _verdict(found)])


def _verdict(found: Verification) -> str:
    if found.passed:
        kind = "every word is the same" if not found.differences else "within the thresholds"
        return f"passed: {kind}"
    if not found.counts.words:
        return "failed: the reference heard no word, so that nothing is compared"
    reasons = [check.name for check in found.checks if not check.passed]
    unread = [f"{len(found.failed):,} recordings could not be read"] if found.failed else []
    return f"failed: {', '.join(reasons + unread)}"


def _check(check: Check) -> str:
    about, form, bound = _CHECKS[check.name]
    figure, limit = form.format(check.value), form.format(check.limit)
    return f"{about:<38}{figure:>12}  {bound} {limit}  {'ok' if check.passed else 'NOT KEPT'}"


def _difference(pair: tuple[str, Difference]) -> str:
    name, each = pair
    change = f"[{each.reference or '(nothing)'} -> {each.candidate or '(nothing)'}]"
    context = " ".join(part for part in (each.before, change, each.after) if part)
    return f"{each.kind:<9} {name} {timestamp(each.start)}  {context}"


def timestamp(seconds: float) -> str:
    """HH:MM:SS.mmm"""
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def to_json(found: Verification) -> str:
    counts = found.counts
    body = {
        "passed": found.passed,
        "model": found.model,
        "reference": found.reference,
        "candidate": found.candidate,
        "recordings": found.recordings,
        "audio_s": round(found.seconds, 3),
        "frame_agreement": counts.frame_agreement,
        "token_agreement": counts.token_agreement,
        "wer": counts.wer,
        "wer_increase": counts.wer_increase,
        "counts": asdict(counts),
        "checks": [asdict(check) for check in found.checks],
        "differences": [
            {"file": name, "time": timestamp(each.start), **asdict(each)} for name, each in found.differences
        ],
        "failed": [{"file": name, "error": reason} for name, reason in found.failed],
    }
    return json.dumps(body, ensure_ascii=False, indent=2)
