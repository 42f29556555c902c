"""What all texts in a folder have in common: another model, setting or version makes another folder."""

import json
from dataclasses import dataclass
from hashlib import sha256

from medasr_service import conditions
from medasr_service.decoding import keywords
from medasr_service.model import digests
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.settings import Settings
from medasr_service.transcriber import Options


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``id`` is made of the conditions, and names the folder of the parts."""

    id: str
    conditions: dict[str, object]


def of(found: Checkpoint, config: Settings, options: Options) -> Fingerprint:
    """Of everything that changes a text or decides whether there is one."""
    asked = keywords.clean(options.keywords)
    known = {
        **conditions.of(found, config, options.decoding, options.formatting),
        "tokenizer": digests.sha256(found.folder / "tokenizer.json")[:12],
        "decoding": options.decoding,
        "damaged": options.damaged,
        "limits": f"{config.max_duration_s:g} s, {config.max_channels} channels",
    }
    if asked:
        known["asked keywords"] = f"{len(asked)} {sha256(json.dumps(asked).encode()).hexdigest()[:12]}"
        known["keyword_score"] = config.keyword_score
    return Fingerprint(sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12], known)
