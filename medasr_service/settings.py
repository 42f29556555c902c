"""Settings: MEDASR_* in the environment, over config/inference.yaml, over the defaults here."""

import json
import os
import platform
import re
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from yaml import YAMLError

from medasr_service.errors import InvalidRequest

try:  # config/ stands at the root of the repository, and is installed as a part of the package
    from medasr_service.config import models  # type: ignore[import-not-found]
except ModuleNotFoundError:  # the sources alone, as a Bento has them
    from config import models

PORTS: dict[str, int] = models.PORTS
CONFIG_FILE = Path(models.__file__).with_name("inference.yaml")
DEMO_MODEL = "demo"
SET_UP_VARIABLES = {  # read elsewhere
    *("MEDASR_CONFIG", "MEDASR_TORCH", "MEDASR_TORCH_INDEX", "MEDASR_URL", "MEDASR_KEY"),
}
# bf16: its kernels are ARM's; what its CPU can do is asked where the model is loaded
ARM64_LINUX = sys.platform == "linux" and platform.machine() == "aarch64"
ONNX_PRECISIONS = ("fp32", "int8", "bf16") if ARM64_LINUX else ("fp32", "int8")
MAX_STRIDE = 0.4  # of a window: at most five times the work of windows that do not overlap

MIN_KEY_LENGTH = 16
KEY = re.compile(rf"[!-~]{{{MIN_KEY_LENGTH},}}")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}")


ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^\s/,]*")


def _split(values: str) -> list[str]:
    return [value.strip() for value in values.split(",") if value.strip()]


