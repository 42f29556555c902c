"""Dictation marks to a readable report: what is repaired, and what stays as the model wrote it."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medasr_service.text.dictation import COMMANDS, Cursor, Item, attribute, parse, render
from medasr_service.text.transcript import Token, Word


def said(text: str) -> list[Word]:
    """Words half a second apart."""
    return [
        Word(word, i * 0.5, i * 0.5 + 0.4, 0.9, (Token(4, word, i * 12, i * 12 + 10, -0.1),))
        for i, word in enumerate(text.split())
    ]


def written(text: str) -> str:
    return render(parse(said(text)))[0]


GOOGLE_RAW = (
    "[EXAM TYPE] CT chest PE protocol {period} [INDICATION] 54-year-old female, shortness of breath, evaluate"
    " for PE {period} [TECHNIQUE] Standard protocol {period} [FINDINGS] {colon} Pulmonary vasculature {colon}"
    " The main PA is patent {period} There are filling defects in the segmental branches of the right lower"
    " lobe {comma} compatible with acute PE {period} No saddle embolus {period} Lungs {colon} No pneumothorax"
    " {period} Small bilateral effusions {comma} right greater than left {period} {new paragraph}"
    " [IMPRESSION] {colon} Acute segmental PE, right lower lobe {period}"
)
GOOGLE_REPORT = """\
EXAM TYPE
CT chest PE protocol.

INDICATION
54-year-old female, shortness of breath, evaluate for PE.

TECHNIQUE
Standard protocol.

FINDINGS:
Pulmonary vasculature: The main PA is patent. There are filling defects in the segmental branches of the \
right lower lobe, compatible with acute PE. No saddle embolus. Lungs: No pneumothorax. Small bilateral \
effusions, right greater than left.

