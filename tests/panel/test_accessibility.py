"""axe-core on every state of the page, in light and in dark: nothing that hinders a disabled user."""

import json
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import CLIPS
from tests.panel.conftest import DESKTOP, PHONE, FakeRealtime, Opener, shot

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def findings(page: Page) -> list[str]:
    """What axe finds, of any weight: the rule and the elements."""
    page.evaluate(AXE)
    result: dict[str, Any] = page.evaluate(f"axe.run(document, {{ runOnly: {json.dumps(RULES)} }})")
    assert len(result["passes"]) > 20
    return [
        f"{found['impact']} {found['id']}: {[node['target'] for node in found['nodes']]}"
        for found in result["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_axe_finds_nothing(open_panel: Opener, realtime: FakeRealtime, scheme: str, size: str) -> None:
    page = open_panel(
        before=realtime.install,
        color_scheme=scheme,
        viewport={"desktop": DESKTOP, "phone": PHONE}[size],
        reduced_motion="reduce",
    )
    found = {}

    def look(state: str) -> None:
        found[state] = findings(page)
        shot(page, f"{state}-{size}-{scheme}")

    look("start")
    realtime.on_commit = lambda fake: fake.complete("item", "FINDINGS\nA severe* left effusion.")
    page.keyboard.press("F2")
    page.locator("#record[data-on=true]").wait_for()
    realtime.delta("item", "FINDINGS\nA")
    expect(page.locator("#transcript")).to_contain_text("A")
    look("live")
    page.keyboard.press("F2")
    page.locator("#transcript .doubt").wait_for()
    look("dictated")
    page.get_by_role("button", name="Edit").click()
    look("editor")
    page.keyboard.press("Control+Home")
    page.keyboard.type("My ")
    page.keyboard.press("Control+Enter")
    page.locator("#transcript ins").wait_for()
    look("edited")
    page.set_input_files("#files", [CLIPS[1].path])
    page.set_input_files("#files", {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"x"})
    page.get_by_role("button", name="letter.txt Failed").click()
    look("refused")
    page.get_by_role("button", name="Settings").click()
    look("settings")
    assert {state: rules for state, rules in found.items() if rules} == {}


def test_each_screen_and_paper_has_its_layout(open_panel: Opener, realtime: FakeRealtime) -> None:
    """Wide, in forced colours, and on a phone that records: there, most of the screen is the text."""
    said = "FINDINGS\n" + " ".join(["A severe* left effusion, [unclear] as before."] * 12)
    page = open_panel(before=realtime.install, viewport={"width": 1920, "height": 1000})
    realtime.on_commit = lambda fake: fake.complete("item", said)
    page.keyboard.press("F2")
    page.locator("#record[data-on=true]").wait_for()
    page.keyboard.press("F2")
    page.locator("#transcript .doubt").first.wait_for()
    width = page.locator("#transcript").bounding_box()
    assert width
    assert width["width"] > 800
    shot(page, "wide")
    page.locator("#transcript .doubt").first.click()
    page.get_by_role("button", name="It is right").wait_for()
    assert findings(page) == []
    page.emulate_media(forced_colors="active")
    shot(page, "forced-colours")
    assert findings(page) == []
    page.emulate_media(forced_colors="none")
    page.set_viewport_size({"width": 1280, "height": 500})
    page.mouse.wheel(0, 4000)
    expect(page.locator("#copy")).to_be_in_viewport()
    expect(page.locator("#audio")).to_be_in_viewport()
    shot(page, "scrolled")
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    page.keyboard.press("Shift+F2")
    page.locator("#record[data-on=true]").wait_for()
    realtime.delta("item", said.replace("*", ""))
    expect(page.locator("#transcript")).to_contain_text("as before.")
    shot(page, "phone-recording")
    bar, text = page.locator(".dictate").bounding_box(), page.locator("#transcript").bounding_box()
    assert bar
    assert text
    assert bar["y"] - max(text["y"], 0) > 0.6 * PHONE["height"]
    assert findings(page) == []
    page.keyboard.press("F2")
    page.locator("#record[data-on=false][aria-disabled=false]").wait_for()
