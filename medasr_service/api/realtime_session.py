"""The configuration of a realtime session: as a client asks for it, as it is shown, and what it means."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medasr_service.api.parameters import is_english
from medasr_service.audio import pcm
from medasr_service.audio.pcm import PCM16
from medasr_service.decoding.keywords import MAX_TERMS
from medasr_service.errors import InvalidRequest
from medasr_service.live.session import TurnDetection
from medasr_service.transcriber import Decoding

Json = dict[str, Any]
EAGERNESS_S = {"low": 2.0, "medium": 1.0, "auto": 1.0, "high": 0.5}  # the pause that ends a turn
CONTEXT = {"minimal": 1 / 3, "low": 2 / 3, "medium": 1.0, "high": 5 / 3, "xhigh": 8 / 3}  # of the settings'
KINDS = {"format": "audio/pcm", "turn_detection": "server_vad"}  # what has a type, and that of none
Included = Literal["item.input_audio_transcription.logprobs", "item.input_audio_transcription.hypothesis"]
LOGPROBS: Included = "item.input_audio_transcription.logprobs"
HYPOTHESIS: Included = "item.input_audio_transcription.hypothesis"  # ours: what is not yet sure
WITHOUT_VAD = ("gpt-realtime-whisper", "gpt-live-transcribe")  # at OpenAI; aliases here
SHOWN_CHARACTERS = 100  # of a name that a client made up


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PCM(_Model):
    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24_000, 16_000] = 24_000

    def decoder(self) -> PCM16:
        return PCM16(self.rate)


class G711(_Model):
    """Telephony: 8-bit codes at 8 kHz; OpenAI shows no rate."""

    type: Literal["audio/pcmu", "audio/pcma"]
    rate: Literal[8000] | None = Field(8000, exclude=True)

    def decoder(self) -> PCM16:
        return PCM16(8000, pcm.MU_LAW if self.type == "audio/pcmu" else pcm.A_LAW)


def _none_as_empty(value: Any) -> Any:
    return [] if value is None else value


class Transcription(_Model):
    """``prompt`` is accepted and changes nothing; ``formatting`` and ``decoding`` are ours."""

    model: str | None = None
    language: str | None = Field(None, max_length=35)
    languages: list[Annotated[str, Field(max_length=35)]] | None = Field(None, max_length=100)
    prompt: str | None = Field(None, max_length=10_000)
    keywords: Annotated[list[str], BeforeValidator(_none_as_empty), Field(max_length=10 * MAX_TERMS)] = []
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    formatting: Literal["dictation", "raw"] = "dictation"
    decoding: Decoding = "greedy"

    @property
    def context(self) -> float:
        """Times what the settings say must be heard behind a word."""
        return CONTEXT[self.delay or "medium"]

    def asked(self) -> Iterator[tuple[str, str]]:
        """The languages, each with the key that names it."""
        if self.language is not None:
            yield "language", self.language
        for i, language in enumerate(self.languages or []):
            yield f"languages.{i}", language


class _TurnEnds(_Model):
    """No session here has responses, so that these two are accepted and change nothing."""

    create_response: bool | None = Field(None, exclude=True)
    interrupt_response: bool | None = Field(None, exclude=True)


class ServerVad(_TurnEnds):
    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(500, ge=100, le=60_000)
    idle_timeout_ms: None = Field(None, exclude=True)

    def turns(self) -> TurnDetection:
        return TurnDetection(self.threshold, self.prefix_padding_ms / 1000, self.silence_duration_ms / 1000)


class SemanticVad(_TurnEnds):
    """A turn ends in a pause here too: the less eager, the longer."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"

    def turns(self) -> TurnDetection:
        return TurnDetection(silence_s=EAGERNESS_S[self.eagerness])


class Input(_Model):
    format: Annotated[PCM | G711, Field(discriminator="type")] = PCM()
    noise_reduction: None = None
    transcription: Transcription = Transcription()
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad()


class Audio(_Model):
    input: Input = Input()


