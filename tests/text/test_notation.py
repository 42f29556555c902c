"""What the model writes besides words: the five kinds of markers, whole and damaged, and what is none."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.text import dictation, markers, notices, raw
from medasr_service.text.dictation import Cursor, Item, attribute, parse, render, settled
from medasr_service.text.markers import COMMANDS
from medasr_service.text.transcript import Word


def written(text: str) -> str:
    return raw.report(text).text


def kinds(text: str) -> list[tuple[str, str]]:
    """The markers of a text."""
    return [(item.kind, item.text) for item in raw.report(text).items if item.kind != "text"]


# ------------------------------------------------------------------------------------------------ each kind


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("{period}", "command", "period"),
        ("{quote}", "command", "quote"),
        ("{next number}", "command", "next number"),
        ("[FINDINGS]", "heading", "FINDINGS"),
        ("[CT OF THE CHEST]", "heading", "CT OF THE CHEST"),
        ("[unintelligible]", "doubt", "[unintelligible]"),
        ("[inaudible]", "doubt", "[inaudible]"),
        ("[background noise]", "doubt", "[background noise]"),
        ("[PatientName]", "placeholder", "[PatientName]"),
        ("[Patient Name]", "placeholder", "[Patient Name]"),
        ("[Date]", "placeholder", "[Date]"),
        ("[Age]", "placeholder", "[Age]"),
        ("[Echo]", "placeholder", "[Echo]"),
        ("[TelephoneNumber]", "placeholder", "[TelephoneNumber]"),
        ("[VehicleIdentifier]", "placeholder", "[VehicleIdentifier]"),
        ("{end}", "end", "end"),
        ("{end of dictation}", "end", "end of dictation"),
        ("{this is the end of the dictation}", "end", "this is the end of the dictation"),
        ("{this is end of dic-}", "end", "this is end of dic-"),
        ("{that's the end}", "end", "that's the end"),
    ],
)
def test_a_marker_is_one_of_five_things(text: str, kind: str, name: str) -> None:
    assert kinds(text) == [(kind, name)]


@pytest.mark.parametrize(
    "text", ["{smile}", "[smile]", "{next patient}", "{stop}", "{scratch that}", "{next}"]
)
def test_what_is_none_of_the_table_stays_as_it_is(text: str) -> None:
    assert kinds(f"left {text} right") == []
    assert written(f"left {text} right") == f"Left {text} right"
    assert [item.text for item in raw.report(f"left {text} right").verbatim] == text.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "seen by [MedicalProfessionalName] on [Date] {period}",
            "Seen by [MedicalProfessionalName] on [Date].",
        ),
        ("clear {period} [unintelligible] lungs", "Clear. [unintelligible] lungs"),
        ("[PatientName] was seen", "[PatientName] was seen"),
        ("{new paragraph} [Date] the lungs", "[Date] the lungs"),
        ("[FINDINGS] {colon} [unintelligible] lungs", "FINDINGS:\n[unintelligible] lungs"),
        ("to the toilet [unintelligible]. and", "To the toilet [unintelligible]. and"),
        ("an [unintelligible]ig but", "An [unintelligible]ig but"),
        ("at[Date]we", "At[Date]we"),
        ("one [unintelligible] [unintelligible] two", "One [unintelligible] [unintelligible] two"),
    ],
)
def test_doubts_and_placeholders_stay_in_the_line(text: str, expected: str) -> None:
    assert written(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("that is all {end}", "That is all"),
        ("that is all {period} {end}", "That is all."),
        ("that is all {end}. thanks", "That is all. Thanks"),
        ("that is all. {end}. thanks", "That is all. Thanks"),
        ("a dull pain {end} it throbs", "A dull pain It throbs"),
        ("pressure {end. it is high", "Pressure. It is high"),
        ("at the end}. the day", "At the end}. the day"),
        ("{end of the bed", "{end of the bed"),
    ],
)
def test_an_end_writes_nothing_and_ends_the_sentence(text: str, expected: str) -> None:
    assert written(text) == expected


# -------------------------------------------------------------------------------------------------- damaged


@pytest.mark.parametrize(
    ("text", "expected", "found"),
    [
        ("is [unintelligible. feverish and", "Is [unintelligible]. feverish and", ["doubt"]),
        ("to [unintelligible} be", "To [unintelligible] be", ["doubt"]),
        ("the [unintellible]. the", "The [unintelligible]. the", ["doubt"]),
        ("an [unintelligintelligible] I", "An [unintelligible] I", ["doubt"]),
        ("uh [unintell. Okay", "Uh [unintelligible]. Okay", ["doubt"]),
        ("a [unintelligible- ction", "A [unintelligible]- ction", ["doubt"]),
        ("the [unintelligible]] kind", "The [unintelligible] kind", ["doubt"]),
        ("x [unintelligible. I know I] y", "X [unintelligible]. I know I] y", ["doubt"]),
        ("stool {newline}} lower", "Stool\nLower", ["command"]),
        ("infection {period}]. it", "Infection. It", ["command"]),
        ("exertion {new line}] minimal", "Exertion\nMinimal", ["command"]),
        ("blood {end}} then", "Blood Then", ["end"]),
        ("[FINDINGS ] {colon} lungs", "FINDINGS:\nLungs", ["heading", "command"]),
        ("you {next para}graph} while", "You\n\nWhile", ["command"]),
        ("seen [PatientName. and", "Seen [PatientName]. and", ["placeholder"]),
        ("left { okay {period} right", "Left { okay. Right", ["command"]),
        ("left { period } right", "Left. Right", ["command"]),
    ],
)
def test_what_is_damaged_and_known_beyond_doubt_is_put_right(
    text: str, expected: str, found: list[str]
) -> None:
    assert written(text) == expected
    assert [kind for kind, _ in kinds(text)] == found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("essionalName]", "placeholder"),
        ("Name]", "placeholder"),
        ("Number]", "placeholder"),
        ("tigible]", "doubt"),
        ("intelligible]", "doubt"),
        ("preventelligible]", "doubt"),
        ("jointellible]", "doubt"),
        ("[unintelligell", "doubt"),
    ],
)
def test_what_lost_its_beginning_counts_as_what_it_is_and_stays_as_it_is(text: str, kind: str) -> None:
    assert kinds(f"left {text} right") == [(kind, text)]
    assert written(f"left {text}, right") == f"Left {text}, right"


@pytest.mark.parametrize(
    "text",
    [
        "{nexcktpace}", "{ okay", "e]", "tig]", "ate]", "kidneys,]", "{thath so that", "{next} thing", "[ uh",
        "the colon} was", "1 tab} daily", "[period of time", "a [A] b", "a [O] b", "a [RES] b",
        "to MEDICATIONS] No", "the end} of", "[unintentional]", "{point}",
    ],
)  # fmt: skip
def test_what_may_be_a_word_is_no_marker(text: str) -> None:
    assert kinds(f"left {text} right") == []
    assert written(f"left {text} right") == f"Left {text} right"


@pytest.mark.parametrize("sign", ["{", "}", "[", "]", "[}"])
def test_a_bracket_that_stands_apart_is_not_swallowed_by_a_marker_beside_it(sign: str) -> None:
    assert written(f"left {{period}} {sign} right") == f"Left. {sign} right"


def test_what_goes_on_an_unknown_marker_is_no_marker_of_its_own() -> None:
    [_, first, second, _] = raw.report("left {question newline} right").items
    assert (first.kind, first.within) == ("text", False)
    assert (second.kind, second.within) == ("text", True)


def test_a_long_pause_parts_what_looks_like_a_marker() -> None:
    first, second = raw.words("{question newline}")
    late = Word(second.text, 60.0, 60.4, 0.9, second.tokens)
    assert [item.kind for item in parse([first, late])] == ["text", "command"]


def test_an_ordinary_word_between_brackets_is_not_rewritten() -> None:
    assert "negligible" in written("flow is [negligible] now")


@pytest.mark.parametrize(
    ("text", "is_heading"),
    [
        ("The [DIAGNOSES] Includes", False),
        ("and see [IMPRESSION] below", False),
        ("clear [FINDINGS] lungs", True),
        ("Uh [MEDICATION ALLERGIES] None", True),
        ("clear {period} [CT HEAD] no bleed", True),
        ("clear. [CT HEAD] no bleed", True),
        ("clear {new line} [CT HEAD] no bleed", True),
        ("clear [CT HEAD] no bleed", False),
        ("[RES] six", False),
        ("[A] okay", False),
    ],
)
def test_a_heading_is_one_of_the_table_or_stands_where_a_line_begins(text: str, is_heading: bool) -> None:
    assert [kind for kind, _ in kinds(text) if kind == "heading"] == ["heading"] * is_heading
    assert is_heading or "[" in written(text)


# --------------------------------------------------------------------------------- guessed and dictated marks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no pneumothorax. {period} lungs", "No pneumothorax. Lungs"),
        ("small effusion, {comma} right", "Small effusion, right"),
        ("what is this it? {question mark} yes", "What is this it? Yes"),
        ("effusion, {period} lungs", "Effusion. Lungs"),
        ("effusion. {comma} right", "Effusion, right"),
        ("effusion {period}. lungs", "Effusion. Lungs"),
        ("effusion {period}, lungs", "Effusion. Lungs"),
        ("effusion {period} . lungs", "Effusion. Lungs"),
        ("effusion , {comma} right", "Effusion, right"),
        ("effusion.{period} lungs", "Effusion. Lungs"),
        ("[FINDINGS]: {colon} lungs", "FINDINGS:\nLungs"),
        ("[FINDINGS]: lungs", "FINDINGS:\nLungs"),
        ("[unintelligible]. {period} lungs", "[unintelligible]. Lungs"),
        ("clots, {newline}. lungs", "Clots,\nLungs"),
        ("clots {newline}. lungs", "Clots.\nLungs"),
        ("q.i.d. {period} lungs", "q.i.d. Lungs"),
        ("q.i.d. {comma} then", "q.i.d., then"),
        ("Dr. {comma} then", "Dr., then"),
        ("Prof. {comma} then", "Prof., then"),
        ("Smith et al. {comma} then", "Smith et al., then"),
        ("wait... {comma} then", "wait..., then"),
        ("to the toilet. close to", "To the toilet. close to"),
        ("yourt . thanks", "Yourt . thanks"),
        ("done {period} {new paragraph} next", "Done.\n\nNext"),
    ],
)
def test_of_a_guessed_and_a_dictated_mark_the_dictated_one_stands(text: str, expected: str) -> None:
    assert written(text) == expected


def test_a_mark_dictated_long_after_a_guessed_one_is_not_written_twice() -> None:
    first, second = raw.words("pneumothorax. {period}")
    late = Word(second.text, 60.0, 60.4, 0.9, second.tokens)
    assert render(parse([first, late]))[0] == "Pneumothorax."


# ------------------------------------------------------------------------------------ lists, quotes, points


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[PLAN] {colon} {next number} aspirin {next number} rest", "PLAN:\n1. Aspirin\n2. Rest"),
        ("[PLAN] {number next} aspirin {period} {number next} rest", "PLAN\n1. Aspirin.\n2. Rest"),
        ("[PLAN] {colon} 1. aspirin {next number} rest", "PLAN:\n1. aspirin\n2. Rest"),
        ("[PLAN] {next number} x [IMPRESSION] {next number} y", "PLAN\n1. X\n\nIMPRESSION\n1. Y"),
        ("{next number} start", "1. Start"),
        ("drugs {new line} {tab} aspirin {new paragraph} {tab} rest", "Drugs\n\tAspirin\n\n\tRest"),
        ("a {tab} {tab} b", "A\tb"),
        ("he said {quote} yes {quote} {period}", 'He said "yes".'),
        ("he said {quote} yes {quote}. then", 'He said "yes". Then'),
        ("[PLAN] {next number}. aspirin", "PLAN\n1. Aspirin"),
        ("he said {quote} yes {unquote} and {quote} no {unquote}", 'He said "yes" and "no"'),
        ("a {quote} b {new paragraph} {quote} c", 'A "b\n\n"C'),
        ("a {parenthesis} b {parenthesis} c", "A (b) c"),
        ("a {open paren} b {parenthesis} c", "A (b) c"),
        ("3 {point} 5 mg", "3.5 mg"),
        ("tender {point} here", "Tender {point} here"),
        ("3 {point}", "3 {point}"),
    ],
)
def test_lists_quotes_and_points(text: str, expected: str) -> None:
    assert written(text) == expected


# -------------------------------------------------------------------------------------------- conversation


def test_doubts_that_pile_up_are_said_to_be_a_conversation() -> None:
    few = "one " * 100 + "[unintelligible] two [unintelligible]"
    assert raw.report(few).warnings == ()
    [warned] = raw.report(few + " [unintelligible. three").warnings
    assert warned.code == notices.CONVERSATION
    assert "3 places in 105 words" in warned.message
    assert raw.report("one " * 1000 + "[unintelligible] " * 3).warnings == ()
    assert raw.report("[PatientName] " * 50).warnings == (), "names are dictated"


# ---------------------------------------------------------------------------------------------- properties

WORD = st.one_of(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8),
    st.sampled_from(["pneumothorax", "colon", "period", "end", "new", "next", "quote", "point", "eligible"]),
)
GUESSED = st.tuples(WORD, st.sampled_from([".", ",", "?", ""])).map("".join)
DAMAGED = st.sampled_from(
    [
        "[unintelligible.", "[unintelligible}", "[unintellible]", "[unintelligible]ible", "{newline}}",
        "{period}].", "{period},", "{end}.", "{end}", "[FINDINGS ]", "{next para}graph}", "[PatientName.",
        "{", "[", "}", "]", "{point}", "{next number}", "{quote}", "[PatientName]", "[Date].", "[A]",
        "{stop}", "essionalName]", "[DIAGNOSES]", "[CT HEAD]", "{end of", "dictation}", "{new", "line}", ".",
        ",", ":", "{period}.", "{quote}.", "[}", "{question", "tigible]",
    ]
)  # fmt: skip
MARKER = st.sampled_from(sorted(COMMANDS)).map("{{{}}}".format)
TEXTS = st.lists(st.one_of(GUESSED, WORD, WORD, MARKER, DAMAGED), max_size=25).map(" ".join)


@given(TEXTS)
def test_no_word_that_is_of_no_marker_is_changed_dropped_or_doubled(text: str) -> None:
    report = raw.report(text)
    plain = [item for item in report.items if item.kind == "text"]
    at = 0
    for item in report.items:
        if item.kind in ("text", "doubt", "placeholder"):
            letters = item.text.strip(".,;:?!")
            found = report.text.lower().find(letters.lower(), at)
            assert found >= 0, (item, report.text)
            at = found + len(letters)
    said = [word for item in plain for word in re.findall(r"[A-Za-z0-9]+", item.text)]
    source = re.findall(r"[A-Za-z0-9]+", text)
    left = iter(source)
    assert all(word in left for word in said), "in order, each as it was"


@given(st.lists(GUESSED, min_size=1, max_size=15).map(" ".join))
def test_a_text_without_markers_is_written_as_it_is(text: str) -> None:
    shown = written(text)
    assert shown[1:] == text[1:]
    assert shown[0] in (text[0], text[0].upper())


@given(TEXTS)
def test_every_word_is_of_an_item_and_the_raw_text_is_kept(text: str) -> None:
    report = raw.report(text)
    covered = list(dict.fromkeys(word for item in report.items for word in item.words))
    assert covered == raw.words(text)
    assert raw.said(report.items) == text.strip()
    assert report.raw_text == text


@given(TEXTS, st.data())
def test_text_that_comes_in_pieces_is_the_text_as_a_whole(text: str, data: st.DataObject) -> None:
    words = raw.words(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=8)))
    held: list[Word] = []
    last: Item | None = None
    cursor, out = Cursor(), ""
    for start, end in pairwise([0, *cuts, len(words)]):
        held += words[start:end]
        count = len(held) if end == len(words) and start == ([0, *cuts])[-1] else settled(held)
        items = parse(held[:count], last)
        held = held[count:]
        last = items[-1] if items else last
        piece, cursor = render(items, cursor)
        out += piece
    assert out == render(parse(words))[0]


@given(TEXTS)
def test_what_is_unclear_is_told_with_its_words(text: str) -> None:
    items = parse(raw.words(text))
    words, _ = attribute(items)
    found = dictation.unclear(items, words)
    unclear = [item for item in items if item.kind in markers.UNCLEAR]
    assert [(each.kind, each.text) for each in found] == [(item.kind, item.text) for item in unclear]
    marked = {word.start for word in words if word.unclear}
    assert marked == {word.start for item in unclear for word in item.words}
    assert all(each.start < each.end for each in found)


@given(
    st.lists(
        st.one_of(WORD, st.sampled_from(["[unintelligible]", "[PatientName]", "[OtherName].", "{end}"])),
        max_size=20,
    )
)
def test_no_marker_of_the_five_kinds_stays_unread(words: list[str]) -> None:
    assert raw.report(" ".join(words)).verbatim == []


@given(st.text(st.characters(exclude_categories=["C"]), max_size=60))
def test_any_text_can_be_formatted(text: str) -> None:
    assert raw.said(raw.report(text).items).split() == text.split()
