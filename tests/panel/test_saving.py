"""What leaves the panel on purpose: each way out holds the text as it stands, and says what is still open."""

import base64
import hashlib
import io
import json
import zipfile
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.documentreference import DocumentReference
from playwright.sync_api import Page, expect

from medasr_service.model.checkpoint import DEMO_NOTICE
from tests.conftest import SAMPLE, Service
from tests.panel.conftest import FakeRealtime, Opener, copy, dictate_text, edit, problem, save, shot
from tests.panel.test_accessibility import findings

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
KINDS = "(await navigator.clipboard.read())[0].types"
REPORT = """FINDINGS:
Lungs: clear & <b>dry</b>, 2 < 3
No "severe" effusion — ½ of it.

PLAN
[___]"""


def parsed(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup.replace("<br/>", "<br/>\n"))


@pytest.fixture
def reported(open_panel: Opener, realtime: FakeRealtime) -> Page:
    """A dictation that was edited into a report with all that could go wrong on its way."""
    page = open_panel(before=realtime.install)
    dictate_text(page, realtime, "Lungs are clear severe* effusion.")
    edit(page, REPORT)
    return page


def own(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The model's own words, which those of the text are made of."""
    parts = [part for word in words for part in word.get("parts", [word])]
    return [{key: value for key, value in part.items() if key != "word"} for part in parts]


def test_a_recording_is_saved_as_the_service_would_write_it(open_panel: Opener, service: Service) -> None:
    page = open_panel()
    page.set_input_files("#files", [SAMPLE])
    page.locator(".entry .state", has_text=":").wait_for()

    def of_service(**fields: Any) -> httpx.Response:
        files = {"file": ("sample.wav", SAMPLE.read_bytes())}
        return httpx.post(f"{service.url}/v1/audio/transcriptions", files=files, data=fields, timeout=60)

    for suffix in ("srt", "vtt"):
        name, subtitles = save(page, suffix)
        assert (name, subtitles.decode()) == (f"sample.{suffix}", of_service(response_format=suffix).text)
    verbose = of_service(**{"response_format": "verbose_json", "timestamp_granularities[]": "word"}).json()
    assert save(page, "txt") == ("sample.txt", f"{verbose['text']}\n".encode())
    name, body = save(page, "json")
    found = json.loads(body)
    assert name == "sample.json"
    assert (found["text"], found["raw_text"]) == (verbose["text"], verbose["raw_text"])
    assert (found["model"], found["notice"], found["edited_text"]) == ("medasr-demo", DEMO_NOTICE, None)
    # a segment does not know the word behind it, so that "{new line}" at its end goes with the one before
    words = [word for segment in found["segments"] for word in segment["words"]]
    assert own(words) == own(verbose["words"])
    mine = str(verbose["text"]).replace("trace joint", "small joint")
    assert mine != verbose["text"]
    edit(page, mine)
    subtitles = save(page, "srt")[1]
    lines = [line for line in subtitles.decode().splitlines() if "-->" not in line and not line.isdigit()]
    assert " ".join(lines).split() == mine.split()
    assert all(len(line) <= 42 for line in lines)


def test_subtitles_without_the_service_are_refused_in_plain_words(reported: Page) -> None:
    reported.route("**/v1/audio/subtitles", lambda route: route.abort())
    reported.locator("#save").click()
    reported.locator("[data-save=srt]").click()
    assert "cannot be reached" in problem(reported)


def test_a_copy_is_plain_and_rich_and_says_what_is_open(reported: Page) -> None:
    assert copy(reported) == REPORT
    expect(reported.locator("#taken-open")).to_have_text("Copied. Still open: 1 to check, 1 empty field.")
    rich = reported.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            return (await item.getType("text/html")).text();
        }"""
    )
    body = parsed(f"<body>{rich[rich.index('<p>') :].replace('<br>', '<br/>')}</body>")
    assert "".join(body.itertext()).split() == REPORT.split()
    assert {element.tag for element in body.iter()} == {"body", "p", "b", "br"}
    assert [element.text for element in body.iter("b")] == ["FINDINGS:", "Lungs:", "PLAN"]
    shot(reported, "copied-open")
    reported.locator("#save").click()
    reported.get_by_role("button", name="Copy without formatting").click()
    reported.locator("#announcer", has_text="Copied").wait_for()
    reported.wait_for_function(f"async () => String({KINDS}) === 'text/plain'")


def test_the_line_ends_are_those_that_the_user_chose(reported: Page) -> None:
    reported.evaluate(
        """async () => {
            const { change, library } = await import("./panel/library.js");
            change({ preferences: { ...library.preferences, lineEnds: "crlf" } });
        }"""
    )
    assert save(reported, "txt")[1].decode() == REPORT.replace("\n", "\r\n") + "\r\n"
    assert copy(reported) == REPORT.replace("\n", "\r\n")


def paragraphs(docx: bytes) -> list[tuple[str, str]]:
    """The style and the text of each."""
    with zipfile.ZipFile(io.BytesIO(docx)) as archive:
        assert archive.testzip() is None
        root = ElementTree.fromstring(archive.read("word/document.xml"))
        core = archive.read("docProps/core.xml").decode()
    assert "Un-named" not in core
    found = []
    for paragraph in root.iter(f"{WORD}p"):
        style = paragraph.find(f"{WORD}pPr/{WORD}pStyle")
        parts = [
            "\n" if part.tag == f"{WORD}br" else part.text or ""
            for part in paragraph.iter()
            if part.tag in (f"{WORD}br", f"{WORD}t")
        ]
        found.append((style.get(f"{WORD}val", "") if style is not None else "", "".join(parts)))
    return found


def test_a_word_file_has_the_headings_and_every_character(reported: Page) -> None:
    name, docx = save(reported, "docx")
    assert name.startswith("Dictation")
    assert name.endswith(".docx")
    assert paragraphs(docx) == [
        ("Heading2", "FINDINGS:"),
        ("", 'Lungs: clear & <b>dry</b>, 2 < 3\nNo "severe" effusion — ½ of it.'),
        ("Heading2", "PLAN"),
        ("", "[___]"),
    ]


def test_fhir_resources_are_valid_hold_the_text_and_are_never_final(reported: Page) -> None:
    bodies = [save(reported, f"fhir-{name}")[1] for name in ("report", "document")]
    DiagnosticReport.model_validate_json(bodies[0])
    DocumentReference.model_validate_json(bodies[1])
    report, reference = map(json.loads, bodies)
    [form] = report["presentedForm"]
    assert base64.b64decode(form["data"]).decode() == REPORT
    assert report["status"] == "partial"  # a field is empty
    attachment = reference["content"][0]["attachment"]
    data = base64.b64decode(attachment["data"])
    assert data.decode() == REPORT
    assert attachment["size"] == len(data)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(data).digest()
    assert reference["description"].endswith("(not complete)")
    for resource in (report, reference):
        assert "".join(parsed(resource["text"]["div"]).itertext()).split() == REPORT.split()
        assert "subject" not in resource  # nobody is named
    edit(reported, "Nothing is open.")
    assert json.loads(save(reported, "fhir-report")[1])["status"] == "preliminary"


def test_all_reports_are_saved_as_one_zip(reported: Page, realtime: FakeRealtime) -> None:
    reported.locator("#save").click()
    expect(reported.locator("#save-all")).to_be_hidden()  # of one report there is nothing to pack
    shot(reported, "save-menu")
    assert findings(reported) == []
    reported.keyboard.press("Escape")
    expect(reported.locator("#save")).to_be_focused()
    dictate_text(reported, realtime, "Second.")
    reported.evaluate(
        """async () => {
            const { state, changed } = await import("./panel/state.js");
            for (const entry of state.entries) entry.name = "../a:b.wav";
            changed();
        }"""
    )
    name, packed = save(reported, "all")
    assert name == "Reports.zip"
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        texts = [archive.read(name).decode() for name in names if name.endswith("txt")]
    assert sorted(names) == sorted(
        f"-a-b{again}.{suffix}" for again in ("", " (2)") for suffix in ("txt", "docx", "json")
    )
    assert texts == ["Second.\n", f"{REPORT}\n"]
    expect(reported.locator("#taken-open")).to_have_text("Saved. Still open: 1 report.")
    page = reported
    page.locator("#save").focus()
    page.keyboard.press("Enter")
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    expect(page.locator(":focus")).to_have_text("Text .txt")
