"""The table of MedASR's notation: what it writes in braces and in brackets, and what each of it is.

A marker is one of five things: a command (``{period}``), a heading (``[FINDINGS]``), a doubt
(``[unintelligible]``), a placeholder (``[PatientName]``), an end (``{end of dictation}``). Whatever is none
of them is text. docs/notation.md has the reason for each entry; how damaged ones are read is in damage.py.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["text", "command", "heading", "doubt", "placeholder", "end"]
UNCLEAR: tuple[Kind, ...] = ("doubt", "placeholder")  # what a reader must fill in


@dataclass(frozen=True, slots=True)
class Command:
    """How a spoken command is written, and whether it touches its left and right neighbours.

    ``is_word``: reports have the word in running text ("sigmoid colon", "1 tab daily"), so that a single
    brace beside it proves nothing.
    """

    text: str
    left: bool = True
    right: bool = False
    sentence_end: bool = False
    is_word: bool = False


_FULL_STOP = Command(".", sentence_end=True)
_PARAGRAPH = Command("\n\n", right=True, sentence_end=True)
_LINE = Command("\n", right=True, sentence_end=True)
_QUESTION = Command("?", sentence_end=True)
_EXCLAMATION = Command("!", sentence_end=True)


def _opening(text: str) -> Command:
    return Command(text, left=False, right=True)


COMMANDS: dict[str, Command] = {
    "period": _FULL_STOP,
    "full stop": _FULL_STOP,
    "comma": Command(","),
    "colon": Command(":", is_word=True),
    "semicolon": Command(";"),
    "semi colon": Command(";"),
    "question mark": _QUESTION,
    "exclamation mark": _EXCLAMATION,
    "exclamation point": _EXCLAMATION,
    "new paragraph": _PARAGRAPH,
    "next paragraph": _PARAGRAPH,
    "paragraph": Command("\n\n", right=True, sentence_end=True, is_word=True),
    "new line": _LINE,
    "newline": _LINE,
    "next line": _LINE,
    "open quote": _opening('"'),
    "open quotes": _opening('"'),
    "begin quote": _opening('"'),
    "close quote": Command('"'),
    "close quotes": Command('"'),
    "end quote": Command('"'),
    "unquote": Command('"'),
    "open paren": _opening("("),
    "open parenthesis": _opening("("),
    "open parentheses": _opening("("),
    "left parenthesis": _opening("("),
    "close paren": Command(")"),
    "close parenthesis": Command(")"),
    "close parentheses": Command(")"),
    "right parenthesis": Command(")"),
    "open bracket": _opening("["),
    "close bracket": Command("]"),
    "hyphen": Command("-", right=True),
    "dash": Command("-", left=False, is_word=True),
    "slash": Command("/", right=True),
    "apostrophe": Command("'", right=True),
    "tab": Command("\t", right=True, is_word=True),
}

EITHER = {"quote": ('"', "open quote", "close quote"), "parenthesis": ("(", "open paren", "close paren")}
"""Commands that open what is closed, and close what is open: the sign, and what each stands for."""

NUMBERING = frozenset({"next number", "number next"})  # the next item of a numbered list
POINTS = frozenset({"point"})  # between two numbers, and nowhere else
_OTHERS = {
    **{name: Command(sign) for name, (sign, _, _) in EITHER.items()},
    **dict.fromkeys(NUMBERING, _opening("\n1.")),
    **dict.fromkeys(POINTS, Command(".", right=True)),
}

_END = re.compile(
    r"(?:(?:this|that|here) is (?:the )?|(?:that's|thats) (?:the )?)?end"
    r"(?: of)?(?: (?:the|this|my))?"
    r"(?: (?:dictation|dic(?:t(?:a(?:t(?:i(?:o)?)?)?)?)?-?|report|note|letter|recording|transcription))?"
)

DOUBTS = frozenset(
    {"unintelligible", "inaudible", "indiscernible", "incomprehensible", "indecipherable"}
    | {"unclear", "garbled", "crosstalk", "overlapping", "blank", "noise", "background noise"}
)

# Of de-identified text. An open set: two capitalised words or more, written as one, are always a label.
PLACEHOLDERS = frozenset(
    {"Date", "Age", "City", "State", "Country", "Echo", "Name", "Address", "Hospital", "Location", "Zip"}
    | {"PatientName", "OtherName", "FamilyMemberName", "MedicalProfessionalName", "ProfessionalName"}
    | {"DoctorName", "NurseName", "MedicalCenterName", "HospitalName", "NursingHomeName", "CompanyName"}
    | {"SchoolName", "PharmacyName", "StreetName", "TelephoneNumber", "PhoneNumber", "FaxNumber"}
    | {"AccountNumber", "MedicalRecordNumber", "OtherNumber", "OtherId", "PatientId", "DateOfBirth"}
    | {"EmailAddress", "StreetAddress", "OtherLocation", "ZipCode"}
)
LABEL = re.compile(r"(?:[A-Z][a-z]+){2,}")

HEADINGS = frozenset(
    {"EXAM", "EXAM TYPE", "EXAMINATION", "EXAM DATE", "STUDY", "PROCEDURE", "PROCEDURES", "PROTOCOL"}
    | {"INDICATION", "INDICATIONS", "REASON FOR EXAM", "CLINICAL INDICATION", "CLINICAL HISTORY"}
    | {"CLINICAL INFORMATION", "COMPARISON", "COMPARISONS", "TECHNIQUE", "CONTRAST", "FINDINGS", "FINDING"}
    | {"IMPRESSION", "IMPRESSIONS", "CONCLUSION", "RECOMMENDATION", "RECOMMENDATIONS", "ADDENDUM"}
    | {"HISTORY", "PRESENT ILLNESS", "HISTORY OF PRESENT ILLNESS", "HPI", "INTERVAL HISTORY", "SUBJECTIVE"}
    | {"OBJECTIVE", "CHIEF COMPLAINT", "REASON FOR VISIT", "REASON FOR CONSULTATION", "MEDICAL HISTORY"}
    | {"PAST MEDICAL HISTORY", "PMH", "SURGICAL HISTORY", "PAST SURGICAL HISTORY", "PSH", "FAMILY HISTORY"}
    | {"SOCIAL HISTORY", "OBSTETRIC HISTORY", "ALLERGIES", "ALLERGY", "MEDICATION ALLERGIES"}
    | {"DRUG ALLERGIES", "MEDICATIONS", "CURRENT MEDICATIONS", "HOME MEDICATIONS", "MEDICATION"}
    | {"DISCHARGE MEDICATIONS", "IMMUNIZATIONS", "REVIEW OF SYSTEMS", "ROS", "VITAL SIGNS", "VITALS"}
    | {"PHYSICAL EXAM", "PHYSICAL EXAMINATION", "GENERAL", "LABS", "LABORATORY", "LABORATORY DATA", "IMAGING"}
    | {"RADIOLOGY", "DATA", "RESULTS", "ASSESSMENT", "ASSESSMENT AND PLAN", "ASSESSMENT/PLAN", "PLAN"}
    | {"DIAGNOSIS", "DIAGNOSES", "PREOPERATIVE DIAGNOSIS", "POSTOPERATIVE DIAGNOSIS", "DISCHARGE DIAGNOSIS"}
    | {"ADMISSION DIAGNOSIS", "HOSPITAL COURSE", "COURSE", "DISPOSITION", "FOLLOW UP", "FOLLOW-UP"}
    | {"CONDITION", "DISCHARGE INSTRUCTIONS", "INSTRUCTIONS", "ANESTHESIA", "COMPLICATIONS", "SPECIMENS"}
    | {"SPECIMEN", "ESTIMATED BLOOD LOSS", "SURGEON", "ASSISTANT", "OPERATION", "DESCRIPTION OF PROCEDURE"}
    | {"DETAILS OF PROCEDURE", "CONSENT", "GROSS DESCRIPTION", "MICROSCOPIC DESCRIPTION", "COMMENT", "NOTE"}
)
CAPITALS = re.compile(r"[A-Z][A-Z0-9 /&-]*")
LEAST_LETTERS = 4  # of a heading that is not in the table: [A], [O] and [RES] are none

LEADS_ON = frozenset(
    {"a", "an", "the", "this", "that", "these", "those", "his", "her", "their", "its", "my", "our", "your"}
    | {"of", "in", "on", "at", "to", "for", "from", "with", "without", "by", "under", "per", "see", "no"}
)
"""Behind one of these words nothing begins: what stands there is a part of the sentence."""


def command(name: str) -> Command:
    """Any command, those too whose signs hang on what is around them."""
    return COMMANDS.get(name) or _OTHERS[name]


def is_end(name: str) -> bool:
    """Whether these words say that the dictation is over; ``name`` in lower case."""
    return _END.fullmatch(name) is not None
