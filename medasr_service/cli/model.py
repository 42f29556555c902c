"""The transcriber over the model that is set, in this process."""

import asyncio
from collections.abc import Callable

from medasr_service import engines
from medasr_service.audio.processes import Decoders
from medasr_service.cli.console import tell
from medasr_service.interrupts import leaving_at_once
from medasr_service.model import checkpoint
from medasr_service.model.checkpoint import DEMO_NOTICE
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Infer, Transcriber


def load(
    config: Settings, *, around: Callable[[Infer], Infer] = lambda infer: infer, notice: bool = True
) -> Transcriber:
    """Says on standard error when it is the demo model. Raises ModelUnavailable.

    ``around`` may put something between the transcriber and the engine, to hear what passes.
    """
    found = checkpoint.resolve(config)
    if found.demo and notice:
        tell(f"{found.id}: {DEMO_NOTICE}")

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        return await asyncio.to_thread(engine.infer, waveforms)

    decoders = Decoders()
    # what is wrong is said before the engine's minute
    transcriber = Transcriber.of(found, around(infer), config, decoders)
    decoders.start()
    engines.prepare(found, config)
    with leaving_at_once():
        engine = engines.load(found, config)
    return transcriber