class Settings(BaseSettings):
    """Validated once and frozen; config/inference.yaml has a comment for each."""

    model_config = SettingsConfigDict(
        env_prefix="MEDASR_", env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    model: str = Field(DEMO_MODEL, min_length=1)
    revision: str | None = None
    model_aliases: Annotated[list[str], NoDecode] = []
    engine: Literal["auto", "onnx", "torch"] = "auto"
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    cache_dir: Path = Path("~/.cache/medasr-service")
    workers: int | None = Field(None, ge=1, le=256)
    threads: int | None = Field(None, ge=1)
    host: str = "127.0.0.1"
    port: int | None = Field(None, ge=1, le=65535)
    api_keys: SecretStr | None = None
    api_keys_file: Path | None = None
    usage_file: Path | None = None
    audit: Path | None = None
    audit_required: bool = False
    log_format: Literal["text", "json"] = "text"
    public_metrics: bool = False
    public_docs: bool = False
    allow_origins: str | None = None
    allow_hosts: str | None = None
    windows: Literal["pauses", "fixed"] = "pauses"
    chunk_length_s: float = Field(20.0, ge=1)
    stride_length_s: float = Field(2.0, ge=0)
    max_chunk_length_s: float = Field(30.0, ge=1, le=400)
    chunks_in_flight: int = Field(2, ge=1)
    max_batch_size: int = Field(16, ge=1)
    formatting: Literal["dictation", "raw"] = "dictation"
    low_confidence: float = Field(0.7, ge=0, le=1)
    decoding: Literal["greedy", "lm"] = "greedy"
    lm: str = Field("auto", min_length=1)
    lm_weight: float | None = Field(None, ge=0, le=10)
    word_score: float | None = Field(None, ge=-10, le=10)
    lm_numbers: bool = False
    sure_posterior: float = Field(0.95, gt=0.5, le=1)
    beam_size: int | None = Field(None, ge=1, le=1000)
    beam_size_token: int = Field(16, ge=1)
    beam_threshold: float = Field(12.0, gt=0, le=1000)
    keywords: Annotated[list[str], NoDecode] = []
    keywords_file: Path | None = None
    keyword_score: float = Field(1.0, ge=0, le=10)
    normalize: bool = True
    max_gain: float = Field(30.0, ge=1)
    max_upload_mb: int = Field(512, ge=1)
    upload_idle_timeout_s: float = Field(30.0, gt=0, allow_inf_nan=False)
    upload_min_kb_per_s: float = Field(4.0, ge=0, allow_inf_nan=False)
    max_duration_s: float = Field(10_800.0, gt=0)
    max_channels: int = Field(8, ge=1)
    spool_mb: int = Field(16, ge=0)
    spool_memory_mb: int | None = Field(None, ge=0)
    spool_dir: Path | None = None
    max_concurrent_requests: int = Field(64, ge=1)
    client_share: float = Field(0.75, gt=0, le=1)
    max_connections: int = Field(1024, ge=1)
    header_timeout_s: float = Field(10.0, gt=0, allow_inf_nan=False)
    request_timeout_s: int = Field(7200, ge=1)
    model_timeout_s: float = Field(5.0, ge=1, allow_inf_nan=False)
    drain_timeout_s: float = Field(600.0, gt=0, allow_inf_nan=False)
    send_timeout_s: float = Field(30.0, gt=0)
    verify_min_token_agreement: float = Field(99.8, ge=0, le=100)
    verify_max_wer: float = Field(0.5, ge=0)
    verify_max_wer_increase: float = 0.1
    verify_max_critical: int = Field(0, ge=0)
    jobs: bool = False
    jobs_dir: str | None = None
    jobs_key: SecretStr | None = None
    jobs_key_file: Path | None = None
    jobs_database_url: SecretStr | None = None
    jobs_ttl_h: float = Field(24.0, gt=0, allow_inf_nan=False)
    jobs_at_once: int = Field(2, ge=1, le=64)
    max_jobs: int = Field(1000, ge=1)
    job_url_hosts: Annotated[list[str], NoDecode] = []
    job_webhook_hosts: Annotated[list[str], NoDecode] = []
    job_webhook_secret: SecretStr | None = None
    live_step_s: float = Field(0.4, ge=0.1, le=2)
    live_context_s: float = Field(0.6, ge=0.2, le=2)
    live_left_context_s: float = Field(3.0, ge=1, le=4)
    live_window_s: float = Field(8.0, ge=4, le=9)
    live_buffer_s: float = Field(30.0, ge=1)
    live_message_mb: float = Field(15.0, gt=0, le=16)
    live_idle_timeout_s: float = Field(300.0, gt=0)
    max_live_streams: int = Field(16, ge=1)
    max_live_duration_s: float = Field(3600.0, gt=0)

    @field_validator(
        *(
            "cache_dir",
            "spool_dir",
            "keywords_file",
            "api_keys_file",
            "usage_file",
            "audit",
            "model",
            "lm",
            "jobs_dir",
            "jobs_key_file",
        )
    )
    @classmethod
    def _expand_home(cls, place: Path | str | None) -> Path | str | None:
        """Where it begins with ~; the type stays."""
        if place is None or not str(place).startswith("~"):
            return place
        try:
            return type(place)(Path(place).expanduser())
        except RuntimeError:
            raise ValueError(
                f"{place} is nowhere: there is no such home folder; give the whole path, or set HOME"
            ) from None

    @field_validator("api_keys")
    @classmethod
    def _keys_are_strong(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None and not (found := _split(keys.get_secret_value())):
            raise ValueError("no key in it")
        elif keys is not None and not all(KEY.fullmatch(key) for key in found):
            raise ValueError(f"a key has at least {MIN_KEY_LENGTH} printable ASCII characters, and no spaces")
        return keys

    @property
    def keys(self) -> list[str]:
        """The API keys in plain that have no names."""
        return _split(self.api_keys.get_secret_value()) if self.api_keys else []

    @property
    def is_open(self) -> bool:
        """Whether everyone is let in: a file of keys closes the service, also one without a key."""
        return self.api_keys is None and self.api_keys_file is None

    @field_validator("allow_origins")
    @classmethod
    def _origins_are_origins(cls, origins: str | None) -> str | None:
        for origin in _split((origins or "").lower()):
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin: write it as https://app.example.org, without a path"
                )
        return origins

    @property
    def origins(self) -> list[str]:
        """The origins of other pages that may use the service."""
        return _split((self.allow_origins or "").lower())

    @property
    def hosts(self) -> list[str]:
        """The names with dots under which a service without keys answers."""
        return _split((self.allow_hosts or "").lower())

    @field_validator("model_aliases", "job_url_hosts", "job_webhook_hosts", mode="before")
    @classmethod
    def _listed(cls, names: object) -> object:
        return _split(names) if isinstance(names, str) else names

    @field_validator("keywords", mode="before")
    @classmethod
    def _terms(cls, terms: object) -> object:
        """A variable has commas between them, or is JSON: a term may have a comma in it."""
        if not isinstance(terms, str):
            return terms
        if not terms.lstrip().startswith("["):
            return _split(terms)
        try:
            return json.loads(terms)
        except ValueError:
            raise ValueError("neither a JSON list nor terms with commas between them") from None

    @field_validator("host")
    @classmethod
    def _an_address(cls, host: str) -> str:
        """What listens wants a number; localhost is this one on every machine."""
        if host.lower() == "localhost":
            return "127.0.0.1"
        try:
            ip_address(host)
        except ValueError:
            raise ValueError("no address to listen on, such as 127.0.0.1, 0.0.0.0 or localhost") from None
        return host

    @field_validator("model_aliases")
    @classmethod
    def _are_names(cls, names: list[str]) -> list[str]:
        if wrong := [name for name in names if not MODEL_NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0][:100]!r} is not a name of a model")
        return list(dict.fromkeys(names))

    @field_validator("precision", mode="before")
    @classmethod
    def _not_fp16(cls, precision: object) -> object:
        if precision == "fp16":
            raise ValueError("the activations of this network overflow in fp16; use int8")
        return precision

    @model_validator(mode="after")
    def _engine_has_precision(self) -> "Settings":
        has = {"onnx": ONNX_PRECISIONS, "torch": ("fp32", "bf16")}[self.resolved_engine]
        if self.precision not in has:
            raise ValueError(
                f"engine {self.resolved_engine} runs in {' or '.join(has)} here, not in {self.precision}"
            )
        return self

    @property
    def resolved_engine(self) -> Literal["onnx", "torch"]:
        """What ``auto`` stands for."""
        if self.engine != "auto":
            return self.engine
        return "onnx" if self.precision in ONNX_PRECISIONS else "torch"

    @property
    def exported_precision(self) -> str:
        """That of the ONNX artefact: bf16 is how the one of fp32 is run."""
        return "fp32" if self.precision == "bf16" else self.precision

    @model_validator(mode="after")
    def _windows_fit(self) -> "Settings":
        if self.chunk_length_s > self.max_chunk_length_s:
            raise ValueError("chunk_length_s is longer than max_chunk_length_s")
        if self.stride_length_s > MAX_STRIDE * self.chunk_length_s:
            raise ValueError(f"stride_length_s must be at most {MAX_STRIDE} of chunk_length_s")
        return self

    @model_validator(mode="after")
    def _lm_is_on(self) -> "Settings":
        if self.decoding == "lm" and self.lm == "off":
            raise ValueError("decoding is lm, but lm is off")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ.get("MEDASR_CONFIG") or CONFIG_FILE).expanduser()
        if not file.is_file():
            raise FileNotFoundError(f"{file} is not there")
        yaml = YamlConfigSettingsSource(settings_cls, file, yaml_config_section="medasr")
        return init_settings, env_settings, yaml