class Session(_Model):
    """What ``session.update`` may say, and what ``session.updated`` shows."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    include: Annotated[list[Included], BeforeValidator(_none_as_empty)] = []

    def updated(self, change: Json, default: "Session") -> "Session":
        """What ``change`` leaves out stays as it is; what it sets to null is as in ``default``.

        Raises InvalidRequest that names the key.
        """
        try:
            session = Session.model_validate(_merged(self.model_dump(), change, default.model_dump()))
        except RecursionError:
            raise InvalidRequest("session is nested too deeply.", param="session") from None
        except ValidationError as error:
            raise refusal(error, root=("session",)) from None
        model, before = (each.audio.input.transcription.model or "" for each in (session, self))
        taken_up = model != before and model.startswith(WITHOUT_VAD)
        if taken_up and "turn_detection" not in change["audio"]["input"]:  # who takes it up, commits
            return self.updated(_merged(change, MANUAL, {}), default)
        for param, language in session.audio.input.transcription.asked():
            if language and not is_english(language):
                raise InvalidRequest(
                    "MedASR transcribes English only: leave it out, or send 'en'.",
                    param=f"{TRANSCRIPTION}.{param}",
                )
        return session


TRANSCRIPTION = "session.audio.input.transcription"
MANUAL: Json = {"audio": {"input": {"turn_detection": None}}}
NOT_DONE = {
    "session.audio.input.noise_reduction": "Noise reduction is not done here",
    "session.audio.input.turn_detection.idle_timeout_ms": "Nobody answers here, so that none times out",
}


def _merged(old: Json, change: Json, default: Json) -> Json:
    """An object is merged into an object of the same type; ``null`` for anything but turn_detection means
    its default.
    """
    out = dict(old)
    for key, value in change.items():
        if isinstance(value, dict):
            before, usual = (
                each if isinstance(each, dict) else {} for each in (old.get(key), default.get(key))
            )
            if kind := KINDS.get(key):
                value = {"type": before.get("type", kind), **value}
                before, usual = (
                    each if each.get("type") == value["type"] else {} for each in (before, usual)
                )
            out[key] = _merged(before, value, usual)
        elif value is None and key != "turn_detection" and key in default:
            out[key] = default[key]
        else:
            out[key] = value
    return out


BETA_FORMATS: Mapping[str, Json] = {
    "pcm16": {"type": "audio/pcm", "rate": 24_000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
BETA_KEYS = {
    "input_audio_format": "format",
    "input_audio_noise_reduction": "noise_reduction",
    "input_audio_transcription": "transcription",
    "turn_detection": "turn_detection",
}


def of_beta(session: Json) -> Json:
    """The session of ``transcription_session.update``, the beta's flat one, as ``session.update`` has it.

    Raises InvalidRequest that names a key which is unknown.
    """
    found: Json = {}
    for key, value in session.items():
        if key == "input_audio_format" and value is not None:
            if not isinstance(value, str) or value not in BETA_FORMATS:
                known = ", ".join(BETA_FORMATS)
                raise InvalidRequest(f"session.{key} must be one of {known}.", param=f"session.{key}")
            value = BETA_FORMATS[value]
        if key in BETA_KEYS:
            found.setdefault("audio", {"input": {}})["input"][BETA_KEYS[key]] = value
        elif key == "include":
            found[key] = value
        else:
            raise _unknown(f"session.{key[:SHOWN_CHARACTERS]}", (*BETA_KEYS, "include"))
    return found


def in_beta(param: str | None) -> str | None:
    """A key of ``session.update``, as the beta names it."""
    for key, name in BETA_KEYS.items():
        place = f"session.audio.input.{name}"
        if param and (param == place or param.startswith(f"{place}.")):
            return f"session.{key}{param[len(place) :]}"
    return param


def refusal(error: ValidationError, *, root: tuple[str, ...] = (), skip: int = 0) -> InvalidRequest:
    """The first thing that is wrong with an object that clients know as ``root``, unknown keys before others;
    ``skip``: so many parts of pydantic's path are no keys.
    """
    wrong = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")[0]
    param = ".".join(part[:SHOWN_CHARACTERS] for part in (*root, *_path(wrong["loc"][skip:])))
    if wrong["type"] == "extra_forbidden":
        return _unknown(param, KNOWN)
    if wrong["type"].startswith("union_tag"):
        known = str(wrong.get("ctx", {}).get("expected_tags", "given"))
        return InvalidRequest(f"{param}.type must be one of {known}.", param=f"{param}.type")
    if param in NOT_DONE:
        return InvalidRequest(
            f"{NOT_DONE[param]}: leave {param} out, or send null.", param=param, code="unsupported_parameter"
        )
    return InvalidRequest(f"{param or 'The event'}: {wrong['msg']}.", param=param or None)


def _path(loc: tuple[int | str, ...]) -> Iterator[str]:
    """Without the tag that pydantic puts behind what has a type."""
    for before, part in zip((None, *loc), loc, strict=False):
        if before not in KINDS:
            yield str(part)


def _unknown(param: str, known: tuple[str, ...]) -> InvalidRequest:
    key = param.rpartition(".")[2]
    if key in BETA_KEYS and known is KNOWN:
        hint = f" It is 'session.audio.input.{BETA_KEYS[key]}'."
    else:
        near = get_close_matches(key, known, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
    return InvalidRequest(f"Unknown parameter: {param!r}.{hint}", param=param, code="unknown_parameter")


_MODELS = (Session, Audio, Input, PCM, Transcription, ServerVad, SemanticVad)
KNOWN = tuple(dict.fromkeys(name for model in _MODELS for name in model.model_fields))
