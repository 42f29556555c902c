"""What of a job is written down, each as a sealed file of its place."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from medasr_service.audio.stream import AudioInfo
from medasr_service.errors import InvalidRequest, MedASRError
from medasr_service.text.transcript import Segment, Transcript, Warned
from medasr_service.transcriber import Options

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
EXACT = ConfigDict(ser_json_inf_nan="constants")  # of JSON: no number changes on the way
SEGMENTS: TypeAdapter[list[Segment]] = TypeAdapter(list[Segment], config=EXACT)


class Sealed(BaseModel):
    model_config = ConfigDict(frozen=True, **EXACT)

    def written(self) -> list[bytes]:
        return [self.model_dump_json().encode()]


class Asked(Sealed):
    """The request: ``fields`` are the form's, for who writes the answer; ``key`` is the name of its key,
    ``audit`` its line there.
    """

    options: Options
    fields: dict[str, Any]
    url: str | None = None
    webhook_url: str | None = None
    key: str | None = None
    audit: str = ""

    def meant(self) -> bytes:
        """The same for the same request that comes again."""
        return self.model_dump_json(exclude={"audit"}).encode()


class Inspected(Sealed):
    info: AudioInfo
    warned: tuple[Warned, ...]


class Heard(Sealed):
    """The result, and which model it is of."""

    transcript: Transcript
    model: str


class Ending(Sealed):
    """``outcome``: OK, or a code; ``audio_s`` were charged until then."""

    outcome: str
    audio_s: float


class Failure(Sealed):
    status: int
    type: str
    code: str | None
    message: str
    param: str | None

    @classmethod
    def of(cls, error: MedASRError) -> "Failure":
        return cls(
            status=error.status, type=error.type, code=error.code, message=error.message, param=error.param
        )

    def error(self) -> MedASRError:
        """What the request without jobs would have raised."""
        if self.status >= 500:
            return MedASRError(self.message)
        return InvalidRequest(self.message, param=self.param, status=self.status, code=self.code)


@dataclass(frozen=True, slots=True)
class Job:
    """Times in s since 1970; ``parts`` of segments can be read; ``seconds`` of ``duration`` were heard."""

    id: str
    state: str
    created: float
    started: float | None
    ended: float | None
    seconds: float
    duration: float | None
    parts: int
    place: str = field(repr=False)

    @property
    def over(self) -> bool:
        return self.state not in ("queued", "running")
