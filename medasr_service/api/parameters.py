"""The fields of a transcription request: read from form and query, checked, with OpenAI's names."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import from_json
from starlette.datastructures import FormData, QueryParams

from medasr_service.decoding import keywords
from medasr_service.errors import InvalidRequest
from medasr_service.settings import MAX_STRIDE, Settings
from medasr_service.transcriber import Options

ENGLISH = ("en", "eng", "english")
UNSAID = ("auto", "detect")  # what clients send where their user has chosen no language
STREAMED = ("json", "verbose_json")
CHOICES = ("timestamp_granularities", "include", "languages")  # lists of words without commas
LISTS = (*CHOICES, "keywords")
SPEAKERS = ("known_speaker_names", "known_speaker_references")
_NAME = re.compile(r"(\w+)(?:\[(\w*)\])?")  # stream, include[], include[0], chunking_strategy[type]


def is_english(language: str) -> bool:
    """Whether a language is English, in any spelling: en, eng, English, en-GB, en_US.UTF-8; or left open."""
    return re.split(r"[-_.@]", language.strip().lower())[0] in (*ENGLISH, *UNSAID)


def _opened(value: Any) -> Any:
    """A string that is JSON, as what it says; the SDK sends an object field by field."""
    try:
        return from_json(value) if isinstance(value, str) and value.startswith(("{", "[")) else value
    except ValueError:
        return value


class ServerVad(BaseModel):
    """OpenAI's ways to tune where it cuts; cuts are at pauses here whatever they say."""

    type: Literal["server_vad"]
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 200
    threshold: float = 0.5


ChunkingStrategy = Annotated[
    Literal["auto"] | ServerVad,
    BeforeValidator(_opened),
    WithJsonSchema({"type": "string", "examples": ["auto", '{"type": "server_vad"}']}),
]


