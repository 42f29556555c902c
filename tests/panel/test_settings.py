"""The panel's settings: vocabulary, templates and phrases, keys and devices, and what is kept of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import CLIPS
from tests.panel.conftest import (
    DESKTOP,
    PHONE,
    FakeRealtime,
    Opener,
    copy,
    edit,
    problem,
    save,
    shot,
    start,
    text_of,
)
from tests.panel.test_accessibility import findings
from tests.panel.test_speaking import Speaker, reads, shown

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def settings(page: Page, tab: str) -> None:
    if not page.locator("#settings").is_visible():
        page.get_by_role("button", name="Settings").click()
    page.get_by_role("tab", name=tab).click()


def close(page: Page) -> None:
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#settings")).to_be_hidden()


def test_every_section_is_reached_by_key_and_hinders_nobody(open_panel: Opener) -> None:
    found = {}
    for scheme, viewport in (("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)):
        page = open_panel(color_scheme=scheme, reduced_motion="reduce", viewport=viewport)
        settings(page, "Templates and phrases")
        page.get_by_role("button", name="Add the starter set").click()
        page.get_by_role("tab", name="Service").click()
        for i in range(6):
            tab = page.locator(":focus").inner_text()
            if scheme == "dark":
                page.emulate_media(forced_colors="active")
                shot(page, f"settings-{i}-forced")
                page.emulate_media(forced_colors="none")
            shot(page, f"settings-{i}-{scheme}{'-phone' if viewport is PHONE else ''}")
            found[scheme, tab] = findings(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.keyboard.press("ArrowDown")
        expect(page.get_by_role("tab", name="Service")).to_be_focused()  # round
    assert len(found) == 12
    texts = page.locator("[data-text]").all_text_contents()
    assert len(texts) > 80
    assert not [text for text in texts if text in ("", "undefined")]
    assert [each for each in found.items() if each[1]] == []


def test_terms_go_with_every_recording_and_dictation(open_panel: Opener, realtime: FakeRealtime) -> None:
    sent: list[str] = []

    def note(route: Route) -> None:
        sent.append((route.request.post_data_buffer or b"").decode("latin-1"))
        route.continue_()

    def before(page: Page) -> None:
        realtime.install(page)
        page.route("**/v1/audio/transcriptions", note)

    page = open_panel(before=before)
    settings(page, "Vocabulary")
    page.fill("#keywords", "rivaroxaban\n\n  Dr.   Okonkwo \nrivaroxaban")
    assert "2 of 500" in page.locator("#keywords-note").inner_text()
    page.fill("#replacements", "hctz hydrochlorothiazide")
    expect(page.locator("#vocabulary-problem")).to_have_text("Line 1 of the replacements has no “=”.")
    page.fill("#replacements", "hctz = hydrochlorothiazide")
    expect(page.locator("#vocabulary-problem")).to_be_hidden()
    page.fill("#keywords", "x" * 65)
    expect(page.locator("#vocabulary-problem")).to_contain_text("65 characters; the limit is 64")
    page.fill("#keywords", "\n".join(f"term{i}" for i in range(501)))
    expect(page.locator("#vocabulary-problem")).to_contain_text("the limit is 500")
    page.fill("#keywords", "rivaroxaban\nDr. Okonkwo")
    close(page)
    page.set_input_files("#files", [min(CLIPS, key=lambda clip: len(clip.waveform)).path])
    page.locator(".entry .state", has_text=":").wait_for()
    assert [
        sent[0].count(f'name="keywords[]"\r\n\r\n{term}\r\n') for term in ("rivaroxaban", "Dr. Okonkwo")
    ] == [1, 1]
    start(page)
    transcription = realtime.events[0]["session"]["audio"]["input"]["transcription"]
    assert transcription == {"keywords": ["rivaroxaban", "Dr. Okonkwo"]}
    page.keyboard.press("F2")


def test_terms_that_the_service_refuses_do_not_stop_a_dictation(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    def refuse(event: dict[str, Any]) -> bool:
        if not event["session"]["audio"]["input"].get("transcription"):
            return False
        realtime.send(
            "error", error={"message": "The model cannot write 'Жук'.", "event_id": event["event_id"]}
        )
        return True

    realtime.refuses = refuse
    page = open_panel(before=realtime.install)
    settings(page, "Vocabulary")
    page.fill("#keywords", "Жук")
    close(page)
    start(page)
    assert "The model cannot write 'Жук'." in problem(page)
    assert "transcription" not in realtime.events[-1]["session"]["audio"]["input"]


def test_replaced_words_are_marked_taken_back_and_stay_raw(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    page = open_panel(before=realtime.install)
    settings(page, "Vocabulary")
    page.fill("#replacements", "hctz = hydrochlorothiazide\na fib = atrial fibrillation\nmg=milligrams")
    close(page)
    start(page)
    speaker = Speaker(page, realtime)
    speaker.say("Hctz, 25 mg. for a fib today")
    speaker.say("more hctz", sure=0.5)  # a doubt stays to be seen
    reads(page, "Hydrochlorothiazide, 25 milligrams. for atrial fibrillation today more hctz")
    speaker.stop()
    page.locator("#replaced summary").click()
    assert page.locator("#replaced summary").inner_text() == "3 replacements of your vocabulary"
    shot(page, "replaced")
    assert findings(page) == []
    page.get_by_role("button", name="Take back the replacement of mg").click()
    assert copy(page) == "Hydrochlorothiazide, 25 mg. for atrial fibrillation today more hctz"
    page.get_by_label("Raw", exact=True).check()
    assert text_of(page) == "Hctz, 25 mg. for a fib today more hctz"
    page.get_by_label("Original", exact=True).check()
    assert text_of(page) == "Hctz, 25 mg. for a fib today more hctz"


READ = """async (texts) => {
    const { parse } = await import("./panel/library.js");
    return texts.map((text) => { try { parse(text); return ""; } catch (error) { return error.message; } });
}"""


def test_the_library_is_kept_by_choice_and_travels_as_one_file(open_panel: Opener, tmp_path: Path) -> None:
    page = open_panel()
    settings(page, "Templates and phrases")
    page.get_by_role("button", name="Add the starter set").click()
    page.select_option("#passage", label="New phrase")
    page.fill("#passage-name", "no change")
    page.fill("#passage-text", "No change <b>since</b> [___].")
    page.get_by_role("button", name="Keep", exact=True).click()
    assert page.locator("#passage option").all_inner_texts() == [
        *("Chest x-ray", "CT head", "SOAP note", "Discharge summary", "New template"),
        *("normal chest", "normal abdomen", "return precautions", "no change", "New phrase"),
    ]
    page.get_by_role("tab", name="Copying and keeping").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    exported = Path(download.value.path()).read_text()
    assert {"name": "no change", "text": "No change <b>since</b> [___]."} in json.loads(exported)["phrases"]
    assert page.evaluate("localStorage.length") == 0
    page.get_by_label("Keep vocabulary").check()
    page.reload()
    page.locator("#service[data-state=ready]").wait_for()
    settings(page, "Templates and phrases")
    expect(page.locator("#passage option", has_text="no change")).to_have_count(1)
    page.get_by_role("tab", name="Copying and keeping").click()
    page.get_by_role("button", name="Remove all").click()
    assert page.evaluate("localStorage.length") == 0
    page.set_input_files(
        "#library-file", {"name": "m.json", "mimeType": "application/json", "buffer": exported.encode()}
    )
    expect(page.locator("#kept-said")).to_contain_text("8 templates and phrases")
    page.set_input_files("#library-file", {"name": "m.json", "mimeType": "application/json", "buffer": b"{}"})
    expect(page.locator("#kept-problem")).to_have_text("This is not a file of settings of this page.")
    begin = '{"format": "medasr-panel", "version": 1, '
    refused = page.evaluate(
        READ,
        [
            exported,
            "[",
            "[]",
            '{"format": "medasr-panel", "version": 2}',
            begin + '"phrases": [{"name": "a"}]}',
            begin + '"phrases": [{"name": "a", "text": "b\\u0000"}]}',
            begin + '"phrases": {}}',
            begin + '"keywords": [7]}',
            begin + '"__proto__": {}}',
            begin + '"preferences": {"commands": "yes"}}',
            begin + '"templates": [{"name": "a", "text": "' + "x" * 20_001 + '"}]}',
            " " * 1_000_001,
        ],
    )
    assert refused[0] == ""
    assert all(refused[1:])
    assert "phrases[0].text" in refused[4]


def test_a_template_is_inserted_by_menu_and_filled_by_key(open_panel: Opener) -> None:
    page = open_panel()
    page.get_by_role("button", name="Insert").click()
    page.get_by_role("button", name="Edit templates and phrases").click()
    page.get_by_role("button", name="Add the starter set").click()
    close(page)
    page.get_by_role("button", name="Insert").click()
    shot(page, "insert-menu")
    assert findings(page) == []
    page.get_by_role("button", name="SOAP note").click()
    expect(page.locator("#editor-text")).to_be_focused()
    page.keyboard.type("Cough.")
    page.keyboard.press("F8")
    page.keyboard.type("Afebrile.")
    page.keyboard.press("F8")
    page.keyboard.press("Shift+F8")  # what is filled is no field any more: round to the last
    page.keyboard.type("Rest.")
    page.keyboard.press("Escape")
    assert shown(page) == (
        "SUBJECTIVE:\nCough.\n\nOBJECTIVE:\nVital signs: Afebrile.\nExamination: [___]\n\nASSESSMENT:\n[___]"
        "\n\nPLAN:\nRest."
    )
    copy(page)
    expect(page.locator("#taken-open")).to_contain_text("2 empty fields")
    edit(page, "Note.")
    page.get_by_role("button", name="Insert").click()
    page.get_by_role("button", name="normal abdomen").click()
    assert "The abdomen is soft" in shown(page)
    assert save(page, "txt")[0] == "SOAP note.txt"


def test_another_key_starts_and_records_while_it_is_held(open_panel: Opener, realtime: FakeRealtime) -> None:
    page = open_panel(before=realtime.install)
    settings(page, "Keys and devices")
    field = page.get_by_label("Key that starts and stops")
    field.press("a")
    expect(page.locator("#hotkey-note")).to_contain_text("A writes text")
    field.press("Control+Shift+d")
    expect(field).to_have_value("Ctrl Shift D")
    field.press("F9")
    page.get_by_label("Push to talk").check()
    close(page)
    expect(page.locator("#microphone-note")).to_have_text("Hold F9 while you speak.")
    page.keyboard.press("F2")
    assert page.locator("#record[data-on=true]").count() == 0
    page.keyboard.down("F9")
    page.locator("#record[data-on=true]").wait_for()
    page.keyboard.down("F9")  # the key repeats
    page.keyboard.up("F9")
    page.locator("#record-label", has_text="Start dictation").wait_for()
    page.keyboard.press("F9")  # let go before the microphone is open
    expect(page.locator("#record-label")).to_have_text("Start dictation")


HID = """() => {
    class Device extends EventTarget {
        constructor(fields) { super(); Object.assign(this, { opened: false }, fields); }
        async open() { this.opened = true; }
        async close() {}
        async sendReport() {}
        press(...bytes) {
            const event = new Event("inputreport");
            event.data = new DataView(new Uint8Array(bytes).buffer);
            this.dispatchEvent(event);
        }
    }
    const kind = (productName, vendorId, productId, usage) =>
        new Device({ productName, vendorId, productId, collections: [{ usagePage: 1, usage }] });
    window.microphone = kind("PowerMic III", 1364, 4097, 0);
    window.pedal = kind("Foot control", 2321, 6212, 4);
    const hid = Object.assign(new EventTarget(), {
        getDevices: async () => [],
        requestDevice: async ({ filters }) => [microphone, pedal].filter((each) =>
            filters.some(({ productId }) => productId === each.productId)),
    });
    Object.defineProperty(navigator, "hid", { value: hid });
}"""


def test_a_dictation_microphone_and_a_pedal_start_stop_and_go_to_the_next_field(
    open_panel: Opener, realtime: FakeRealtime
) -> None:
    def before(page: Page) -> None:
        realtime.install(page)
        page.add_init_script(f"({HID})()")

    page = open_panel(before=before)
    settings(page, "Templates and phrases")
    page.get_by_role("button", name="Add the starter set").click()
    page.get_by_role("tab", name="Keys and devices").click()
    page.get_by_role("button", name="Connect a device").click()
    expect(page.locator("#pedal-list li")).to_have_text(
        ["PowerMic III, connected", "Foot control, connected"]
    )
    close(page)
    page.get_by_role("button", name="Insert").click()
    page.get_by_role("button", name="SOAP note").click()
    page.evaluate("microphone.press(0, 4, 0)")  # record
    page.locator("#record[data-on=true]").wait_for()
    page.evaluate("microphone.press(0, 0, 0)")
    speaker = Speaker(page, realtime)
    speaker.said = "."  # its words have spaces before them
    speaker.say("Cough.")
    expect(page.locator("#transcript")).to_contain_text("Cough.")
    page.evaluate("microphone.press(0, 8, 0)")  # tab forward
    expect(page.locator("#command-text")).to_contain_text("field")
    speaker.say("Afebrile.")
    reads_so_far = "SUBJECTIVE:\nCough.\n\nOBJECTIVE:\nVital signs: Afebrile."
    page.wait_for_function(
        "(text) => document.getElementById('transcript').textContent.startsWith(text)", arg=reads_so_far
    )
    page.evaluate("pedal.press(2)")  # the middle of the pedal
    page.locator("#record-label", has_text="Go on here").wait_for()
    assert shown(page).startswith(reads_so_far)
