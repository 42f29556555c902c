"""Spoken commands in the panel: which words are one, and what they do to a report that one dictates."""

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import CLIPS
from tests.panel.conftest import FakeRealtime, Opener, shot, start, stop, text_of
from tests.panel.test_accessibility import findings
from tests.panel.voice import Voice

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

HEARD = """async ([spoken, names, threshold]) => {
    const { CommandListener } = await import("./panel/commands.js");
    const out = [];
    const listener = new CommandListener({
        onText: (heard) => out.push(heard.map(({ text }) => text).join("")),
        onCommand: ({ name, argument }) => out.push([name, argument]),
        names: () => names,
        threshold: () => threshold,
    });
    for (const [text, start, end, probability] of spoken) {
        const word = { word: text, written: text, raw: text, start, end, probability };
        listener.take([{ text, raw: text, word }]);
    }
    listener.decide();
    return out;
}"""
NAMES = {"section": ["findings", "plan of care"], "passage": ["Normal chest", "CT head"]}


def spoken(text: str, *, sure: float = 0.95) -> list[list[Any]]:
    """Words 0.3 s long; "|" is a pause of 1 s, a star behind a word makes it doubtful."""
    found: list[list[Any]] = []
    at = 0.0
    for part in text.split():
        if part == "|":
            at += 1.0
            continue
        found.append([f" {part.rstrip('*')}", at, at + 0.3, 0.4 if part.endswith("*") else sure])
        at += 0.35
    return found


@pytest.fixture(scope="module")
def commands_page(browser: Any, service: Any) -> Any:
    page = browser.new_page()
    page.goto(service.url)
    yield page
    page.close()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("lungs are clear | scratch that", [" lungs", " are", " clear", ["scratch", ""]]),
        ("| Scratch that. | heart is normal", [["scratch", ""], " heart", " is", " normal"]),
        ("go to findings | clear", [["goTo", "findings"], " clear"]),
        ("lungs | go to plan of care", [" lungs", ["goTo", "plan of care"]]),
        ("lungs | Insert normal chest | heart", [" lungs", ["insert", "Normal chest"], " heart"]),
        ("lungs | next field | previous field", [" lungs", ["nextField", ""], ["previousField", ""]]),
        ("lungs | select the last sentence", [" lungs", ["selectSentence", ""]]),
        ("lungs | undo that | stop dictation", [" lungs", ["undo", ""], ["stop", ""]]),
        # running speech is text
        ("please scratch that", [" please", " scratch", " that"]),
        ("scratch that lesion | clear", [" scratch that", " lesion", " clear"]),
        ("the patient may scratch that", [" the", " patient", " may", " scratch", " that"]),
        ("he will | scratch that itch", [" he", " will", " scratch that", " itch"]),
        ("go to sleep", [" go to", " sleep"]),
        ("go to | findings", [" go to", " findings"]),  # a pause inside
        ("go to impression", [" go to", " impression"]),  # no such section
        ("scratch", [" scratch"]),
        # not heard surely
        ("lungs | scratch that*", [" lungs", " scratch", " that"]),
        ("lungs | scratch* that", [" lungs", " scratch", " that"]),
        ("next week | stop dictation of letters", [" next", " week", " stop dictation", " of", " letters"]),
    ],
)
def test_words_are_a_command_only_alone_between_pauses_and_heard_surely(
    commands_page: Page, said: str, heard: list[Any]
) -> None:
    assert commands_page.evaluate(HEARD, [spoken(said), NAMES, 0.7]) == heard
    text = "".join(word for word, *_ in spoken(said))
    written = "".join(part for part in heard if isinstance(part, str))
    assert written == text or any(isinstance(part, list) for part in heard)  # no word is lost


class Speaker:
    """Says words to the page, as the service would: with their times, on the clock of the dictation."""

    def __init__(self, page: Page, realtime: FakeRealtime) -> None:
        self.page, self.realtime = page, realtime
        self.at = 0.5
        self.said = ""

    def say(self, text: str, *, pause: float = 1.0, sure: float = 0.95) -> None:
        self.at += pause
        words = []
        for i, part in enumerate(text.split()):
            written = part if not self.said and not i else f" {part}"
            end = self.at + 0.3
            words.append(
                {
                    "word": part,
                    "raw": part,
                    "written": written,
                    "start": self.at,
                    "end": end,
                    "probability": sure,
                }
            )
            self.at = end + 0.05
        delta = "".join(str(word["written"]) for word in words)
        self.said += delta
        self.realtime.send(f"{self.realtime.ITEM}.delta", item_id="item", delta=delta, words=words)

    def stop(self) -> None:
        self.realtime.on_commit = lambda fake: fake.send(
            f"{fake.ITEM}.completed", item_id="item", transcript=self.said, words=[]
        )
        stop(self.page)


@pytest.fixture
def speaker(open_panel: Opener, realtime: FakeRealtime) -> Speaker:
    page = open_panel(before=realtime.install)
    page.evaluate(
        """async () => {
            const { change } = await import("./panel/library.js");
            const { PHRASES, TEMPLATES } = await import("./panel/starter.js");
            change({ phrases: PHRASES, templates: TEMPLATES });
        }"""
    )
    start(page)
    return Speaker(page, realtime)


def shown(page: Page) -> str:
    """The report, as it would be copied."""
    return str(
        page.evaluate(
            """async () => {
                const { state } = await import("./panel/state.js");
                return (await import("./panel/transcript.js")).report(state.selected);
            }"""
        )
    )


