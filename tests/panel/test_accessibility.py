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
