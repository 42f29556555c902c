"""The fields of a request as clients really write them: every spelling, and what an empty one means."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import FormData, QueryParams

from medasr_service.api.parameters import Parameters, is_english, parse
from medasr_service.errors import InvalidRequest
from tests.conftest import CLIPS

ROUTE = "/v1/audio/transcriptions"
GOOD = min((clip.path for clip in CLIPS), key=lambda path: path.stat().st_size).read_bytes()
Pairs = Sequence[tuple[str, str]]


def fields(*pairs: tuple[str, str], query: Pairs = ()) -> Parameters:
    return parse(FormData(list(pairs)), QueryParams(list(query)))


@pytest.mark.parametrize("name", Parameters.model_fields)
@pytest.mark.parametrize("empty", ["", " ", "\n"])
@pytest.mark.parametrize("suffix", ["", "[]"])
def test_an_empty_field_counts_as_absent(name: str, empty: str, suffix: str) -> None:
    assert fields((name + suffix, empty)) == Parameters()


@pytest.mark.parametrize("name", ["known_speaker_names[]", "known_speaker_references", "no_such_field"])
def test_an_empty_field_that_is_not_served_counts_as_absent(name: str) -> None:
    assert fields((name, "")) == Parameters()


def test_an_empty_field_of_the_form_leaves_that_of_the_query() -> None:
    assert fields(("response_format", ""), query=[("response_format", "srt")]).response_format == "srt"
    assert fields(("response_format", "vtt"), query=[("response_format", "srt")]).response_format == "vtt"


def test_a_field_that_is_sent_twice_is_the_last_that_says_something() -> None:
    assert fields(("decoding", "lm"), ("decoding", "greedy"), ("decoding", "")).decoding == "greedy"


@pytest.mark.parametrize("language", ["en", "EN", "en-GB", "en_US", "eng", "English", "en_US.UTF-8", " en\n"])
def test_english_has_many_spellings(language: str) -> None:
    assert is_english(language)
    assert fields(("language", language), ("languages[]", language)).language == language.strip()


@pytest.mark.parametrize("language", ["auto", "Detect", "auto-detect"])
def test_a_language_that_is_left_to_the_service_is_english(language: str) -> None:
    assert is_english(language)


@pytest.mark.parametrize("language", ["de", "enm", "entish", "x-en", "german", "de-en", "e", "-", "englisch"])
@pytest.mark.parametrize("name", ["language", "languages", "languages[]"])
def test_what_is_not_english_is_refused_by_its_field(name: str, language: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fields((name, language))
    assert caught.value.param == name.removesuffix("[]")


GRANULARITIES: dict[str, Pairs] = {
    "as the SDK": [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
    "without brackets": [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
    "numbered": [("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")],
    "with a comma": [("timestamp_granularities", "word, segment")],
    "as JSON": [("timestamp_granularities", '["word", "segment"]')],
    "as JSON in brackets": [("timestamp_granularities[]", '["word","segment"]')],
    "mixed": [("timestamp_granularities[]", "word,"), ("timestamp_granularities", '["segment"]')],
}


@pytest.mark.parametrize("spelling", GRANULARITIES)
@pytest.mark.parametrize("in_query", [False, True])
def test_granularities_are_understood_in_every_spelling(spelling: str, in_query: bool) -> None:
    pairs, verbose = GRANULARITIES[spelling], ("response_format", "verbose_json")
    found = fields(verbose, query=pairs) if in_query else fields(verbose, *pairs)
    assert found.timestamp_granularities == ["word", "segment"]


@pytest.mark.parametrize("response_format", ["json", "text", "srt", "vtt", "verbose_json"])
def test_segments_may_be_asked_for_with_every_format(response_format: str) -> None:
    found = fields(("response_format", response_format), ("timestamp_granularities[]", "segment"))
    assert found.timestamp_granularities == ["segment"]


@pytest.mark.parametrize(
    "pairs",
    [
        [("keywords[]", "Xarelto, 10 mg"), ("keywords[]", "[PLAN]")],
        [("keywords", '["Xarelto, 10 mg", "[PLAN]"]')],
        [("keywords[0]", "Xarelto, 10 mg"), ("keywords[1]", "[PLAN]")],
    ],
)
def test_a_keyword_may_hold_a_comma_or_a_bracket(pairs: Pairs) -> None:
    assert fields(*pairs).keywords == ["Xarelto, 10 mg", "[PLAN]"]


@pytest.mark.parametrize(
    "pairs",
    [
        [("chunking_strategy", "auto")],
        [("chunking_strategy", '{"type": "server_vad", "silence_duration_ms": 200}')],
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.4")],
    ],
)
def test_known_chunking_strategies_are_taken(pairs: Pairs) -> None:
    assert fields(*pairs).chunking_strategy is not None


def test_a_name_of_a_field_may_be_anything() -> None:
    odd = [("[]", "x"), ("a[b][c]", "x"), ("", "x"), ("stream[x", "x"), ("\x00", "x"), ("keywords[a b]", "x")]
    assert fields(*odd) == Parameters()


@pytest.fixture(scope="module")
def aliased(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client(model_aliases=["whisper-1", "gpt-4o-transcribe"])


def send(client: TestClient, **data: Any) -> Any:
    return client.post(ROUTE, files={"file": ("a.flac", GOOD)}, data=data)


def test_an_alias_is_served_and_the_answer_says_the_real_name(aliased: TestClient) -> None:
    for name in ("whisper-1", "gpt-4o-transcribe", "medasr-demo"):
        answer = send(aliased, model=name, response_format="verbose_json")
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "medasr-demo"
    assert aliased.get("/health").json()["model"] == "medasr-demo"


def test_what_is_no_alias_is_refused_with_the_real_name(aliased: TestClient, client: TestClient) -> None:
    for answer in (send(aliased, model="whisper-2"), send(client, model="whisper-1")):
        assert answer.status_code == 400
        assert "'medasr-demo' is" in answer.json()["error"]["message"]


def test_the_list_of_models_says_what_an_alias_stands_for(aliased: TestClient, client: TestClient) -> None:
    own, *others = aliased.get("/v1/models").json()["data"]
    assert own["id"] == "medasr-demo"
    assert "alias_of" not in own
    assert [(each["id"], each["alias_of"]) for each in others] == [
        ("whisper-1", "medasr-demo"),
        ("gpt-4o-transcribe", "medasr-demo"),
    ]
    assert all({"object", "created", "owned_by", "notice"} <= set(each) for each in others)
    assert aliased.get("/v1/models/whisper-1").json() == others[0]
    assert aliased.get("/v1/models/medasr-demo").json() == own
    assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["medasr-demo"]
    assert client.get("/v1/models/whisper-1").status_code == 404


@pytest.mark.parametrize("query", ["model=whisper-1", ""])
def test_a_live_session_takes_an_alias(aliased: TestClient, query: str) -> None:
    with aliased.websocket_connect(f"/v1/realtime?intent=transcription&{query}") as socket:
        shown = socket.receive_json()["session"]
        assert shown["audio"]["input"]["transcription"]["model"] == "medasr-demo"
        socket.send_json(
            {
                "type": "session.update",
                "session": {
                    "type": "transcription",
                    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
                },
            }
        )
        updated = socket.receive_json()
        assert updated["type"] == "session.updated"
        assert updated["session"]["audio"]["input"]["transcription"]["model"] == "medasr-demo"