def reads(page: Page, text: str) -> None:
    expect(page.locator("#transcript")).to_have_text(text, use_inner_text=False)


def test_what_was_said_last_is_scratched_shown_and_brought_back(speaker: Speaker) -> None:
    page = speaker.page
    speaker.say("Lungs are clear.")
    speaker.say("Heart is large.")
    speaker.say("scratch that")
    expect(page.locator("#transcript .caret")).to_have_attribute("data-unfinished", " scratch that")
    speaker.say("No effusion.")
    reads(page, "Lungs are clear. No effusion.")
    expect(page.locator("#command-text")).to_have_text("“scratch that”: removed “Heart is large.”.")
    shot(page, "command")
    page.locator("#command-undo").click()
    reads(page, "Lungs are clear. Heart is large. No effusion.")
    speaker.say("scratch that")
    speaker.say("scratch that")
    speaker.say("scratch that")
    speaker.say("Normal.")
    reads(page, "Normal.")
    speaker.stop()
    page.get_by_label("Raw", exact=True).check()
    assert text_of(page) == "Lungs are clear. Heart is large. scratch that No effusion. " + " ".join(
        ["scratch that"] * 3 + ["Normal."]
    )


def test_what_was_held_stands_once_when_a_key_is_pressed(speaker: Speaker) -> None:
    page = speaker.page
    speaker.say("Lungs are clear.")
    speaker.say("next")  # may become a command
    caret = page.locator("#transcript .caret")
    expect(caret).to_have_attribute("data-unfinished", " next")
    page.keyboard.press("F8")
    reads(page, "Lungs are clear. next")
    expect(caret).to_have_attribute("data-unfinished", "")
    speaker.stop()


def test_a_command_that_other_words_follow_at_once_was_none(speaker: Speaker) -> None:
    page = speaker.page
    speaker.say("Lungs are clear.")
    speaker.say("scratch that")
    page.locator("#command-note").wait_for()  # nothing was heard for a while: it acted
    assert shown(page) == ""
    speaker.say("lesion again", pause=0.05)
    reads(page, "Lungs are clear. scratch that lesion again")
    expect(page.locator("#command-text")).to_contain_text("is text again")
    speaker.stop()


def test_the_last_sentence_is_selected_and_spoken_again(speaker: Speaker) -> None:
    page = speaker.page
    speaker.say("Lungs are clear. Heart is large.")
    speaker.say("select last sentence")
    page.locator("#command-note").wait_for()
    chosen = "[...CSS.highlights.get('chosen')].map(String)"
    assert page.evaluate(chosen) == ["Heart is large."]
    shot(page, "command-selected")
    assert findings(page) == []
    speaker.say("Heart is normal.")
    reads(page, "Lungs are clear. Heart is normal.")
    speaker.stop()
    assert shown(page) == "Lungs are clear. Heart is normal."


def test_a_template_is_filled_by_voice(speaker: Speaker) -> None:
    page = speaker.page
    speaker.say("insert SOAP note")
    speaker.say("Cough.")
    speaker.say("next field")
    speaker.say("Afebrile.")
    speaker.say("go to plan")
    speaker.say("Rest.")
    speaker.say("previous field")
    speaker.say("Cold.")
    speaker.say("go to plan")
    speaker.say("Fluids.")
    speaker.say("insert return precautions")
    speaker.say("stop dictation")
    page.locator("#record-label", has_text="Finishing").or_(
        page.locator("#record-label", has_text="Go on here")
    ).wait_for()
    page.locator("#record-label", has_text="Go on here").wait_for()
    assert shown(page) == (
        "SUBJECTIVE:\nCough.\n\nOBJECTIVE:\nVital signs: Afebrile.\nExamination: [___]\n\nASSESSMENT:\nCold."
        "\n\nPLAN:\nRest. Fluids. The patient was told when to come back, and had no further questions."
    )
    shot(page, "template-spoken")


def test_switched_off_the_same_words_are_text(speaker: Speaker) -> None:
    page = speaker.page
    page.evaluate(
        """async () => {
            const { change, library } = await import("./panel/library.js");
            change({ preferences: { ...library.preferences, commands: false } });
        }"""
    )
    speaker.say("Lungs.")
    speaker.say("scratch that")
    speaker.say("Heart.")
    reads(page, "Lungs. scratch that Heart.")
    speaker.stop()


def test_a_command_that_is_spoken_and_heard_acts(open_panel: Opener) -> None:
    """By sound, through the real service. The demo model knows no word of the commands ("scratch that" is
    "Struat" to it), so a sentence that it knows is made one here; all behind that is the page's."""
    said, command = CLIPS[2], CLIPS[9]
    quiet = np.zeros(2 * 16_000, np.float32)
    sound = np.concatenate((said.waveform, quiet, command.waveform, np.tile(quiet, 30)))
    page = open_panel(before=Voice(sound).install)
    words = command.text.removesuffix(" {period}")
    page.evaluate(
        """async (said) => (await import("./panel/commands.js")).COMMANDS.push({ said, name: "scratch" })""",
        words,
    )
    start(page)
    expect(page.locator("#command-note")).to_contain_text("Oxygen saturation 95% on room air")
    expect(page.locator("#transcript")).to_have_text("")
    stop(page)
    assert text_of(page).strip() == ""
    page.locator("#command-undo").click()
    assert text_of(page).strip() == "Oxygen saturation 95% on room air."
    page.get_by_label("Raw", exact=True).check()
    assert text_of(page) == f"{said.text} {command.text}"  # nothing that was heard is lost
