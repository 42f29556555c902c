"""Nothing is lost: what a browser keeps where its user says so, and what it does not."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import PATIENCE_S
from tests.panel.conftest import FakeRealtime, Opener, dictated_s, recorded, shot, start, stop, text_of
from tests.panel.voice import SAID, Voice

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

STORED = """async () => {
    const request = indexedDB.open("medasr-vault");
    const database = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const all = (store) => new Promise((resolve) => {
        const asked = database.transaction(store).objectStore(store).getAll();
        asked.onsuccess = () => resolve(asked.result);
    });
    const [sealed, [key]] = [await all("sealed"), await all("keys")];
    database.close();
    const text = sealed.map(({ data }) => new TextDecoder("latin1").decode(data)).join();
    return { ids: sealed.map(({ id }) => id.split("/")[0]), text, extractable: key.extractable };
}"""


def kept(page: Page, is_there: Callable[[list[str], str], bool]) -> dict[str, Any]:
    """What lies in the browser, once its kinds, and what can be read in it, are these."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found: dict[str, Any] = page.evaluate(STORED)
        if is_there(found["ids"], found["text"]):
            return found
    pytest.fail("It is not kept.")


def test_a_crash_loses_neither_words_nor_sound(open_panel: Opener, realtime: FakeRealtime) -> None:
    def before(page: Page) -> None:
        Voice(SAID).install(page)
        realtime.install(page)

    page = open_panel(before=before)
    page.get_by_label("Keep them in this browser").check()
    start(page)
    realtime.delta("item", "The lungs are clear")
    dictated_s(page, 3)
    found = kept(page, lambda ids, _: {"blocks", "report"} <= set(ids))
    assert found["extractable"] is False
    assert "lungs" not in str(found["text"])
    page.wait_for_timeout(1500)  # a look more: the words, too
    context = page.context
    page.close(run_before_unload=False)  # as a crash does: nobody is asked, nothing is told
    again = context.new_page()
    again.goto(open_panel.url)
    expect(again.locator("#transcript")).to_have_text("The lungs are clear")
    expect(again.locator(".entry .state")).to_contain_text("Incomplete")
    assert len(recorded(again)) > 2 * 16_000 * 2
    expect(again.get_by_role("button", name="Transcribe the recording")).to_be_visible()
    shot(again, "restored")
    again.keyboard.press("Control+z")  # undo comes back with it
    again.get_by_role("button", name="Remove all that is kept").click()
    expect(again.get_by_label("Keep them in this browser")).not_to_be_checked()
    assert again.evaluate("indexedDB.databases().then((all) => all.length)") == 0
    again.close(run_before_unload=False)


def test_a_report_comes_back_with_its_changes_and_without_those_removed(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    page = open_panel(before=realtime.install)
    page.get_by_label("Keep them in this browser").check()
    realtime.on_commit = lambda fake: fake.complete("item", "Lungs are clear.")
    start(page)
    stop(page)
    page.locator("#edit").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Call.")
    page.keyboard.press("Escape")
    kept(page, lambda ids, _: "audio" in ids)
    page.wait_for_timeout(1500)
    page.reload()
    expect(page.locator("#transcript")).to_have_text("Lungs are clear. Call.")
    expect(page.locator("#edited-mark")).to_be_visible()
    page.keyboard.press("Control+z")
    assert text_of(page) == "Lungs are clear."  # undo reaches across the reload
    page.locator(".remove").click()
    kept(page, lambda ids, _: not ids)
    page.reload()
    page.locator("#service[data-state=ready]").wait_for()
    expect(page.locator(".entry")).to_have_count(0)


def test_the_time_limit_counts_while_the_page_is_open(open_panel: Opener, realtime: FakeRealtime) -> None:
    def before(page: Page) -> None:
        page.clock.install()
        realtime.install(page)

    page = open_panel(before=before)
    page.get_by_label("Keep them in this browser").check()
    realtime.on_commit = lambda fake: fake.complete("item", "Lungs are clear.")
    start(page)
    stop(page)
    kept(page, lambda ids, _: {"report", "audio"} <= set(ids))
    page.clock.fast_forward("23:00:00")
    page.wait_for_timeout(500)
    assert set(page.evaluate(STORED)["ids"]) == {"report", "audio"}
    page.clock.fast_forward("01:05:00")
    kept(page, lambda ids, _: not ids)
    page.clock.fast_forward(5000)  # some looks more: it is not written again
    page.wait_for_timeout(500)
    assert page.evaluate(STORED)["ids"] == []
    assert text_of(page) == "Lungs are clear."
