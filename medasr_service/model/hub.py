"""Checkpoints on Hugging Face's hub, and one line for everything that can go wrong with one.

The line says what to do. It is told from the HTTP status and the names of exceptions, wherever in the chain
of causes they are: the library wraps them differently from version to version.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, get_token, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from medasr_service.errors import ModelUnavailable

FILES = ["*.json", "model.safetensors"]
TOLD_EVERY_S = 10.0  # how far a download is
XET_LIMITS = {  # of the storage behind the hub, which a filtering proxy may not let through: soon given up
    "HF_XET_CLIENT_CONNECT_TIMEOUT": "5s",
    "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1",
    "HF_XET_CLIENT_RETRY_MAX_DURATION": "10s",
    "HF_XET_CLIENT_READ_TIMEOUT": "10s",
}
_CUT = {
    "RemoteProtocolError",
    "ReadError",
    "ReadTimeout",
    "WriteError",
    "IncompleteRead",
    "IncompleteSnapshotError",
}
_TOKENS = "huggingface.co/settings/tokens"

log = logging.getLogger("bentoml.medasr")


def check(model: str) -> None:
    """Raises ModelUnavailable where no model on the hub can have this name."""
    try:
        validate_repo_id(model)
    except HFValidationError:
        raise ModelUnavailable(f"{model} is neither a folder here nor a hub id") from None


def download(model: str, revision: str | None) -> Path:
    """The folder of a revision in the local cache, downloaded where it is not there yet; it is named after
    the commit. Raises ModelUnavailable."""
    check(model)
    return _fetch(
        model, revision, model, lambda: snapshot_download(model, revision=revision, allow_patterns=FILES)
    )


def download_file(model: str, revision: str | None, name: str) -> Path:
    """One file of a revision, as ``download``. Raises ModelUnavailable."""
    what = f"{name} of {model}"
    return _fetch(model, revision, what, lambda: hf_hub_download(model, name, revision=revision))


def _fetch(model: str, revision: str | None, what: str, get: Callable[[], str]) -> Path:
    if constants.HF_HUB_CACHE.startswith("~"):  # the library would make a folder of that name here
        raise ModelUnavailable(f"{what} cannot be kept: this user has no home folder; set HF_HOME")
    for name, value in XET_LIMITS.items():
        os.environ.setdefault(name, value)
    with _told(model, what):
        try:
            return Path(get())
        except Exception as error:  # whatever the library raises
            failure = error
        if not constants.HF_HUB_DISABLE_XET and _is_of_xet(failure):
            log.warning(
                "the hub's storage (Xet) cannot be reached: %s is fetched the plain way;"
                " HF_HUB_DISABLE_XET=1 does so at once",
                what,
            )
            constants.HF_HUB_DISABLE_XET = True
            try:
                return Path(get())
            except Exception as error:
                failure = error
    log.debug("the hub: %s", type(failure).__name__)
    raise ModelUnavailable(_why(failure, model, revision, what)) from None


@contextmanager
def _told(model: str, what: str) -> Iterator[None]:
    """Says every now and then how much has come: where nobody sees the library's bars, and where one does."""
    folder = Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}" / "blobs"
    before, over = _bytes(folder), threading.Event()

    def tell() -> None:
        while not over.wait(TOLD_EVERY_S):
            log.info("downloading %s: %.0f MB so far", what, (_bytes(folder) - before) / 1e6)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _bytes(folder: Path) -> int:
    try:
        return sum(file.stat().st_blocks * 512 for file in folder.iterdir())
    except OSError:
        return 0


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _is_of_xet(error: BaseException) -> bool:
    """What the Rust library raises is a RuntimeError, or a class of its own."""
    return any(
        type(each).__module__.startswith("hf_xet") or type(each) is RuntimeError or "xet" in str(each).lower()
        for each in _chain(error)
    )


def _why(error: BaseException, model: str, revision: str | None, what: str) -> str:
    """Nothing of the library's own text, which may hold the token."""
    chain = list(_chain(error))
    names = {type(each).__name__ for each in chain}
    responses = [found for each in chain if (found := getattr(each, "response", None)) is not None]
    response = responses[0] if responses else None
    status = getattr(response, "status_code", None)
    said = f"{getattr(response, 'headers', {}).get('X-Error-Message', '')} " + " ".join(map(str, chain))
    if any(isinstance(each, RevisionNotFoundError) for each in chain):
        return f"{model} has no revision {revision!r}"
    if any(isinstance(each, RemoteEntryNotFoundError) for each in chain):
        return f"{model} has no {what.split(' of ')[0]} at revision {revision}"
    if status == 407 or (names & {"ProxyError"} and "407" in said):
        return (
            f"{what} cannot be fetched: the proxy wants a login; put it into HTTPS_PROXY"
            " (http://user:password@host:port)"
        )
    if status == 401 and ("nvalid credentials" in said or "nvalid username" in said):
        return f"{what} cannot be fetched: the hub does not know the token in HF_TOKEN; make one at {_TOKENS}"
    if status == 403 and ("fine-grained" in said or "gated repositories" in said):
        return (
            f"{what} cannot be fetched: the token in HF_TOKEN may not read gated repositories; allow it"
            f" (read access to public gated repositories) at {_TOKENS}"
        )
    if any(isinstance(each, GatedRepoError) for each in chain):
        if get_token():
            return (
                f"{model} is gated, and the account of HF_TOKEN has not been let in: accept its terms on"
                f" huggingface.co/{model}, with that account"
            )
        return (
            f"{model} is gated: accept its terms on huggingface.co/{model},"
            " then set HF_TOKEN to a token of that account"
        )
    if any(isinstance(each, RepositoryNotFoundError) for each in chain):
        return f"{model} is neither a folder here nor a model on the hub that HF_TOKEN may read"
    return _what_is_in_the_way(chain, names, status, model, what)


def _what_is_in_the_way(
    chain: list[BaseException], names: set[str], status: int | None, model: str, what: str
) -> str:
    """Between here and the hub, and here."""
    number = next((each.errno for each in chain if isinstance(each, OSError) and each.errno), None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"{what} cannot be kept: the disk of {constants.HF_HUB_CACHE} is full; set HF_HOME"
    if number in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{what} cannot be kept: {constants.HF_HUB_CACHE} cannot be written; set HF_HOME"
    if status == 429:
        return f"{what} cannot be fetched: the hub has had too many requests from here; try again later"
    if status is not None and status >= 500:
        return f"{what} cannot be fetched: the hub answers {status}; try again later"
    if status is not None:
        return f"{what} cannot be fetched: the hub answers {status}, or a proxy on the way does"
    if "ProxyError" in names:
        return f"{what} cannot be fetched: the proxy of HTTPS_PROXY refuses, or cannot be reached"
    if "OfflineModeIsEnabled" in names:
        return f"{what} is not in the local cache, and HF_HUB_OFFLINE forbids to ask the hub"
    if names & _CUT or any("onsistency check" in str(each) for each in chain):
        return f"the download of {what} was cut off: start again, it goes on from what has come"
    if any(_is_of_xet(each) for each in chain):
        return (
            f"{what} cannot be fetched: the hub's storage (Xet) cannot be reached; set HF_HUB_DISABLE_XET=1"
        )
    return (
        f"{what} is not in the local cache and the hub cannot be reached;"
        f" if it is gated, accept its terms on huggingface.co/{model} and set HF_TOKEN"
    )
