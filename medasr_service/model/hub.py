"""Checkpoints on Hugging Face's hub, and one line for everything that can go wrong with one."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from medasr_service.errors import ModelUnavailable

FILES = ["*.json", "model.safetensors"]


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
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=FILES))
    except GatedRepoError:
        raise ModelUnavailable(
            f"{model} is gated: accept its terms on huggingface.co/{model},"
            " then set HF_TOKEN to a token of that account"
        ) from None
    except RevisionNotFoundError:
        raise ModelUnavailable(f"{model} has no revision {revision!r}") from None
    except RepositoryNotFoundError:
        raise ModelUnavailable(
            f"{model} is neither a folder here nor a model on the hub that HF_TOKEN may read"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
        raise ModelUnavailable(
            f"{model} is not in the local cache and the hub cannot be reached;"
            f" if it is gated, accept its terms on huggingface.co/{model} and set HF_TOKEN"
        ) from None
