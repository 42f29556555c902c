"""What the answers are: for the documentation, and for the tests that hold real answers against it.

The answers themselves are written by text/formats.py and api/refusals.py; nothing is built from these.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Probability = Annotated[
    float, Field(ge=0, le=1, description="Ours: how surely the least certain piece was heard")
]
Seconds = Annotated[float, Field(ge=0, description="From the start of the recording")]


class Usage(BaseModel):
    type: Literal["duration"]
    seconds: float


class Warned(BaseModel):
    """Ours: something that whoever reads the transcript should know."""

    code: str = Field(description="For programs", examples=["keywords_not_writable"])
    message: str = Field(description="For people")


class Logprob(BaseModel):
    token: str = Field(description="Joined, the tokens are the raw text")
    logprob: float = Field(description="Natural logarithm", le=0)
    bytes: list[int] = Field(description="The token in UTF-8")


class Unclear(BaseModel):
    """Ours: what the model left to be filled in, and where it is heard."""

    kind: Literal["doubt", "placeholder"]
    text: str
    start: Seconds
    end: Seconds


class Reading(BaseModel):
    """Ours: what else the model considered for a word."""

    text: str
    probability: float = Field(ge=0, le=1, description="Its share of all that was considered")


class Part(BaseModel):
    """One of the model's own words."""

    raw: str = Field(description="As the model wrote it", examples=["{period}"])
    written: str = Field(description="Its share of the text, with the white space before it", examples=["."])
    start: Seconds
    end: Seconds
    probability: Probability
    unclear: Literal["doubt", "placeholder"] | None = Field(None, description="Where it must be filled in")
    alternatives: list[Reading] | None = Field(None, description="With `alternatives`, where there are any")


class Word(Part):
    word: str = Field(description="As the text shows it, with the marks that touch it", examples=["daily."])
    parts: list[Part] | None = Field(
        None, description="Where several of the model's words make one of the text"
    )


class Segment(BaseModel):
    """From one pause or end of a sentence to the next."""

    id: int
    seek: int
    start: Seconds
    end: Seconds
    text: str = Field(description="With the white space before it: joined, the texts are the text")
    raw_text: str = Field(description="Ours: as the model wrote it")
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class Transcription(BaseModel):
    """response_format=json"""

    text: str
    logprobs: list[Logprob] | None = Field(None, description="With include[]=logprobs")
    usage: Usage
    warnings: list[Warned] | None = Field(None, description="Where there are any")


class Lost(BaseModel):
    """Ours: a part of the recording that could not be read."""

    start: Seconds
    seconds: float = Field(ge=0, description="0 where nobody knows")
    text: str = Field(description="As the texts for people have it", examples=["[2.1 s could not be read]"])


class VerboseTranscription(BaseModel):
    """response_format=verbose_json"""

    task: Literal["transcribe"]
    language: Literal["english"]
    duration: float
    text: str
    raw_text: str = Field(description="Ours: letter by letter as the model wrote it")
    gain: float = Field(description="Ours: how much a quiet recording was amplified for the model")
    segments: list[Segment] | None = Field(description="Null with timestamp_granularities[]=word alone")
    unclear: list[Unclear]
    words: list[Word] | None = Field(None, description="With timestamp_granularities[]=word")
    usage: Usage
    warnings: list[Warned] | None = Field(None, description="Where there are any")
    lost: list[Lost] | None = Field(None, description="With damaged=skip: what could not be read")
    model: str | None = Field(None, description="Ours: the name of the model that heard it")
    demo: bool | None = Field(None, description="Ours: with the demo model")
    notice: str | None = Field(None, description="Ours: what must be known of the demo model")


class Error(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    error: Error


class Model(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    revision: str = Field(description="Ours: the revision of the checkpoint")
    alias_of: str | None = Field(None, description="Ours: the real name, where this is another one")
    demo: bool | None = None
    notice: str | None = None


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[Model]


class Health(BaseModel):
    status: Literal["healthy", "starting", "draining"]
    version: str
    model: str | None = None
    type: str | None = None
    revision: str | None = None
    engine: str | None = None
    decodings: list[Literal["greedy", "lm"]] | None = None
    low_confidence: Probability | None = Field(None, description="Words less probable are doubtful")
    jobs: bool | None = None
    docs: bool | None = Field(None, description="Whether they are shown without a key")
    demo: bool | None = None
    notice: str | None = None
