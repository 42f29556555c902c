"""The fields of a transcription request: read from form and query, checked, with OpenAI's names."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, QueryParams

from medasr_service.decoding import keywords
from medasr_service.errors import InvalidRequest
from medasr_service.settings import MAX_STRIDE, Settings
from medasr_service.transcriber import Options

ENGLISH = ("en", "english")
STREAMED = ("json", "verbose_json")
LISTS = ("timestamp_granularities", "include", "keywords")


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


class Parameters(BaseModel):
    """Everything but the file; ``None`` means "as the service is set"."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: Annotated[str | None, BeforeValidator(_none_if_empty)] = None
    language: Annotated[str | None, BeforeValidator(_none_if_empty)] = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: float = Field(0.0, ge=0, le=1)
    timestamp_granularities: list[Literal["word", "segment"]] = ["segment"]
    include: list[Literal["logprobs"]] = []
    stream: bool = False
    chunk_length_s: float | None = Field(None, ge=1, allow_inf_nan=False)
    stride_length_s: float | None = Field(None, ge=0, allow_inf_nan=False)
    formatting: Literal["dictation", "raw"] | None = None
    decoding: Literal["greedy", "lm"] | None = None
    keywords: list[str] = []

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
        )


def parse(form: FormData, query: QueryParams) -> Parameters:
    """Fields of the form, over those of the query. Arrays come as ``name[]``, as the SDK sends them.

    Raises InvalidRequest that names the field.
    """
    fields: dict[str, Any] = {}
    for source in (query, form):
        found: dict[str, list[str]] = {}
        for key, value in source.multi_items():
            if isinstance(value, str):
                found.setdefault(key, []).append(value)
        for key, values in found.items():
            name = key.removesuffix("[]")
            if name != "file":
                fields[name] = values if name in LISTS else values[-1]
    try:
        parameters = Parameters.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise InvalidRequest(f"{name}: {first['msg']}.", param=name) from None
    _check(parameters, fields)
    return parameters


def _check(parameters: Parameters, fields: dict[str, Any]) -> None:
    """Rules that join fields, and what this service does not do: said, not ignored."""
    if parameters.language is not None and parameters.language.lower().split("-")[0] not in ENGLISH:
        raise InvalidRequest(
            "MedASR transcribes English only: leave language out, or send 'en'.", param="language"
        )
    if parameters.stream and parameters.response_format not in STREAMED:
        raise InvalidRequest(
            f"stream=true needs a response_format of {' or '.join(STREAMED)}.", param="response_format"
        )
    if "timestamp_granularities" in fields and parameters.response_format != "verbose_json":
        raise InvalidRequest(
            "timestamp_granularities needs response_format=verbose_json.", param="timestamp_granularities"
        )
    if parameters.include and parameters.response_format != "json":
        raise InvalidRequest("include[]=logprobs needs response_format=json.", param="include")
