"""An evaluation as an HTML page, with what was said and what was written side by side."""

import html
from collections.abc import Iterable, Sequence

from medasr_service.evaluation import report
from medasr_service.evaluation.scoring import Step
from medasr_service.evaluation.summary import Clip, Evaluation
from medasr_service.text import pages

_STYLE = """
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem .3rem 0; text-align: left; }
th, td { vertical-align: top; }
th { color: var(--dim); font-weight: 600; }
article { border-top: 1px solid var(--line); padding: .6rem 0; break-inside: avoid; }
article h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.diff { margin: .3rem 0; line-height: 1.9; overflow-wrap: anywhere; }
del, ins { border-radius: 3px; padding: .08em .3em; }
del { color: var(--bad-ink); background: var(--bad); }
ins { color: var(--good-ink); background: var(--good); text-decoration: underline; }
@media print { del { text-decoration: line-through; } ins { font-weight: 600; } }
"""
_KEY = (
    "<p>In the texts, <del>this was said and not written</del>, and <ins>this was written and not said</ins>."
    " Case and punctuation are not compared.</p>"
)


def to_html(evaluation: Evaluation) -> str:
    title = f"Evaluation of {evaluation.conditions.get('model', 'a model')}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _paragraph(f"{report.opening(evaluation)} {report.ABOUT}"),
        _paragraph(f"Conditions: {report.conditions(evaluation)}.", "dim"),
        _table(report.OVERALL, report.overall(evaluation)),
        *map(_paragraph, report.comparisons(evaluation)),
    ]
    if changed := report.changes(evaluation):
        parts += [_paragraph(report.about_changes(evaluation)), _table(report.CHANGES, changed)]
    parts += [
        "<h2>Words that matter</h2>",
        _paragraph(report.ABOUT_CLASSES),
        _table(report.CLASSES, report.classes(evaluation)),
    ]
    if marked := report.markers(evaluation):
        parts += [
            "<h2>Markers</h2>",
            _paragraph(report.ABOUT_MARKERS),
            _table(report.MARKERS, marked),
        ]
    if missed := report.missed(evaluation):
        parts += [
            f"<details><summary>{len(missed):,} of them are not right</summary>",
            _table(report.MISSED, missed),
            "</details>",
        ]
    parts += [
        "<h2>Confidence</h2>",
        _paragraph("The share of written words that is right, by their probability."),
    ]
    for summary in evaluation.summaries:
        if summary.reliability:
            parts.append(_paragraph(report.reliability_text(summary)))
            parts.append(_table(report.RELIABILITY, report.reliability(summary)))
    return pages.page(title, "\n".join([*parts, *_clips(evaluation)]), style=_STYLE)


def _clips(evaluation: Evaluation) -> Iterable[str]:
    yield "<h2>Recordings</h2>"
    yield _KEY
    right = 0
    for clip in report.worst_first(evaluation.clips):
        if all(outcome.score and not outcome.score.words.errors for outcome in clip.outcomes.values()):
            right += 1
        else:
            yield _clip(clip)
    if right:
        yield _paragraph(f"{right:,} recordings have no error.", "dim")


def _clip(clip: Clip) -> str:
    parts = [f"<article><h3>{html.escape(clip.sample.name)}</h3>"]
    for decoding, outcome in clip.outcomes.items():
        if outcome.score:
            words = outcome.score.words
            note = f"{decoding}: {words.errors} errors in {words.length} words"
            text = " ".join(map(_step, outcome.score.steps))
            parts.append(f'{_paragraph(note, "dim")}<p class="diff">{text}</p>')
        else:
            parts.append(_paragraph(f"{decoding}: failed: {outcome.result.error}"))
    return "\n".join([*parts, "</article>"])


def _step(step: Step) -> str:
    said, written = (html.escape(" ".join(words)) for words in (step.reference, step.hypothesis))
    if step.operation == "equal":
        return said
    return " ".join([f"<del>{said}</del>"] * bool(said) + [f"<ins>{written}</ins>"] * bool(written))


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{html.escape(text)}</p>' if kind else f"<p>{html.escape(text)}</p>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    lines = ("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>\n' + "\n".join(lines) + "</table></div>"
