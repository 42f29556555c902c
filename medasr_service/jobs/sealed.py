"""What lies on the disk of a job: sealed, so that nobody without the key reads, changes, swaps or cuts it.

AES-256-GCM over chunks (STREAM, of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): the nonce of each has its
number and whether it is the last, so that a file of any size is read in bounded memory, and one that was cut,
or of which chunks were moved, is refused. Each file has a key of its own, derived (HKDF) from the master key,
a salt and the file's name.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from medasr_service.settings import Settings

MAGIC = b"medasr1\n"
SALT_BYTES, TAG_BYTES, KEY_BYTES = 16, 16, 32
CHUNK_BYTES = 1 << 18
HOW_TO_MAKE = "make one with: openssl rand -base64 32"


class Broken(Exception):
    """Not what was sealed under this name and key: cut, changed, or of another key."""


class KeyUnusable(ValueError):
    """The master key is not there, or is none; the text says so without it."""


def keys(settings: Settings) -> list[bytes]:
    """The master keys: the first seals, all open. Raises KeyUnusable."""
    text = settings.jobs_key.get_secret_value() if settings.jobs_key else ""
    if settings.jobs_key_file:
        try:
            text = Path(settings.jobs_key_file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text"
            raise KeyUnusable(f"jobs_key_file cannot be read: {reason}") from None
    found = [_key(each) for each in text.replace(",", " ").split()]
    if not found:
        raise KeyUnusable(f"jobs need jobs_key or jobs_key_file; {HOW_TO_MAKE}")
    return found


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"a key of jobs is {KEY_BYTES} bytes in base64; {HOW_TO_MAKE}")
    return key


class Seal:
    """Seals and opens; ``keys``: the first seals, all of them open, so that a key can be changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = list(keys)

    def seal(self, name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The sealed file, in pieces."""
        salt = os.urandom(SALT_BYTES)
        cipher = _cipher(self._keys[0], salt, name)
        yield MAGIC + salt
        number = 0
        held = b""
        for chunk in _chunks(blocks):
            if held:
                yield cipher.encrypt(_nonce(number, last=False), held, MAGIC)
                number += 1
            held = chunk
        yield cipher.encrypt(_nonce(number, last=True), held, MAGIC)

    def open(self, name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """What was sealed under this name, in pieces. Raises Broken, at the latest behind the last."""
        pieces = _exact(blocks, len(MAGIC) + SALT_BYTES, CHUNK_BYTES + TAG_BYTES)
        head = next(pieces, b"")
        if len(head) != len(MAGIC) + SALT_BYTES or not head.startswith(MAGIC):
            raise Broken
        ciphers = [_cipher(key, head[len(MAGIC) :], name) for key in self._keys]
        number, held = 0, next(pieces, b"")
        while True:
            following = next(pieces, None)
            nonce = _nonce(number, last=following is None)
            opened, ciphers = _opened(ciphers, nonce, held)
            yield opened
            if following is None:
                return
            number, held = number + 1, following

    def names(self, purpose: str, *parts: str) -> list[str]:
        """What stands for the parts where they themselves must not be seen; one under each key."""
        about = "\0".join((purpose, *parts)).encode()
        return [hmac.new(key, about, hashlib.sha256).hexdigest()[:32] for key in self._keys]


def _cipher(key: bytes, salt: bytes, name: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"medasr job\0" + name.encode()).derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _opened(ciphers: list[AESGCM], nonce: bytes, sealed: bytes) -> tuple[bytes, list[AESGCM]]:
    for cipher in ciphers:
        try:
            return cipher.decrypt(nonce, sealed, MAGIC), [cipher]
        except InvalidTag:
            continue
    raise Broken


def _chunks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Of CHUNK_BYTES each, but for the last."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) > CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)


def _exact(blocks: Iterable[bytes], first: int, size: int) -> Iterator[bytes]:
    """One of ``first`` bytes, then of ``size`` each, and what is left."""
    held, wanted = bytearray(), first
    for block in blocks:
        held += block
        while len(held) >= wanted:
            yield bytes(held[:wanted])
            del held[:wanted]
            wanted = size
    if held:
        yield bytes(held)