class Parameters(BaseModel):
    """Everything but the file; ``None`` means "as the service is set". Swagger UI sends the examples."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str | None = Field(None, description="One that /v1/models lists; may be left out.", examples=[""])
    language: str | None = Field(None, description="English in any spelling, or `auto`.", examples=["en"])
    languages: list[str] = Field([], description="As `language`.", examples=[["en"]])
    prompt: str | None = Field(
        None, description="Accepted, and changes nothing: the model has none.", examples=[""]
    )
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = Field(
        "json", description="verbose_json has segments and words with their times."
    )
    temperature: float = Field(0.0, ge=0, le=1, description="Accepted, and changes nothing.")
    timestamp_granularities: list[Literal["word", "segment"]] = Field(
        ["segment"], description="`word` needs verbose_json; alone, there are no segments."
    )
    include: list[Literal["logprobs"]] = Field([], description="`logprobs` needs json.")
    stream: bool = Field(False, description="Server-sent events, for json and verbose_json.")
    chunking_strategy: ChunkingStrategy | None = Field(
        None, description="`auto` or server_vad; windows end at pauses here whatever it says."
    )
    chunk_length_s: float | None = Field(
        None, ge=1, allow_inf_nan=False, description="Ours: length of a window in seconds.", examples=[20]
    )
    stride_length_s: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Ours: context on each side of a window.", examples=[2]
    )
    formatting: Literal["dictation", "raw"] | None = Field(
        None, description="Ours: a report, or letter by letter as the model wrote it."
    )
    decoding: Literal["greedy", "lm"] | None = Field(
        None, description="Ours: `lm` searches with the language model, where there is one."
    )
    keywords: list[str] = Field(
        [], description="Terms to favour, such as names of drugs; 500 of 64 characters at most."
    )
    alternatives: int = Field(
        0, ge=0, le=5, description="Ours: of clips, what else the model considered; with `word` times."
    )
    damaged: Literal["refuse", "skip"] = Field(
        "refuse",
        description="Ours: `skip` hears what can be heard of a damaged recording, and says what is missing.",
    )

    def options(self, settings: Settings) -> Options:
        """Raises InvalidRequest where the window does not fit."""
        default = Options.defaults(settings)
        chunk_s = default.chunk_length_s if self.chunk_length_s is None else self.chunk_length_s
        stride_s = default.stride_length_s if self.stride_length_s is None else self.stride_length_s
        if chunk_s > settings.max_chunk_length_s:
            raise InvalidRequest(
                f"chunk_length_s is {chunk_s:g}; the limit is {settings.max_chunk_length_s:g}.",
                param="chunk_length_s",
            )
        if stride_s > MAX_STRIDE * chunk_s:
            raise InvalidRequest(
                f"stride_length_s is {stride_s:g}; the limit is {MAX_STRIDE} of chunk_length_s, {chunk_s:g}.",
                param="stride_length_s",
            )
        return Options(
            chunk_s,
            stride_s,
            self.formatting or default.formatting,
            self.decoding or default.decoding,
            keywords.clean(self.keywords),
            self.damaged,
            self.alternatives,
        )


def parse(form: FormData, query: QueryParams) -> Parameters:
    """Fields of the form, over those of the query; an empty one counts as absent.

    A list may come as ``name[]``, as the SDK sends it, ``name``, ``name[0]``, as one JSON array, and, where
    its members hold no commas, parted by them. Raises InvalidRequest that names the field.
    """
    return _checked({**_fields(query), **_fields(form)})


def parse_json(body: dict[str, Any]) -> Parameters:
    """The same fields where they come as JSON."""
    return _checked({name: value for name, value in body.items() if value is not None})


def asked_again(first: dict[str, Any], query: QueryParams) -> Parameters:
    """The fields of a job with what its result is asked for in: what belongs to another format goes."""
    now = _fields(query)
    if now.get("response_format", first.get("response_format")) != first.get("response_format"):
        first = {k: v for k, v in first.items() if k not in ("timestamp_granularities", "include")}
    return _checked({**first, **now})


def _checked(fields: dict[str, Any]) -> Parameters:
    _check_known(fields)
    try:
        parameters = Parameters.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise InvalidRequest(f"{name}: {_SAYS.get(name, first['msg'])}.", param=name) from None
    _check(parameters, fields)
    return parameters


_SAYS = {"chunking_strategy": "It should be auto, or an object of type server_vad with numbers"}


def _fields(source: FormData | QueryParams) -> dict[str, Any]:
    """The fields that say something, by name: lists, objects, or the last value that was sent."""
    fields: dict[str, Any] = {}
    for key, value in source.multi_items():
        match = _NAME.fullmatch(key)
        if not isinstance(value, str) or not match or not value.strip():
            continue
        name, member = match.groups()
        if name in LISTS:
            fields.setdefault(name, []).extend(_members(name, value))
        elif member:
            before = fields.get(name)
            fields[name] = {**(before if isinstance(before, dict) else {}), member: value.strip()}
        else:
            fields[name] = value.strip()
    return {name: value for name, value in fields.items() if value != []}


def _members(name: str, value: str) -> Iterator[str]:
    """The members of a list that one field brings."""
    opened = _opened(value.strip())
    if isinstance(opened, list) and all(isinstance(each, str) for each in opened):
        values = opened
    else:
        values = value.split(",") if name in CHOICES else [value]
    yield from (each.strip() for each in values if each.strip())


def _check_known(fields: dict[str, Any]) -> None:
    """What OpenAI's newest requests may ask and this service does not do: said, not ignored."""
    for name in SPEAKERS:
        if name in fields:
            raise InvalidRequest(f"Speakers are not told apart here: leave {name} out.", param=name)
    if fields.get("response_format") == "diarized_json":
        raise InvalidRequest(
            "Speakers are not told apart here: response_format cannot be diarized_json.",
            param="response_format",
        )


def _check(parameters: Parameters, fields: dict[str, Any]) -> None:
    """Rules that join fields."""
    for name, languages in (("language", [parameters.language or "en"]), ("languages", parameters.languages)):
        if not all(map(is_english, languages)):
            raise InvalidRequest(
                f"MedASR transcribes English only: leave {name} out, or send 'en'.", param=name
            )
    if parameters.stream and parameters.response_format not in STREAMED:
        raise InvalidRequest(
            f"stream=true needs a response_format of {' or '.join(STREAMED)}.", param="response_format"
        )
    granularities = parameters.timestamp_granularities
    if "word" in granularities and parameters.response_format != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities[]=word needs response_format=verbose_json.",
            param="timestamp_granularities",
        )
    if parameters.alternatives and "word" not in granularities:
        raise InvalidRequest("alternatives need timestamp_granularities[]=word.", param="alternatives")
    if parameters.include and parameters.response_format != "json":
        raise InvalidRequest("include[]=logprobs needs response_format=json.", param="include")
