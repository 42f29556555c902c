"""A transcript with its doubtful words marked, for a terminal and as a page.

A word is doubtful when its probability is below a threshold, or when it is a doubt or a placeholder of the
model's own, whatever its probability: that must be filled in, as must be what could not be read of the
recording. What it wrote is marked; where it wrote nothing that can be seen, as ``{new paragraph}`` does, the
mark shows what the model said. Without the marks, and what they show of that kind, the text is that of the
response format "text".
"""

import html
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medasr_service.text import losses, pages
from medasr_service.text.transcript import Transcript, Word

UNDERLINED, MISSING, PLAIN = "\033[4;33m", "\033[1;41;97m", "\033[0m"  # in yellow; white on red
_WORD = re.compile(r"\S*[^\W_]\S*")
_SIGNS = {False: ("[?", "?]"), True: ("[!", "!]")}


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the text: white space, then what is seen; ``said`` only: nothing is, but it is doubtful.

    ``start`` and ``end`` in seconds; ``probability`` that of the least certain word.
    """

    space: str
    text: str
    said: str
    start: float
    end: float
    probability: float
    doubtful: bool
    missing: bool  # a doubt, a placeholder, or sound that could not be read


def parts(words: Sequence[Word], low: float) -> Iterator[Part]:
    """The text, word by word; the words of a heading, whose share is with the first of them, as one."""
    at = 0
    while at < len(words):
        share = words[at].written
        size = 1
        while size < len(share.split()) and at + size < len(words) and not words[at + size].written:
            size += 1
        group = words[at : at + size]
        space = share[: len(share) - len(share.lstrip())]
        probability = min(word.probability for word in group)
        missing = any(word.unclear for word in group)
        doubtful = missing or probability < low
        said = " ".join(word.text for word in group) if doubtful and not share.strip() else ""
        text = share[len(space) :]
        yield Part(space, text, said, group[0].start, group[-1].end, probability, doubtful, missing)
        at += size


def to_terminal(transcript: Transcript, *, low: float, colour: bool) -> str:
    """Doubtful words underlined in yellow, or, without colour, as ``[?word?]``; what must be filled in on
    red, or as ``[!word!]``."""
    out = []
    for part in parts(losses.marked(transcript).words, low):
        before, after = (MISSING if part.missing else UNDERLINED, PLAIN) if colour else _SIGNS[part.missing]
        if part.said:
            out.append(f" {before}{part.said}{after}{part.space}")
        elif part.doubtful:
            text = part.text.rstrip()
            out.append(f"{part.space}{before}{text}{after}{part.text[len(text) :]}")
        else:
            out.append(part.space + part.text)
    return "".join(out) + "\n"


_STYLE = """
.text { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 1.1rem; margin: 1.5rem 0; }
.text span:hover { background: var(--shade); }
mark {
  color: var(--doubt-ink); background: var(--doubt); border-radius: 3px; padding: 0 .15em;
  text-decoration: underline dashed 1px; text-underline-offset: .2em;
}
mark.missing { color: var(--bad-ink); background: var(--bad); font-weight: 600; }
.said { font-size: .85em; font-style: italic; }
@media print { mark { border: 1px dashed #000; } }
"""


def to_html(transcript: Transcript, *, low: float, name: str, notice: str = "") -> str:
    """A page of its own; each word tells its times when pointed at. ``notice`` is about the model."""
    found = list(parts(losses.marked(transcript).words, low))
    count = word_count("".join(part.space + part.text for part in found))
    missing = sum(part.missing for part in found)
    doubtful = sum(part.doubtful and not part.missing for part in found)
    fill = f" Left to be filled in, in another colour: {missing:,}." if missing else ""
    about = (
        f"{_clock(transcript.duration)} of audio, {count:,} words, {doubtful:,} doubtful:"
        f" marked, with a probability below {low:g}. Point at a word for its times. Also a word without"
        " a mark may be wrong: read all of it before you sign." + fill
    )
    body = [f"<h1>{html.escape(name)}</h1>"]
    notices = [notice, *(each.message for each in transcript.warnings)]
    body += [f"<p><strong>{html.escape(each)}</strong></p>" for each in notices if each]
    body += [
        f'<p class="dim">{html.escape(about)}</p>',
        f'<div class="text">{"".join(map(_span, found))}</div>',
    ]
    return pages.page(name, "\n".join(body), style=_STYLE)


def word_count(text: str) -> int:
    """As the panel counts: a word is what stands between two white spaces, and has a letter or a digit."""
    return len(_WORD.findall(text))


def _span(part: Part) -> str:
    title = f"{_clock(part.start)} to {_clock(part.end)}, probability {part.probability:.2f}"
    if part.missing:
        title += ", to be filled in"
    if part.said:
        return f' <mark class="said" title="{title}">{html.escape(part.said)}</mark>{part.space}'
    if not part.text:
        return part.space
    tag = "mark" if part.doubtful else "span"
    shown = ' class="missing"' if part.missing else ""
    return f'{part.space}<{tag}{shown} title="{title}">{html.escape(part.text)}</{tag}>'


def _clock(seconds: float) -> str:
    """Hours where there are any, minutes, seconds and tenths."""
    tenths = math.floor(seconds * 10 + 0.5)  # halves up, as in the panel
    hours, minutes = tenths // 36_000, tenths // 600 % 60
    return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{tenths % 600 / 10:04.1f}"
