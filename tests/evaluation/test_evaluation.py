"""Word errors, the classes of words that matter, and what many recordings say together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.errors import UsageError
from medasr_service.evaluation import markers, page, report, samples, scoring, summary
from medasr_service.evaluation.results import Result, Results, key
from medasr_service.evaluation.samples import Sample
from medasr_service.evaluation.scoring import CLASSES, Counts, Found, normalise, score
from medasr_service.evaluation.summary import Clip, Evaluation

WORDS = st.lists(st.sampled_from(["no", "edema", "54", "left", "denies", "pain"]), max_size=12).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[FINDINGS] {colon} No acute disease {period}</s>", "findings colon no acute disease period"),
        ("A 54-year-old, 108/58 and 95%", "a 54 year old 108 58 and 95"),
        ("He doesn't", "he doesn't"),
        ("naïve  µ\n\t", "na ve"),
        ("", ""),
    ],
)
def test_the_normaliser_is_that_of_the_notebook(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text())
def test_a_normalised_text_stays_as_it_is(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_each_kind_of_error_is_counted() -> None:
    found = score("no acute disease of the chest", "no cute disease the chest today")
    assert found.words == Counts(hits=4, substitutions=1, deletions=1, insertions=1)
    assert found.words.rate == 3 / 6
    assert found.characters.rate == pytest.approx(10 / 29)


@given(WORDS, WORDS)
def test_an_alignment_has_all_that_was_said_and_all_that_was_written(said: str, written: str) -> None:
    found = score(said, written)
    assert [word for step in found.steps for word in step.reference] == said.split()
    assert [word for step in found.steps for word in step.hypothesis] == written.split()
    assert len(found.right) == len(written.split())
    assert sum(found.right) == found.words.hits
    assert found.words.length == len(said.split())
    for each in found.classes.values():
        assert each.said == each.right + len(each.missed)


def test_a_reference_without_words_has_no_rate() -> None:
    assert score("", "edema").words == Counts(insertions=1)
    assert score("", "").words.rate is None
    with pytest.raises(ValueError, match="no words"):
        scoring.word_error_rate([""], ["edema"])


def test_lost_and_made_up_numbers_and_negations_are_counted() -> None:
    found = score("No edema, pulse 54, denies pain", "Edema, pulse 84, denies pain, not 3").classes
    numbers = Found(1, 0, 2, (("54", "84"),), kept=(False,), words=1, wrong=1)
    negations = Found(2, 1, 1, (("no", ""),), kept=(False, True), words=2, wrong=1)
    assert (found["numbers"], found["negations"]) == (numbers, negations)
    assert (numbers.rate, negations.rate, Found().rate) == (1.0, 0.5, None)


@pytest.mark.parametrize("word", ["no", "not", "without", "denies", "denied", "isn't", "negative", "never"])
def test_negations(word: str) -> None:
    assert list(CLASSES["negations"](["pain", word])) == [(1, 2)]


@pytest.mark.parametrize("word", ["5", "t2", "100", "seven", "seventeen", "forty", "half"])
def test_numbers(word: str) -> None:
    assert list(CLASSES["numbers"]([word, "pain"])) == [(0, 1)]


def test_a_term_of_several_words_is_right_when_all_of_it_is() -> None:
    find = {"terms": scoring.finder_of(["Ultibro", "pleural effusion", "effusion"])}
    assert score("left pleural effusion", "left pleural effusion", find).classes["terms"].right == 1
    lost = score("left pleural effusion and Ultibro", "left plural effusion and Ultibro", find).classes[
        "terms"
    ]
    missed = (("pleural effusion", "plural effusion"),)
    assert lost == Found(2, 1, 1, missed, kept=(False, True), words=3, wrong=1)


SAID = "[FINDINGS] No [unintelligible] of [Date] {period} Pain {end of dictation}"


@pytest.mark.parametrize(
    ("written", "words", "kinds"),
    [
        (SAID, Counts(hits=3), {}),
        ("[FINDINGS] No of {period} Pain", Counts(hits=3), {"doubt": "", "placeholder": "", "end": ""}),
        (SAID.replace("[Date]", "[PatientName]"), Counts(hits=3), {"placeholder": "[patientname]"}),
        (SAID.replace("Pain", "Rain"), Counts(hits=2, substitutions=1), {}),
        (SAID.replace("[unintelligible]", "edema"), Counts(hits=3, insertions=1), {"doubt": "edema"}),
        (SAID.replace("{period}", "{comma}"), Counts(hits=3), {"command": "comma"}),
    ],
)
def test_markers_are_scored_by_their_kind_and_apart_from_words(
    written: str, words: Counts, kinds: dict[str, str]
) -> None:
    found = markers.score(SAID, written)
    assert found.words == words
    assert set(found.kinds) == {"command", "heading", "doubt", "placeholder", "end"}
    for kind, each in found.kinds.items():
        assert each.said == 1
        assert each.right == (kind not in kinds)
        assert [instead for _, instead in each.missed] == [kinds[kind] for _ in range(kind in kinds)]
        assert each.made_up == (kinds.get(kind) in {"[patientname]", "comma"})


def test_a_marker_that_nobody_said_is_made_up() -> None:
    found = markers.score("No pain", "No [unintelligible] pain {period}").kinds
    assert {kind: (each.said, each.made_up) for kind, each in found.items()} == {
        "doubt": (0, 1),
        "command": (0, 1),
    }


def clip(name: str, said: str, *written: str) -> Clip:
    """One recording of a second under "greedy", and under "lm" where there is a second text."""
    results = {
        decoding: Result(name, name, decoding, text, tuple((w, 0.8) for w in text.split()), 1.0, 0.1)
        for decoding, text in zip(("greedy", "lm"), written, strict=False)
    }
    return summary.clip(Sample(name, Path(name), said), results, CLASSES)


def evaluation(*clips: Clip) -> Evaluation:
    return summary.evaluate("manifest.jsonl", {"model": "<model>"}, clips)


def failed(clip: Clip) -> Clip:
    results = {name: replace(o.result, error="damaged") for name, o in clip.outcomes.items()}
    return summary.clip(clip.sample, results, CLASSES)


def test_a_summary_adds_up_what_could_be_transcribed() -> None:
    clips = [clip("a", "no pain", "no pain"), clip("b", "no pain", "pain"), failed(clip("c", "pain", ""))]
    [found] = evaluation(*clips).summaries
    assert (found.clips, found.failed, found.exact) == (3, 1, 1)
    assert found.words == Counts(hits=3, deletions=1)
    assert found.rtfx == pytest.approx(10)
    assert found.classes["negations"] == Found(2, 1, 0, (("no", ""),), (True, False), words=2, wrong=1)


def test_the_interval_holds_the_rate_and_shrinks_with_more_recordings() -> None:
    def interval(times: int) -> tuple[float, float]:
        found = evaluation(*[clip("a", "no pain", "no pain"), clip("b", "no pain", "pain")] * times)
        assert found.summaries[0].interval
        return found.summaries[0].interval

    few, many = interval(5), interval(200)
    assert few[0] < many[0] < 0.25 < many[1] < few[1]
    assert interval(5) == few


def test_the_interval_is_that_of_theory() -> None:
    """Of a rate p in n recordings of one word each: p +- 1.96 sqrt(p (1 - p) / n)."""
    clips = [clip("a", "pain", "pain")] * 300 + [clip("b", "pain", "gain")] * 100
    [found] = evaluation(*clips).summaries
    wide = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert found.interval == pytest.approx((0.25 - wide, 0.25 + wide), abs=0.006)


def test_decodings_are_compared_on_the_same_recordings() -> None:
    found = evaluation(*[clip("a", "no pain", "pain", "no pain"), clip("b", "pain", "pain", "gain")] * 20)
    [comparison] = found.comparisons
    assert (comparison.decoding, comparison.difference) == ("lm", 0.0)
    assert comparison.interval[0] < 0 < comparison.interval[1]
    assert comparison.changes == {"words": (20, 20), "numbers": (0, 0), "negations": (20, 0)}


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    bins = summary.reliability(
        np.repeat([0.2, 0.9], [10, 100]), np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 90 + [0.0] * 10)
    )
    assert summary.calibration_error(bins) == pytest.approx(0)
    assert [(each.words, each.accuracy) for each in bins] == [(10, 0.2), (100, 0.9)]


def test_a_model_that_is_too_sure_has_one() -> None:
    [only] = summary.reliability(np.array([1.0, 1.0]), np.array([1.0, 0.0]))
    assert (only.low, only.high) == (0.9, 1.0)
    assert summary.calibration_error([only]) == 0.5
    assert summary.calibration_error([]) is None


def test_a_word_of_two_numbers_is_right_when_both_are() -> None:
    [found] = evaluation(clip("a", "BP 108/58 {comma}", "BP 108/59 {comma}")).summaries
    [only] = found.reliability
    assert only.words == 3
    assert only.accuracy == pytest.approx(2 / 3)


def write(folder: Path, *lines: str) -> Path:
    for name in ("a.wav", "b.wav"):
        (folder / name).write_bytes(b"")
    file = folder / "manifest.jsonl"
    file.write_text("\n".join(lines))
    return file


LINE = '{"audio": "a.wav", "text": "No pain", "voice": "x"}'


def test_a_manifest_names_recordings_beside_it(tmp_path: Path) -> None:
    absolute = json.dumps({"audio": str(tmp_path / "b.wav"), "text": ""})
    found = samples.read(write(tmp_path, "\ufeff" + LINE, "", absolute))
    assert [(s.name, s.audio, s.text) for s in found] == [
        ("a.wav", tmp_path / "a.wav", "No pain"),
        (str(tmp_path / "b.wav"), tmp_path / "b.wav", ""),
    ]


def test_a_line_separator_in_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    (tmp_path / "one.wav").touch()
    file = tmp_path / "manifest.jsonl"
    file.write_text('{"audio": "one.wav", "text": "no\u2028pain"}\n', encoding="utf-8")
    assert [sample.text for sample in samples.read(file)] == ["no\u2028pain"]


def test_a_folder_of_pairs_is_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    for name in ("b.WAV", "ward/a.flac"):
        (tmp_path / name).write_bytes(b"")
        (tmp_path / name).with_suffix(".txt").write_text("No pain\n")
    assert [(s.name, s.text) for s in samples.read(tmp_path)] == [
        ("b.WAV", "No pain"),
        ("ward/a.flac", "No pain"),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "names no recordings"),
        ([" "], "names no recordings"),
        ([LINE, "{audio: 3}"], "line 2 is not JSON"),
        ([LINE, "[1]"], "line 2 is not an object"),
        (['{"audio": "a.wav"}'], "line 1 has no text"),
        (['{"audio": 5, "text": "x"}'], "line 1 has no audio"),
        (['{"audio": "", "text": "x"}'], "line 1 has no audio"),
        ([LINE, '{"audio": "c.wav", "text": ""}'], "line 2: there is no file"),
        (['{"audio": "c.wav", "text": ""}'] * 3, "and 2 more are missing"),
        (['{"audio": ".", "text": ""}'], "there is no file"),
    ],
)
def test_a_bad_manifest_is_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        samples.read(write(tmp_path, *lines))
    assert "\n" not in caught.value.message


def test_a_bad_source_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        samples.read(tmp_path / "absent.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"audio": "a.wav", "text": "\xe9"}')
    with pytest.raises(UsageError, match="not UTF-8"):
        samples.read(tmp_path / "latin.jsonl")
    with pytest.raises(UsageError, match="not UTF-8"):
        samples.terms(tmp_path / "latin.jsonl")
    with pytest.raises(UsageError, match="names no recordings"):
        samples.read(tmp_path)


@pytest.mark.parametrize(("lone", "message"), [("a.wav", "has no a.txt"), ("a.txt", "has no recording")])
def test_a_pair_of_which_one_is_missing_is_refused(tmp_path: Path, lone: str, message: str) -> None:
    (tmp_path / lone).write_text("")
    with pytest.raises(UsageError, match=message):
        samples.read(tmp_path)


def test_the_starter_list_names_drugs_once_each() -> None:
    found = samples.terms(samples.DRUGS)
    assert len(found) > 1_000
    assert found == sorted(set(found))
    assert {"apixaban", "furosemide", "valproic acid"} <= set(found)


def test_terms_are_lines(tmp_path: Path) -> None:
    (tmp_path / "terms").write_text("\ufeff# drugs\napixaban\n\n  pleural effusion \napixaban\n")
    assert samples.terms(tmp_path / "terms") == ["apixaban", "pleural effusion"]


RESULT = Result("k", "a.wav", "greedy", "No <pain>", (("No", 0.9), (" <pain>", 0.5)), 1.0, 0.1)


def test_results_are_read_back(tmp_path: Path) -> None:
    Results(tmp_path / "r.jsonl").add(RESULT)
    assert Results(tmp_path / "r.jsonl").get("k") == RESULT
    assert Results(tmp_path / "r.jsonl").get("other") is None
    assert Results(tmp_path / "r.jsonl", fresh=True).get("k") is None


def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    Results(tmp_path / "r.jsonl").add(replace(RESULT, error="damaged"))
    assert Results(tmp_path / "r.jsonl").get("k") is None


def test_a_line_that_a_crash_cut_short_costs_only_itself(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    Results(file).add(RESULT)
    whole = file.read_bytes()
    for kept in (5, len(whole) - 1):
        file.write_bytes(whole + whole.replace(b'"k"', b'"l"')[:kept])
        Results(file).add(replace(RESULT, key="m"))
        found = Results(file)
        assert found.get("k")
        assert found.get("m")


def test_a_key_changes_with_all_that_the_text_depends_on() -> None:
    base = key("sha", "greedy", {"model": "a"})
    assert base == key("sha", "greedy", {"model": "a"})
    assert (
        len(
            {
                base,
                key("s", "greedy", {"model": "a"}),
                key("sha", "lm", {"model": "a"}),
                key("sha", "greedy", {}),
            }
        )
        == 4
    )


EVALUATION = evaluation(
    clip("<b>a|b.wav", "No <edema> in 54", "No edema in 45", "No edema in 54"),
    failed(clip("broken.wav", "pain", "", "")),
    clip("right.wav", "pain", "pain", "pain"),
)


def test_markdown_has_a_row_for_each_decoding_class_and_recording() -> None:
    text = report.to_markdown(EVALUATION)
    assert "| greedy | 20.00 % |" in text
    assert "| lm | 0.00 % |" in text
    assert "WER with lm against greedy: -20.00 points (-100.0 % of it)" in text
    assert "| numbers | greedy | 1 | 0 | 0.00 % | 1 | 100.00 % |" in text
    assert "| lm | words | 1 | 0 |" in text
    assert "| lm | numbers | 1 | 0 |" in text
    assert "| numbers | greedy | <b>a\\|b.wav | 54 | 45 |" in text
    assert "| broken.wav |  | failed: damaged | failed: damaged |" in text


def test_json_has_everything() -> None:
    body = json.loads(report.to_json(EVALUATION))
    assert body["decodings"]["greedy"]["wer"]["substitutions"] == 1
    assert body["decodings"]["greedy"]["classes"]["numbers"]["missed"] == [{"said": "54", "written": "45"}]
    assert [each["audio"] for each in body["recordings"]] == ["<b>a|b.wav", "broken.wav", "right.wav"]
    assert body["recordings"][1]["decodings"]["lm"] == {"error": "damaged"}


def test_the_page_shows_the_differences_and_nothing_foreign_is_markup() -> None:
    text = page.to_html(EVALUATION)
    assert "<del>54</del> <ins>45</ins>" in text
    assert "&lt;b&gt;a|b.wav" in text
    assert "<b>" not in text
    assert "&lt;model&gt;" in text
    assert "1 recordings have no error" in text
    assert "http" not in text.replace("http-equiv", "")  # nothing is loaded from elsewhere


def test_an_evaluation_of_failures_only_can_be_written() -> None:
    found = evaluation(failed(clip("a", "pain", "")))
    for write_out in (report.to_markdown, report.to_json, page.to_html):
        assert "damaged" in write_out(found)


def test_a_long_list_is_cut_in_markdown() -> None:
    clips = [clip(f"{i}.wav", "pulse 54", "pulse") for i in range(150)]
    text = report.to_markdown(evaluation(*clips))
    assert "Recordings, the first 100 of 150" in text
    assert "Not right, the first 100 of 150" in text
