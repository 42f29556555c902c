"""What the end of a word of the text says: a sentence or a clause is over, or it is only an abbreviation."""

import re
from typing import Literal

Mark = Literal["sentence", "clause", "abbreviation", "number", ""]

_SENTENCE, _CLAUSE = (".", "?", "!"), (",", ";", ":")
_CLOSING = "\"')]"  # may follow the mark that ends a sentence
_OPENING = "\"'(["
# Words that are shortened by a period. Not the units and words that end a sentence as often ("5 mg.", "No.").
SHORTENED = "Dr|Drs|Mr|Mrs|Ms|Prof|St|Mt|Ft|Rev|Hon|Capt|Lt|Sgt|Col|Gen|Pt|Fig|vs|cf|approx|viz|ca"
_ABBREVIATION = re.compile(  # these, and what is spelled with a period in it (e.g., q.d., U.S.)
    rf"(?:[A-Za-z]\.){{2,}}|(?:{SHORTENED})\."
)


def mark(word: str) -> Mark:
    """By how it ends; ``number``: in a digit, whose unit may follow."""
    bare = word.rstrip(_CLOSING)
    if _ABBREVIATION.fullmatch(bare.lstrip(_OPENING)):
        return "abbreviation"
    if bare.endswith(_SENTENCE):
        return "sentence"
    if bare.endswith(_CLAUSE):
        return "clause"
    return "number" if bare[-1:].isdigit() else ""
