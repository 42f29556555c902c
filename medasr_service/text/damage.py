"""What a stretch of the model's output is, where it is a marker: whole, or damaged.

The rule: a damaged marker is put right only where it is known beyond doubt, and that takes a brace or a
bracket that opens it, and the letters of a name of the table behind it (``[unintelligible. feverish``,
``[unintellible]``); of a command, a brace on either side of its words (``{next} line}``, ``newline}``), or on
both where the word is one of running text (``colon``). What has lost its beginning (``essionalName]``,
``tigible]``) is told by its end: it counts as what it is, and stays as the model wrote it, for another word
may be in it. Everything else is text.
"""

import re
from dataclasses import dataclass

from medasr_service.text import markers
from medasr_service.text.markers import Kind

OPENERS, CLOSERS = "{[", "}]"
MARKS = ".,;:?!"
_SHAPE = re.compile(rf"([{{\[]*)(.*?)([}}\]]*)([{re.escape(MARKS)}-]*)", re.DOTALL)
_NO_BRACES = str.maketrans("", "", "{}")
_GLUED = re.compile(r"\S[{}]+\S")

_LOST = "unintelligible"  # by far the commonest marker, and so the commonest damage
_START, _END = _LOST[:7], _LOST[-6:]
_SURE_ENDS = (_LOST[-9:], "ntellible")
_LOWER = frozenset(name.lower() for name in markers.PLACEHOLDERS)
_TAILS = sorted({re.findall("[A-Z][a-z]+", name)[-1] for name in markers.PLACEHOLDERS})
_TAIL = re.compile(rf"(?:.*[a-z-])?(?:{'|'.join(_TAILS)})")


@dataclass(frozen=True, slots=True)
class Marker:
    """``text``: the name of a command, an end or a heading, and of the others what is written; ``rest``:
    marks that the model wrote behind it, without a bracket between."""

    kind: Kind
    text: str
    rest: str = ""


def read(text: str) -> Marker | None:
    """The marker that all of this text is; None where it is none."""
    shape = _SHAPE.fullmatch(text)
    assert shape
    opener, inner, closer, rest = shape.groups()
    if not inner or not (opener or closer) or (closer and rest):
        return None
    name = " ".join(inner.translate(_NO_BRACES).lower().split())
    # "{open quote}s" is no "{open quotes}": nothing says that what is glued to a brace is of the marker
    is_sure = (opener and closer) or not _GLUED.search(inner)
    if is_sure and (found := _spoken(name, rest, opener, closer)):
        return found
    if any(sign in inner for sign in OPENERS + CLOSERS):
        return None
    if opener and closer:
        return _between(" ".join(inner.split()), square="[" in opener or "]" in closer)
    if " " in inner:
        return None
    return _opened(opener, inner, rest) if opener else _closed(inner, closer)


def _spoken(name: str, rest: str, opener: str, closer: str) -> Marker | None:
    """A command, or an end; ``name`` in lower case."""
    whole, braced = opener != "" and closer != "", "{" in opener or "}" in closer
    command = markers.COMMANDS.get(name)
    if command and (whole or (braced and not command.is_word)):
        return Marker("command", name, rest)
    if whole and (name in markers.EITHER or name in markers.NUMBERING or name in markers.POINTS):
        return Marker("command", name, rest)
    if markers.is_end(name) and (whole or ("{" in opener and rest)):
        return Marker("end", name, rest.lstrip("-"))
    return None


def _between(inner: str, *, square: bool) -> Marker | None:
    """Between a bracket that opens and one that closes, of which one is square or both are braces."""
    bare = inner.rstrip(MARKS + "-")
    rest = inner[len(bare) :]
    if bare.lower() in markers.DOUBTS:
        return Marker("doubt", f"[{bare}]", rest)
    if bare.isalpha() and (bare.lower().startswith(_START) or bare.lower().endswith(_SURE_ENDS)):
        return Marker("doubt", f"[{_LOST}]", rest)
    if bare.isalpha() and bare.lower().endswith(_END):  # "negligible" would be another word
        return Marker("doubt", f"[{bare}]", rest)
    joined = bare.replace(" ", "")
    if (
        joined in markers.PLACEHOLDERS
        or markers.LABEL.fullmatch(bare)
        or (square and joined.lower() in _LOWER)
    ):
        return Marker("placeholder", f"[{bare}]", rest)
    if markers.CAPITALS.fullmatch(bare) and (square or bare in markers.HEADINGS):
        return Marker("heading", bare, rest)
    return None


def _opened(opener: str, inner: str, rest: str) -> Marker | None:
    """A single word behind a bracket that nothing closes."""
    lower = inner.lower()
    if lower in markers.DOUBTS or (lower.startswith(_START) and _LOST.startswith(lower)):
        return Marker("doubt", f"[{inner if lower in markers.DOUBTS else _LOST}]", rest)
    if lower.startswith(_START):
        return Marker("doubt", opener + inner, rest)
    if "[" in opener and inner in markers.PLACEHOLDERS:
        return Marker("placeholder", f"[{inner}]", rest)
    if "[" in opener and markers.LABEL.fullmatch(inner):
        return Marker("placeholder", opener + inner, rest)
    return None


def _closed(inner: str, closer: str) -> Marker | None:
    """A single word before a bracket that nothing opens: it is told what it is, and left as it is."""
    if inner.lower().endswith((_END, *_SURE_ENDS, *markers.DOUBTS)):
        return Marker("doubt", inner + closer)
    if "]" in closer and _TAIL.fullmatch(inner):
        return Marker("placeholder", inner + closer)
    return None
