"""An evaluation as Markdown and as data; ``page`` has it as HTML."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medasr_service.evaluation.scoring import Counts, Found
from medasr_service.evaluation.summary import Clip, Evaluation, Summary

LONGEST_LIST = 100  # of recordings, and of missed words, in Markdown; JSON has all
ABOUT = "Compared as in MedASR's notebook: lower case, every character outside [a-z0-9' ] a space."


def percent(rate: float | None) -> str:
    return "n/a" if rate is None else f"{100 * rate:.2f} %"


def opening(evaluation: Evaluation) -> str:
    """What was measured, in one sentence."""
    first = evaluation.summaries[0]
    return (
        f"{first.clips:,} recordings, {first.duration_s / 60:,.1f} min, {first.words.length:,} words,"
        f" from {evaluation.source}."
    )


def conditions(evaluation: Evaluation) -> str:
    return ", ".join(f"{name} {value}" for name, value in evaluation.conditions.items())


OVERALL = (
    "decoding", "WER", "95 % interval", "without markers", "CER", "substitutions", "deletions", "insertions",
    "without error", "RTFx", "failed",
)  # fmt: skip


def overall(evaluation: Evaluation) -> list[list[str]]:
    """A row of OVERALL for each decoding."""
    return [
        [
            summary.decoding,
            percent(summary.words.rate),
            " to ".join(map(percent, summary.interval)) if summary.interval else "n/a",
            percent(summary.plain.rate),
            percent(summary.characters.rate),
            *(f"{n:,}" for n in _kinds(summary.words)),
            f"{summary.exact:,} of {summary.clips - summary.failed:,}",
            f"{summary.rtfx:.1f}" if summary.rtfx else "n/a",
            f"{summary.failed:,}",
        ]
        for summary in evaluation.summaries
    ]


def comparisons(evaluation: Evaluation) -> list[str]:
    """How each other decoding differs from the first, in words."""
    first = evaluation.summaries[0]
    lines = []
    for each in evaluation.comparisons:
        low, high = (f"{100 * end:+.2f}" for end in each.interval)
        relative = f" ({100 * each.difference / first.words.rate:+.1f} % of it)" if first.words.rate else ""
        lines.append(
            f"WER with {each.decoding} against {first.decoding}:"
            f" {100 * each.difference:+.2f} points{relative}, 95 % interval {low} to {high}."
        )
    return lines


CHANGES = ("decoding", "words", "won", "lost")


def changes(evaluation: Evaluation) -> list[list[str]]:
    """A row of CHANGES for each other decoding and class of words that it changes."""
    return [
        [each.decoding, name, f"{won:,}", f"{lost:,}"]
        for each in evaluation.comparisons
        for name, (won, lost) in each.changes.items()
        if won or lost
    ]


def about_changes(evaluation: Evaluation) -> str:
    first = evaluation.summaries[0].decoding
    return f"What is right and was not with {first} is won, what was right with it and is not is lost."


CLASSES = ("words", "decoding", "said", "right", "recall", "made up", "WER")
ABOUT_CLASSES = "WER: of the words that they are of, those that are lost or replaced."


def classes(evaluation: Evaluation) -> list[list[str]]:
    """A row of CLASSES for each class of words and each decoding."""
    return _rows([(each.decoding, each.classes) for each in evaluation.summaries])


MARKERS = ("markers", "decoding", "said", "right", "recall", "made up")
ABOUT_MARKERS = "Each marker is one thing; doubts and placeholders are no words that somebody said."


def markers(evaluation: Evaluation) -> list[list[str]]:
    """A row of MARKERS for each kind and each decoding."""
    return [row[:-1] for row in _rows([(each.decoding, each.markers) for each in evaluation.summaries])]


def _rows(found: Sequence[tuple[str, Mapping[str, Found]]]) -> list[list[str]]:
    names = dict.fromkeys(name for _, classes in found for name in classes)
    return [
        [
            name,
            decoding,
            f"{each.said:,}",
            f"{each.right:,}",
            percent(each.right / each.said if each.said else None),
            f"{each.made_up:,}",
            percent(each.rate),
        ]
        for name in names
        for decoding, classes in found
        if (each := classes.get(name))
    ]


MISSED = ("words", "decoding", "recording", "said", "written instead")


def missed(evaluation: Evaluation) -> list[list[str]]:
    """A row of MISSED for each word of a class that is not right."""
    return [
        [name, decoding, clip.sample.name, said, instead or "nothing"]
        for clip in evaluation.clips
        for decoding, outcome in clip.outcomes.items()
        if outcome.score
        for name, found in outcome.score.classes.items()
        for said, instead in found.missed
    ]


RELIABILITY = ("probability", "words", "mean probability", "right")


def reliability(summary: Summary) -> list[list[str]]:
    """A row of RELIABILITY for each bin."""
    return [
        [
            f"{each.low:.1f} to {each.high:.1f}",
            f"{each.words:,}",
            f"{each.probability:.3f}",
            f"{each.accuracy:.3f}",
        ]
        for each in summary.reliability
    ]


def reliability_text(summary: Summary) -> str:
    error = summary.calibration_error
    return f"{summary.decoding}: expected calibration error {'n/a' if error is None else f'{error:.3f}'}"


def clip_headings(evaluation: Evaluation) -> list[str]:
    return ["recording", "words", *(f"errors, {summary.decoding}" for summary in evaluation.summaries)]


def clip_row(clip: Clip) -> list[str]:
    """Errors and WER under each decoding, or why there is none."""
    scores = [outcome.score for outcome in clip.outcomes.values()]
    words = next((str(score.words.length) for score in scores if score), "")
    return [
        clip.sample.name,
        words,
        *(
            f"{outcome.score.words.errors} ({percent(outcome.score.words.rate)})"
            if outcome.score
            else f"failed: {outcome.result.error}"
            for outcome in clip.outcomes.values()
        ),
    ]


def worst_first(clips: Iterable[Clip]) -> list[Clip]:
    """Those that failed, then those with the most errors under any decoding."""

    def badness(clip: Clip) -> tuple[bool, int]:
        scores = [outcome.score for outcome in clip.outcomes.values()]
        return not all(scores), max((score.words.errors for score in scores if score), default=0)

    return sorted(clips, key=badness, reverse=True)


def to_markdown(evaluation: Evaluation) -> str:
    parts = [
        f"# Evaluation of {evaluation.conditions.get('model', 'a model')}",
        f"{opening(evaluation)} {ABOUT}",
        f"Conditions: {conditions(evaluation)}.",
        _table(OVERALL, overall(evaluation)),
        *comparisons(evaluation),
    ]
    if changed := changes(evaluation):
        parts += [about_changes(evaluation), _table(CHANGES, changed)]
    parts += ["## Words that matter", ABOUT_CLASSES, _table(CLASSES, classes(evaluation))]
    if marked := markers(evaluation):
        parts += ["## Markers", ABOUT_MARKERS, _table(MARKERS, marked)]
    if lost := missed(evaluation):
        parts += [f"Not right{_first(lost)}:", _table(MISSED, lost[:LONGEST_LIST])]
    parts += ["## Confidence", "How many of the words that were written are right, by their probability."]
    for summary in evaluation.summaries:
        if summary.reliability:
            parts += [f"{reliability_text(summary)}.", _table(RELIABILITY, reliability(summary))]
    rows = [clip_row(clip) for clip in worst_first(evaluation.clips)]
    parts += [f"## Recordings{_first(rows)}", _table(clip_headings(evaluation), rows[:LONGEST_LIST])]
    return "\n\n".join(parts) + "\n"


def _first(rows: Sequence[object]) -> str:
    return f", the first {LONGEST_LIST:,} of {len(rows):,}" if len(rows) > LONGEST_LIST else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def to_json(evaluation: Evaluation) -> str:
    body = {
        "source": evaluation.source,
        "conditions": evaluation.conditions,
        "decodings": {summary.decoding: _summary(summary) for summary in evaluation.summaries},
        "against_the_first": {
            each.decoding: {
                "wer_difference": each.difference,
                "interval": each.interval,
                "changes": {name: {"won": won, "lost": lost} for name, (won, lost) in each.changes.items()},
            }
            for each in evaluation.comparisons
        },
        "recordings": [_clip(clip) for clip in evaluation.clips],
    }
    return json.dumps(body, ensure_ascii=False, indent=2, default=str) + "\n"


def _kinds(counts: Counts) -> tuple[int, int, int]:
    return counts.substitutions, counts.deletions, counts.insertions


def _counts(counts: Counts) -> dict[str, Any]:
    substitutions, deletions, insertions = _kinds(counts)
    return {
        "rate": counts.rate,
        "length": counts.length,
        "hits": counts.hits,
        "substitutions": substitutions,
        "deletions": deletions,
        "insertions": insertions,
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "recordings": summary.clips,
        "failed": summary.failed,
        "without_error": summary.exact,
        "wer": _counts(summary.words),
        "wer_interval": summary.interval,
        "cer": _counts(summary.characters),
        "audio_s": round(summary.duration_s, 3),
        "work_s": round(summary.elapsed_s, 3),
        "rtfx": summary.rtfx,
        "wer_without_markers": _counts(summary.plain),
        "classes": {name: _found(found) for name, found in summary.classes.items()},
        "markers": {name: _found(found) for name, found in summary.markers.items()},
        "calibration_error": summary.calibration_error,
        "reliability": [
            {
                "low": each.low,
                "high": each.high,
                "words": each.words,
                "probability": each.probability,
                "accuracy": each.accuracy,
            }
            for each in summary.reliability
        ],
    }


def _found(found: Found) -> dict[str, Any]:
    return {
        "said": found.said,
        "right": found.right,
        "made_up": found.made_up,
        "words": found.words,
        "wrong": found.wrong,
        "wer": found.rate,
        "missed": [{"said": said, "written": instead} for said, instead in found.missed],
    }


def _clip(clip: Clip) -> dict[str, Any]:
    return {
        "audio": clip.sample.name,
        "text": clip.sample.text,
        "decodings": {
            decoding: {
                "text": outcome.result.text,
                "wer": _counts(outcome.score.words),
                "cer": _counts(outcome.score.characters),
                "audio_s": outcome.result.duration_s,
                "work_s": outcome.result.elapsed_s,
            }
            if outcome.score
            else {"error": outcome.result.error}
            for decoding, outcome in clip.outcomes.items()
        },
    }
