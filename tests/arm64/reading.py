"""What a machine makes of recordings: python -m tests.arm64.reading OUTPUT PRECISION FILE...

Writes OUTPUT.json, the text of each file by its way of decoding, and OUTPUT.npz, the log-posteriors of each
window by the digest of its samples, shape [frames, vocabulary].
"""

import asyncio
import json
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from medasr_service.cli import model
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Decoding, Infer, Options

DECODINGS: tuple[Decoding, ...] = ("greedy", "lm")


def main(output: Path, precision: str, files: list[Path]) -> None:
    heard: dict[str, Any] = {}  # emissions, for keywords of savez

    def hearing(infer: Infer) -> Infer:
        async def infer_and_keep(waveforms: list[Waveform]) -> list[Emission]:
            found = await infer(waveforms)
            names = [sha256(each.tobytes()).hexdigest() for each in waveforms]
            heard.update(zip(names, found, strict=True))
            return found

        return infer_and_keep

    settings = Settings(precision=cast(Literal["fp32", "int8", "bf16"], precision), decoding="lm")
    transcriber = model.load(settings, around=hearing, notice=False)
    texts: dict[str, dict[str, str]] = {}
    for decoding in DECODINGS:
        options = replace(Options.defaults(settings), decoding=decoding)
        for file in files:
            with file.open("rb") as recording:
                transcript = asyncio.run(transcriber.transcribe(recording, options))
            texts.setdefault(file.name, {})[decoding] = transcript.raw_text
    output.with_suffix(".json").write_text(json.dumps(texts))
    np.savez(output.with_suffix(".npz"), **heard)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [Path(name) for name in sys.argv[3:]])
