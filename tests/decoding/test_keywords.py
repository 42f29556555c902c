"""Keywords: found where the sound nearly says them, nowhere else, and never too many of them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from medasr_service import cli
from medasr_service.decoding import ctc, language_model
from medasr_service.decoding.beam import BeamDecoder, Weights
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.errors import InvalidRequest, ModelUnavailable
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission
from medasr_service.settings import Settings
from medasr_service.text.transcript import Token
from tests.conftest import CLIPS, SAMPLE, SAMPLE_TEXT, said_by

PIECES = ("<epsilon>", "<s>", "</s>", "<unk>", "▁se", "▁te", "▁t", "en", "n", "l", "ll", "is", "▁5", "▁")
BLANK, SE, TE, T, EN, N, L, LL, IS, FIVE, START = 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
VOCABULARY = Vocabulary(PIECES, BLANK, frozenset({0, 1, 2}))
WEIGHTS = Weights(16, 16, 50.0, lm_weight=0.0, word_score=0.0, keyword_score=1.0)
DECODER = BeamDecoder(VOCABULARY, None, WEIGHTS)


def emission(*frames: Mapping[int, float]) -> Emission:
    posteriors = np.full((len(frames), len(PIECES)), 1e-9)
    for row, frame in zip(posteriors, frames, strict=True):
        for i, probability in frame.items():
            row[i] = probability
    logs: Emission = np.log(posteriors).astype(np.float32)
    return logs


def decode(heard: Emission, *keywords: str) -> list[Token]:
    return DECODER.search(use_lm=False, keywords=keywords).push(heard, final=True)


def text(tokens: Sequence[Token]) -> str:
    return "".join(token.piece for token in tokens)


# "seen", and nearly "ten"
SEEN = emission(
    {BLANK: 1}, {SE: 0.8, TE: 0.2}, {BLANK: 0.9, EN: 0.1}, {EN: 0.6, N: 0.4}, {BLANK: 1}, {FIVE: 1}
)


def test_without_keywords_the_text_is_that_of_greedy_decoding() -> None:
    assert decode(SEEN) == ctc.greedy(SEEN, VOCABULARY)
    assert text(decode(SEEN)) == "▁seen▁5"


def test_a_term_comes_in_where_the_sound_nearly_says_it() -> None:
    found = decode(SEEN, "ten")
    assert text(found) == "▁ten▁5"
    assert [(token.start_frame, token.end_frame) for token in found] == [(1, 2), (3, 4), (5, 6)]
    assert found[0].logprob == pytest.approx(np.log(0.2), abs=1e-5)  # the doubt stays visible


@pytest.mark.parametrize(
    ("likely", "found"), [(0.06, True), (0.04, False)], ids=["within its score", "beyond its score"]
)
def test_a_term_may_cost_as_much_as_its_letters_earn(likely: float, found: bool) -> None:
    """Three letters earn three; exp(-3) is 0.0498."""
    heard = emission({SE: 0.9, TE: 0.9 * likely}, {N: 1}, {BLANK: 1})
    assert text(decode(heard, "ten")) == ("▁ten" if found else "▁sen")


def test_a_term_is_found_however_it_is_spelled_in_pieces() -> None:
    for spelled in ([TE, N], [T, EN], [T, BLANK, EN], [TE, BLANK, N]):
        heard = emission(
            {START: 1}, *({i: 0.4, IS: 0.6} if i != BLANK else {BLANK: 1} for i in spelled), {BLANK: 1}
        )
        assert "▁ten" in text(decode(heard, "ten"))


def test_a_doubled_letter_needs_its_blank() -> None:
    heard = emission({TE: 1}, {L: 0.5, IS: 0.5}, {L: 0.5, IS: 0.5}, {BLANK: 1})
    assert text(decode(heard, "tell")) in {"▁tel", "▁teis"}  # the two frames are one l
    heard = emission({TE: 1}, {L: 0.4, IS: 0.6}, {BLANK: 0.9, LL: 0.1}, {L: 0.4, IS: 0.6}, {BLANK: 1})
    assert text(decode(heard, "tell")) == "▁tell"


def test_a_term_is_a_whole_word() -> None:
    heard = emission({SE: 0.6, TE: 0.4}, {BLANK: 1}, {N: 1}, {BLANK: 1}, {IS: 1}, {BLANK: 1})
    assert text(decode(heard, "ten")) == "▁senis"
    assert text(decode(heard, "tenis")) == "▁tenis"


def test_a_number_never_makes_room_for_a_term() -> None:
    heard = emission({FIVE: 0.5, TE: 0.5 - 1e-6}, {BLANK: 0.5, N: 0.5}, {BLANK: 1})
    assert text(decode(heard, "ten")) == "▁5"


def test_a_term_does_not_replace_a_piece_that_is_surely_heard() -> None:
    """The letters would pay for it: ln(0.98 / 0.02) is 3.9."""
    decoder = BeamDecoder(VOCABULARY, None, replace(WEIGHTS, sure_posterior=0.95))
    for said, found in ((0.98, "▁seenlis"), (0.94, "▁tenllis")):
        frames = (
            {SE: said, T: 1 - said},
            {BLANK: 1},
            {EN: 1},
            {BLANK: 1},
            {LL: 0.4, L: 0.6},
            {IS: 1},
            {BLANK: 1},
        )
        assert text(decoder.search(keywords=["tenllis"]).push(emission(*frames), final=True)) == found


def test_terms_of_several_words_and_several_times() -> None:
    ten = [{SE: 0.6, TE: 0.4}, {BLANK: 1.0}, {N: 1.0}, {BLANK: 1.0}]
    assert text(decode(emission(*ten, *ten), "ten  ten")) == "▁ten▁ten"
    assert text(decode(emission(*ten, {SE: 1}, {BLANK: 1}, *ten), "ten")) == "▁ten▁se▁ten"


def test_no_piece_beside_a_term_is_lost() -> None:
    heard = emission({N: 1}, {N: 0.2, SE: 0.8}, {TE: 0.5, SE: 0.5}, {N: 0.9}, {N: 0.9}, {BLANK: 1})
    assert text(decode(heard, "ten")).count("n") == text(decode(heard)).count("n")


def test_two_terms_side_by_side_that_would_be_one_do_not_swallow_a_word() -> None:
    heard = emission({BLANK: 1}, {TE: 0.6, SE: 0.4}, {T: 0.6, SE: 0.4}, {BLANK: 1})
    assert text(decode(heard)) == "▁te▁t"
    assert text(decode(heard, "se")) in {"▁se▁t", "▁te▁se"}


def test_limits_and_what_cannot_be_written(client: TestClient) -> None:
    files = {"file": ("a.wav", CLIPS[0].path.read_bytes())}
    cases = {
        "There are 501 keywords; the limit is 500.": [f"term{'x' * (i % 40)}{i}" for i in range(501)],
        "A keyword has 65 characters; the limit is 64.": ["x" * 65],
        "keywords: the model cannot write 'Жук', 'Ы' (it has no Ж у к Ы).": ["Жук", "Жук", "Ы"],
        "keywords: the model cannot write 'Ж0', 'Ж1', 'Ж2', 'Ж3', 'Ж4' and 95 more (it has no Ж).": [
            f"Ж{i}" for i in range(100)
        ],
    }
    for message, terms in cases.items():
        answer = client.post("/v1/audio/transcriptions", files=files, data={"keywords[]": terms})
        assert answer.status_code == 400, message
        assert answer.json()["error"]["message"] == message
        assert answer.json()["error"]["param"] == "keywords"


@pytest.mark.parametrize("fields", [{}, {"response_format": "verbose_json"}, {"stream": "true"}])
def test_terms_that_cannot_be_written_are_named_and_spoil_no_other(
    client: TestClient, fields: dict[str, str]
) -> None:
    files = {"file": ("a.wav", CLIPS[0].path.read_bytes())}
    odd = [f"Жук{i}" for i in range(20)]
    data = {"keywords[]": ["bisoprolol", *odd, "Kowalski"], **fields}
    answer = client.post("/v1/audio/transcriptions", files=files, data=data)
    assert answer.status_code == 200, answer.text
    body = answer.json() if "stream" not in fields else json.loads(answer.text.split("data: ")[-1])
    [warned] = body["warnings"]
    assert warned["code"] == "keywords_not_writable"
    assert all(repr(term) in warned["message"] for term in odd)
    assert "bisoprolol" not in warned["message"]
    plain = client.post("/v1/audio/transcriptions", files=files, data=fields).text
    assert "warnings" not in plain


def test_what_the_settings_cannot_write_is_in_the_log_and_in_no_answer(
    make_client: Callable[..., TestClient], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model.log, "propagate", True)
    with caplog.at_level("WARNING"):
        client = make_client(keywords=["bisoprolol", "Жук"])
    assert said_by("bentoml.medasr", caplog)[-1:] == [
        "setting keywords: The model cannot write these keywords: 'Жук' (it has no Ж у к)."
    ]
    files = {"file": ("a.wav", CLIPS[0].path.read_bytes())}
    for terms in ([], ["Kowalski"], ["Kowalski", "Ы"]):
        answer = client.post("/v1/audio/transcriptions", files=files, data={"keywords[]": terms})
        assert answer.status_code == 200
        assert "Жук" not in answer.text
    refused = client.post("/v1/audio/transcriptions", files=files, data={"keywords[]": ["Ы"]})
    assert refused.status_code == 400  # of what was asked, nothing is left


def test_a_request_may_bring_its_terms(client: TestClient) -> None:
    files = {"file": ("a.wav", SAMPLE.read_bytes())}
    data = {
        "keywords[]": [f"Kowalski{chr(97 + i % 26) * (i // 26)}" for i in range(500)],
        "formatting": "raw",
    }
    answer = client.post("/v1/audio/transcriptions", files=files, data=data)
    assert answer.json()["text"] == SAMPLE_TEXT  # nobody says them


def test_the_settings_and_a_file_bring_terms_to_every_request(
    demo: Checkpoint, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    file = tmp_path / "names.txt"
    file.write_text("\ufeffKowalski\n\n Marchetti \nKowalski\n")  # some editors begin a file with a mark
    settings = Settings(keywords=["bisoprolol"], keywords_file=file, lm="off")
    decoder = language_model.load(demo, vocabulary, settings)
    assert decoder
    assert decoder.keywords == ("bisoprolol", "Kowalski", "Marchetti")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "the keywords file .* cannot be read"),
        ("Жук", r"setting keywords: the model cannot write 'Жук' \(it has no Ж у к\)"),
        ("x" * 65, "setting keywords: A keyword has 65 characters"),
    ],
)
def test_wrong_terms_in_the_settings_are_one_line(
    demo: Checkpoint, vocabulary: Vocabulary, tmp_path: Path, content: str | None, line: str
) -> None:
    file = tmp_path / "names.txt"
    if content:
        file.write_text(content)
    with pytest.raises(ModelUnavailable, match=line) as caught:
        language_model.load(demo, vocabulary, Settings(keywords_file=file))
    assert "\n" not in caught.value.message


def test_the_command_line_takes_terms(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("Marchetti\n")
    arguments = ["transcribe", str(SAMPLE), "--formatting", "raw", "--keyword", "Kowalski"]
    assert cli.main([*arguments, "--keywords-file", str(file)]) == cli.EXIT_OK
    assert capsys.readouterr().out == SAMPLE_TEXT + "\n"
    assert cli.main([*arguments, "--keyword", "x" * 65]) == cli.EXIT_USAGE
    assert "the limit is 64" in capsys.readouterr().err
    file.write_text("".join(f"term{chr(97 + i % 26) * (1 + i // 26)}\n" for i in range(501)))
    assert cli.main([*arguments[:2], "other.wav", "--keywords-file", str(file)]) == cli.EXIT_USAGE
    assert capsys.readouterr().err.count("There are 501 keywords; the limit is 500.") == 1
    assert cli.main([*arguments, "--keywords-file", str(tmp_path / "absent")]) != cli.EXIT_OK
    assert "cannot be read" in capsys.readouterr().err


def test_an_empty_list_changes_nothing(make_client: Callable[..., TestClient]) -> None:
    with pytest.raises(InvalidRequest):
        DECODER.search(keywords=["\x00"])
    assert not DECODER.search(keywords=["", "  "])._keywords