def changed(settings: Settings, **values: object) -> Settings:
    """The same but for these. Raises InvalidRequest with one line where one is wrong."""
    try:
        return Settings.model_validate({**settings.model_dump(), **values})
    except ValidationError as error:
        raise InvalidRequest("; ".join(_lines(error))) from None


def _lines(error: ValidationError) -> list[str]:
    return [f"setting {'.'.join(map(str, e['loc'])) or '*'}: {e['msg']}" for e in error.errors()]


def load() -> Settings:
    """The settings of this process.

    Raises SystemExit with one line for each setting that is wrong. A misspelt MEDASR_MODEL must not end in
    another model being served, so that a variable which is no setting is wrong too.
    """
    known = {f"MEDASR_{name.upper()}" for name in Settings.model_fields} | SET_UP_VARIABLES
    if unknown := sorted(name for name in os.environ if name.startswith("MEDASR_") and name not in known):
        raise SystemExit(f"medasr: there is no setting {', '.join(unknown)}")
    try:
        return Settings()
    except (OSError, KeyError, TypeError, RuntimeError, YAMLError) as error:  # RuntimeError: ~ without a home
        reason = str(error).splitlines()[0]
        raise SystemExit(f"medasr: the configuration file cannot be read: {reason}") from None
    except ValidationError as error:
        raise SystemExit("\n".join(f"medasr: {line}" for line in _lines(error))) from None
