"""Keys with names: who is let in, and how much each may. The file of keys is read again when it changes.

It is TOML: comments and dates are in the language, a digest is never taken for a number (as YAML may), and
Python reads it. Each key is a table under its name; a key itself stands nowhere:

    [ward-3]
    sha256 = "9f86d0..."            # or two of them in a list, while one takes the place of the other
    requests_per_minute = 60        # the rest may be left out: no limit
    audio_seconds_per_hour = 36000
    live_sessions = 2
    expires = 2027-01-01            # from the first moment of that day on (UTC), or a date with a time
"""

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medasr_service.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # as TOML writes it without quotes
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
MOST_BYTES = 1 << 20
LOOK_S = 1.0  # between two looks at the file: a network's file systems tell nobody of changes
SHOWN_HEX = 8  # of the digest, where a key has no name

log = logging.getLogger("bentoml.medasr")


def digest(key: str) -> bytes:
    """Of keys as long as these nobody finds the key by its digest, so that a fast one does."""
    return hashlib.sha256(key.encode()).digest()


def _listed(values: Any) -> Any:
    return values if isinstance(values, list | tuple) else [values]


def _opened(digests: tuple[str, ...]) -> tuple[str, ...]:
    if not digests or not all(map(_DIGEST.fullmatch, digests)):
        raise ValueError("the SHA-256 of a key has 64 hexadecimal digits; `medasr keys new` makes one")
    return tuple(each.lower() for each in digests)


def _moment(value: Any) -> Any:
    """Of a date its first moment; what names no zone is UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise ValueError("write it as 2027-01-01, or 2027-01-01T08:00:00Z")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Count = Annotated[int, Field(strict=True, ge=1)]


class Key(BaseModel):
    """One name that is let in; ``sha256``: of each of its keys. Limits that are None are none."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str
    sha256: Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_opened)]
    requests_per_minute: Count | None = None
    audio_seconds_per_hour: Count | None = None
    live_sessions: Annotated[int, Field(strict=True, ge=0)] | None = None
    expires: Annotated[datetime, BeforeValidator(_moment)] | None = None


def unnamed(key: str) -> Key:
    """Of MEDASR_API_KEYS: the beginning of its digest stands for a name."""
    found = digest(key).hex()
    return Key(name=f"key-{found[:SHOWN_HEX]}", sha256=(found,))


def parse(text: str) -> list[Key]:
    """The keys of a file. Raises ValueError with one line that shows nothing of a key."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at (line \d+, column \d+|end of document)", str(error))
        raise ValueError(f"this is not TOML ({place[0] if place else 'somewhere'})") from None
    keys = [_key(name, table) for name, table in tables.items()]
    digests = [each for key in keys for each in key.sha256]
    if len(digests) != len(set(digests)):
        raise ValueError("the same key stands there twice")
    return keys


def _key(name: str, table: Any) -> Key:
    if not NAME.fullmatch(name):
        raise ValueError("a name has at most 64 letters, digits, '-' and '_', and is written as [name]")
    if not isinstance(table, dict):
        raise ValueError(f"{name} is no table: write [{name}], and sha256 = ... below it")
    try:
        return Key(**{"name": name, **table} if "name" not in table else {"name": ""})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(each) for each in first["loc"][:1])
        if first["type"] == "extra_forbidden":
            raise ValueError(f"[{name}] has something that is no property of a key") from None
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"[{name}] {field}: {said}") from None


def new() -> str:
    """A key that nobody guesses; where one is published by mistake, programs know it by its beginning."""
    return f"medasr_{secrets.token_urlsafe(32)}"


def read(file: Path) -> list[Key]:
    """The keys of a file. Raises UsageError with one line."""
    try:
        with file.open("rb") as source:
            data = source.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        return parse(data.decode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except ValueError as error:
        reason = str(error)
    raise UsageError(f"the keys in {file} cannot be read: {reason}")


class Keys:
    """The keys that are let in now; without any, and without a file of them, everyone is."""

    def __init__(
        self, keys: Iterable[str] = (), file: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Nothing of the file is read yet."""
        self._unnamed = [unnamed(key) for key in keys]
        self._file = file
        self._clock = clock
        self._seen = self._taken = _stamp(file)
        self._take([])

    def _take(self, named: list[Key]) -> None:
        """What stands in the file before what stands in the settings."""
        self._named = named
        digests = {each for key in named for each in key.sha256}
        keys = [*named, *(key for key in self._unnamed if key.sha256[0] not in digests)]
        self._by_digest = [(bytes.fromhex(each), key) for key in keys for each in key.sha256]

    @property
    def is_open(self) -> bool:
        return not self._unnamed and self._file is None

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(key.name for _, key in self._by_digest))

    def named(self, name: str) -> Key | None:
        return next((key for _, key in self._by_digest if key.name == name), None)

    def find(self, presented: str | None) -> Key | None:
        """The key, also one that has expired. Takes the same time for every wrong one."""
        found = self._of(digest(presented or ""))
        return found if presented is not None else None

    def _of(self, sought: bytes) -> Key | None:
        same = [key for each, key in self._by_digest if hmac.compare_digest(sought, each)]
        return same[0] if same else None

    def has_expired(self, key: Key) -> bool:
        return key.expires is not None and key.expires.timestamp() <= self._clock()

    def lets_in(self, sought: bytes) -> bool:
        """Whether the key of this digest still opens: it is in the file, and has not expired."""
        found = self._of(sought)
        return found is not None and not self.has_expired(found)

    async def watch(self) -> None:
        """For as long as it runs, what changes in the file holds a moment later."""
        while self._file:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Reads the file again where it has changed, and has come to rest since the last look: whoever writes
        it in place, and not by a rename, leaves half of it there for a moment."""
        stamp = _stamp(self._file)
        if stamp == self._seen and stamp != self._taken:
            self.reload()
        self._seen = stamp

    def reload(self) -> None:
        """Takes the keys that the file has now; where it cannot be read, those from before stay."""
        if self._file is None:
            return
        self._taken = self._seen = _stamp(self._file)
        try:
            found = read(self._file)
        except UsageError as error:
            log.error("%s; the %d from before stay", error.message, len(self._named))
            return
        before, now = {key.name for key in self._named}, {key.name for key in found}
        self._take(found)
        log.info(
            "%d keys in the file; new: %s; gone: %s", len(found), _names(now - before), _names(before - now)
        )


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """What changes with the file; None where there is none."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found else None
