"""Rows, parts, and what is found when they are damaged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.archive.report import Report, Tally, to_json, to_text
from medasr_service.archive.rows import FORMATS, Row

ROWS = [
    Row("/a/1.wav", "10-1", {"text": "No edema.", "raw_text": "no edema", "duration": 3.5, "doubts": 1}),
    Row("/a/2.wav", "11-1", {"error": "broken", "code": "invalid_audio"}),
    Row("s3://b/ä.wav", "12-x", {"text": "54 mg\u2028\n", "raw_text": "54 mg", "duration": 1.0, "doubts": 0}),
]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return str(request.param)


def test_what_is_written_is_read(form: str) -> None:
    part = FORMATS[form].read(FORMATS[form].part(ROWS))
    assert (sorted(part.rows.values(), key=lambda row: row.file), part.damaged) == (ROWS, False)


@given(NAMES, st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(name: str, text: str) -> None:
    row = Row(name, "1-1", {"text": text, "duration": 0.1 + 0.2})
    part = FORMATS["jsonl"].read(FORMATS["jsonl"].part([row]))
    assert part.rows == {name: row}


def test_no_flipped_bit_is_taken_for_what_was_written(form: str) -> None:
    """Whatever a damaged part says is a row that was written, or nothing; a row that is missing is told."""
    whole = FORMATS[form].part(ROWS)
    for at in range(0, len(whole), max(1, len(whole) // 400)):
        content = bytearray(whole)
        content[at] ^= 4
        part = FORMATS[form].read(bytes(content))
        assert all(row in ROWS for row in part.rows.values())
        assert part.damaged or len(part.rows) == len(ROWS)


def test_no_part_that_is_cut_is_taken_for_whole(form: str) -> None:
    whole = FORMATS[form].part(ROWS)
    for length in range(0, len(whole) - 1, 37):
        part = FORMATS[form].read(whole[:length])
        assert all(row in ROWS for row in part.rows.values())
        assert len(part.rows) < len(ROWS)


def test_the_columns_of_parquet_are_what_programs_ask_for() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = parquet.read_table(pyarrow.BufferReader(FORMATS["parquet"].part(ROWS)))
    assert table["text"].to_pylist() == ["No edema.", None, "54 mg\u2028\n"]
    assert table["duration"].to_pylist() == [3.5, None, 1.0]
    assert table["code"].to_pylist() == [None, "invalid_audio", None]


def test_a_report_says_what_came_out() -> None:
    now = Tally.of(ROWS)
    before = Tally(10, 3600.0, 7, {"invalid_audio": 1})
    report = Report("/out/x", 14, 2, now, before, 1, seconds=9.0)
    told = to_json(report)
    assert told["failures"] == {"invalid_audio": 2}
    assert told["rtfx"] == 0.5
    assert told["doubts_per_hour"] == pytest.approx(8, abs=0.1)
    text = to_text(report)
    assert "failed       2 (invalid_audio 2)" in text
    assert "2 files that are no recordings" in text
    assert json.loads(json.dumps(told)) == told
