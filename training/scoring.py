"""The scorer of MedASR's notebook: what counts as a word error."""

import re

import jiwer

_OUTSIDE = re.compile(r"[^a-z0-9' ]")


def normalise(text: str) -> str:
    """Lower case, no `</s>`, every character outside [a-z0-9' ] a space, spaces squeezed."""
    return " ".join(_OUTSIDE.sub(" ", text.lower().replace("</s>", "")).split())


def word_error_rate(references: list[str], hypotheses: list[str]) -> float:
    """Word errors over reference words, of all texts together."""
    return float(jiwer.wer(list(map(normalise, references)), list(map(normalise, hypotheses))))