IMPRESSION:
Acute segmental PE, right lower lobe."""


def test_real_output_becomes_a_readable_report() -> None:
    assert written(GOOGLE_RAW) == GOOGLE_REPORT


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("period", "Left. Right"),
        ("full stop", "Left. Right"),
        ("comma", "Left, right"),
        ("colon", "Left: right"),
        ("semicolon", "Left; right"),
        ("question mark", "Left? Right"),
        ("exclamation mark", "Left! Right"),
        ("exclamation point", "Left! Right"),
        ("new paragraph", "Left\n\nRight"),
        ("next paragraph", "Left\n\nRight"),
        ("new line", "Left\nRight"),
        ("newline", "Left\nRight"),
        ("next line", "Left\nRight"),
        ("semi colon", "Left; right"),
        ("paragraph", "Left\n\nRight"),
        ("open quote", 'Left "right'),
        ("open quotes", 'Left "right'),
        ("begin quote", 'Left "right'),
        ("close quote", 'Left" right'),
        ("close quotes", 'Left" right'),
        ("end quote", 'Left" right'),
        ("unquote", 'Left" right'),
        ("open paren", "Left (right"),
        ("open parenthesis", "Left (right"),
        ("open parentheses", "Left (right"),
        ("left parenthesis", "Left (right"),
        ("close paren", "Left) right"),
        ("close parenthesis", "Left) right"),
        ("close parentheses", "Left) right"),
        ("right parenthesis", "Left) right"),
        ("open bracket", "Left [right"),
        ("close bracket", "Left] right"),
        ("apostrophe", "Left'right"),
        ("hyphen", "Left-right"),
        ("dash", "Left - right"),
        ("slash", "Left/right"),
        ("tab", "Left\tright"),
    ],
)
def test_each_command(command: str, expected: str) -> None:
    assert written(f"left {{{command}}} right") == expected


def test_every_command_of_the_table_has_its_example() -> None:
    mark = next(m for m in test_each_command.pytestmark if m.name == "parametrize")  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} == set(COMMANDS)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("left {next} line} right", "Left\nRight"),
        ("left {next line right", "Left\nRight"),
        ("left next line} right", "Left\nRight"),
        ("left {next} para}graph} right", "Left\n\nRight"),
        ("left newline} right", "Left\nRight"),
        ("fast{new paragraph}findings", "Fast\n\nFindings"),
        ("fast{comma}but", "Fast, but"),
        ("left {{period}} right", "Left. Right"),
        ("left {period right", "Left. Right"),
        ("left period} right", "Left. Right"),
        ("left {Period} right", "Left. Right"),
        ("left{period}{new paragraph}right", "Left.\n\nRight"),
        ("left {period} {new paragraph} right", "Left.\n\nRight"),
    ],
)
def test_damaged_markers_are_repaired(raw: str, expected: str) -> None:
    assert written(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("number wo {period}", "Number wo."),
        ("left xt line} right", "Left xt line} right"),
        ("left {smile} right", "Left {smile} right"),
        ("left {forward slash} right", "Left {forward slash} right"),
        ("left {em dash} right", "Left {em dash} right"),
        ("left {period space} right", "Left {period space} right"),
        ("left {new paragraph heading} right", "Left {new paragraph heading} right"),
        ("left { right", "Left { right"),
        ("left } right", "Left } right"),
        ("left {} right", "Left {} right"),
        ("left [findings] right", "Left [findings] right"),
        ("left [FINDINGS right", "Left [FINDINGS right"),
        ("a new paragraph of life", "A new paragraph of life"),
        ("the menstrual period was late", "The menstrual period was late"),
        ("type III {comma} III", "Type III, III"),
        ("pppered <unk> text", "Pppered <unk> text"),
    ],
)
def test_what_is_not_known_stays_verbatim(raw: str, expected: str) -> None:
    assert written(raw) == expected


@pytest.mark.parametrize("word", ["pH", "mmHg", "x-ray", "iPhone", "5th", "mg/dL", "q.i.d.", "β-blocker"])
@pytest.mark.parametrize("before", ["", "done {period} ", "done {new paragraph} ", "[FINDINGS] {colon} "])
def test_words_with_capitals_digits_or_marks_are_never_capitalised(before: str, word: str) -> None:
    assert written(f"{before}{word} high").endswith(f"{word} high")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("[FINDINGS] {colon} lungs", "FINDINGS:\nLungs"),
        ("[FINDINGS] lungs", "FINDINGS\nLungs"),
        ("clear {period} [FINDINGS] {colon} lungs", "Clear.\n\nFINDINGS:\nLungs"),
        ("clear {new paragraph} [FINDINGS] lungs", "Clear\n\nFINDINGS\nLungs"),
        ("[EXAM TYPE] chest", "EXAM TYPE\nChest"),
        ("[HISTORY] [FINDINGS] lungs", "HISTORY\n\nFINDINGS\nLungs"),
        ("clear[FINDINGS]lungs", "Clear\n\nFINDINGS\nLungs"),
        ("[FINDINGS] {new paragraph} lungs", "FINDINGS\n\nLungs"),
    ],
)
def test_a_heading_stands_on_its_own_line(raw: str, expected: str) -> None:
    assert written(raw) == expected


def test_a_bracket_and_a_quote_open_and_close() -> None:
    assert written(
        "so {open paren} see above {close paren} {comma} {open quote} yes {close quote} {period}"
    ) == ('So (see above), "yes".')


def test_nothing_written_before_the_first_word_is_white_space() -> None:
    assert written("{new paragraph} {next line} start") == "Start"


def test_words_far_apart_are_not_one_marker() -> None:
    first, second = said("{next line}")
    late = Word(second.text, 60.0, 60.4, 0.9, second.tokens)
    assert render(parse([first, second]))[0] == ""
    assert render(parse([first, late]))[0] == "{next line}"


# ---------------------------------------------------------------------------------------------- properties

PLAIN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8)
MARKER = st.sampled_from(sorted(COMMANDS)).map("{{{}}}".format)
GLUED = st.tuples(PLAIN, MARKER, PLAIN).map("".join)
MARKED = st.lists(st.one_of(PLAIN, PLAIN, MARKER, GLUED), max_size=25)
ANY = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=10), max_size=20)
BRACED = st.lists(st.text("{}[]newlinparghodtxNEW 1", min_size=1, max_size=12), max_size=20)


@given(MARKED)
@example(["0{open quote}S"])  # no "{open quotes}"
def test_formatting_keeps_every_word_in_order(parts: list[str]) -> None:
    spoken = re.findall(r"\{[^}]*\}|[^{}\s]+", " ".join(parts))
    text = written(" ".join(parts))
    shown = re.findall(r"[A-Za-z0-9]+", text)
    expected = [part for part in spoken if not part.startswith("{")]
    assert [word.lower() for word in shown] == [word.lower() for word in expected]
    before = [None, *spoken]
    follows_a_word = [b is not None and not b.startswith("{") for b, a in pairwise([*before]) if a[0] != "{"]
    for got, word, inside in zip(shown, expected, follows_a_word, strict=True):
        assert got == word or (not inside and word.islower() and got == word.capitalize())


@given(st.lists(st.text("xyz{}[]0'-.", min_size=1, max_size=6), max_size=15))
def test_words_that_form_no_command_stay_verbatim(words: list[str]) -> None:
    text = " ".join(words)
    assert written(text) in {text, text[:1].upper() + text[1:]}


@given(st.one_of(MARKED, BRACED, ANY))
def test_items_cover_all_words_in_order(words: list[str]) -> None:
    source = said(" ".join(words))
    covered = [word for item in parse(source) for word in item.words]
    assert [word for i, word in enumerate(covered) if i == 0 or word is not covered[i - 1]] == source


@given(st.one_of(MARKED, BRACED, ANY), st.data())
def test_rendering_in_pieces_is_rendering_whole(words: list[str], data: st.DataObject) -> None:
    items = parse(said(" ".join(words)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(items)), max_size=5)))
    cursor, text = Cursor(), ""
    for start, end in pairwise([0, *cuts, len(items)]):
        piece, cursor = render(items[start:end], cursor)
        text += piece
    assert (text, cursor) == render(items)


@given(st.one_of(MARKED, BRACED, ANY))
def test_the_shares_of_the_words_join_to_the_text(words: list[str]) -> None:
    source = said(" ".join(words))
    shares, cursor = attribute(parse(source))
    assert ("".join(word.written for word in shares), cursor) == render(parse(source))
    assert [replace(word, written="", unclear="") for word in shares] == source


def test_each_word_has_its_own_share() -> None:
    shares, _ = attribute(parse(said("[EXAM TYPE] lungs {new paragraph} fast{comma}but")))
    assert [word.written for word in shares] == ["EXAM TYPE", "", "\nLungs", "", "", "\n\nFast, but"]


@given(st.one_of(BRACED, ANY))
def test_any_text_can_be_written_and_keeps_what_is_text(words: list[str]) -> None:
    items = parse(said(" ".join(words)))
    text = render(items)[0]
    at = 0
    for item in items:
        if item.kind != "command":
            found = text.lower().find(item.text.lower(), at)
            assert found >= 0
            at = found + len(item.text)


def test_commands_and_headings_only_come_from_braces_and_brackets() -> None:
    items = parse(said("period comma FINDINGS new paragraph {period} [FINDINGS]"))
    assert [item.kind for item in items] == ["text"] * 5 + ["command", "heading"]
    assert items[-1] == Item("heading", "FINDINGS", (items[-1].words[0],))
