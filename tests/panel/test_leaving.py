"""Each way out of the page: what leaves it is the final text, and nothing else."""

import io
import re
from html import unescape

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.panel.conftest import FakeRealtime, Opener, copy, removed, save, shot, start, stop, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

SAID = "FINDINGS\nNo known drug allergies. Metoprolol 25 mg* daily.\n\nPLAN\nReturn."
MINE = "FINDINGS\nNo drug allergies: penicillin. Metoprolol 50 mg daily.\n\nPLAN\nReturn."
FIELD = """() => {
    const field = document.createElement("textarea");
    field.id = "elsewhere";
    field.style.cssText = "position: fixed; left: 0; bottom: 0; width: 18rem; height: 6rem; z-index: 9";
    document.body.append(field);
}"""


@pytest.fixture
def page(open_panel: Opener, realtime: FakeRealtime) -> Page:
    """With a report that has been edited, and a field of another program to paste into."""
    page = open_panel(before=realtime.install)
    realtime.on_commit = lambda fake: fake.complete("item", SAID)
    start(page)
    stop(page)
    page.get_by_role("button", name="Edit").click()
    page.fill("#editor-text", MINE)
    page.keyboard.press("Control+Enter")
    page.locator("#transcript ins").first.wait_for()
    assert removed(page) == ["known", "25"]
    page.evaluate(FIELD)
    return page


def pasted(page: Page) -> str:
    """What another program gets: pasted by key, and all that the clipboard holds besides is plain too."""
    kinds = page.evaluate("navigator.clipboard.read().then((items) => items.flatMap((item) => item.types))")
    assert kinds == ["text/plain"]
    page.locator("#elsewhere").fill("")
    page.locator("#elsewhere").press("Control+v")
    return str(page.locator("#elsewhere").input_value())


def test_the_button_copies_the_final_text(page: Page) -> None:
    assert copy(page) == MINE == text_of(page)
    rich = page.evaluate(
        """async () => (await (await navigator.clipboard.read())[0].getType("text/html")).text()"""
    )
    assert unescape(re.sub(r"<[^>]*>", " ", rich[rich.index("<p>") :])).split() == MINE.split()


def test_a_selection_by_mouse_copies_the_final_text(page: Page) -> None:
    """From before the first word to behind the last, over everything that was removed."""
    box = page.locator("#transcript").bounding_box()
    last = page.locator("#transcript .w").last.bounding_box()
    assert box
    assert last
    page.mouse.move(box["x"] + 1, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, last["y"] + 4)
    page.mouse.move(last["x"] + last["width"] + 200, last["y"] + last["height"] - 2)
    page.mouse.up()
    page.keyboard.press("Control+c")
    assert pasted(page) == MINE


@pytest.mark.parametrize("view", ["Report", "Original", "Raw"])
def test_all_of_the_page_selected_copies_the_text_that_is_shown(page: Page, view: str) -> None:
    page.get_by_label(view, exact=True).check()
    page.locator("#elsewhere").evaluate("(field) => field.hidden = true")  # a second program is no part of it
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    page.locator("#elsewhere").evaluate("(field) => field.hidden = false")
    assert pasted(page) == text_of(page)
    assert ("No known" in text_of(page)) == (view != "Report")


def test_a_part_is_copied_letter_by_letter(page: Page) -> None:
    """Also where it begins and ends beside a removed word, within a word, or outside of the text."""
    for first, last, expected in [
        ("No", "allergies", "No drug allergies"),
        ("Metoprolol", "mg", "Metoprolol 50 mg"),
    ]:
        page.evaluate(
            """([first, last]) => {
                const node = (text) => {
                    const spans = [...document.querySelectorAll("#transcript .w, #transcript ins")];
                    return spans.find((span) => span.textContent === text).firstChild;
                };
                getSelection().setBaseAndExtent(node(first), 0, node(last), last.length);
            }""",
            [first, last],
        )
        page.keyboard.press("Control+c")
        assert pasted(page) == expected
    page.locator("#transcript .w", has_text="penicillin").or_(
        page.locator("ins", has_text="penicillin")
    ).dblclick()
    page.keyboard.press("Control+c")
    assert pasted(page).strip() == "penicillin"


def test_what_is_dragged_out_is_the_final_text(page: Page) -> None:
    """By a real drag with the mouse, onto a field."""
    page.evaluate(
        """() => {
            getSelection().selectAllChildren(document.getElementById("report"));
            const note = (event) => (window.types = [...event.dataTransfer.types]);
            document.addEventListener("drop", note, true);
        }"""
    )
    page.drag_and_drop("#transcript .w >> nth=2", "#elsewhere")
    expect(page.locator("#elsewhere")).to_have_value(MINE)
    assert page.evaluate("types") == ["text/plain"]


def printed(page: Page) -> str:
    reader = PdfReader(io.BytesIO(page.pdf()))
    return " ".join(" ".join(sheet.extract_text() for sheet in reader.pages).split())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_printed_is_the_final_text(page: Page, scheme: str) -> None:
    page.locator("#elsewhere").evaluate("(field) => field.remove()")
    assert printed(page) == " ".join(MINE.split())
    page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type]
    styles = "(all) => all.map((each) => getComputedStyle(each))"
    colours = page.locator("#transcript *").evaluate_all(
        f"{styles[:-1]}).filter((s) => s.display !== 'none').map((s) => s.color + s.backgroundColor)"
    )
    assert set(colours) == {"rgb(0, 0, 0)rgba(0, 0, 0, 0)"}
    shot(page, f"print-{scheme}")


def test_what_is_typed_and_not_yet_done_is_printed_too(page: Page) -> None:
    page.locator("#elsewhere").evaluate("(field) => field.remove()")
    page.get_by_role("button", name="Edit", exact=True).click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("ADDENDUM ")
    assert printed(page) == "ADDENDUM " + " ".join(MINE.split())


@pytest.mark.parametrize("suffix", ["txt", "srt", "vtt"])
def test_a_saved_file_has_the_final_text(page: Page, suffix: str) -> None:
    text = save(page, suffix)[1].decode()
    if suffix == "txt":
        assert text == MINE + "\n"
    lines = [line for line in text.splitlines() if not re.fullmatch(r"\d+|WEBVTT|.*-->.*", line)]
    assert " ".join(lines).split() == MINE.split()
