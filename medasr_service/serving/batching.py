"""How BentoML's adaptive batching waits for company: not at all.

Its dispatcher learns from bursts how long a call waits for others, and then holds each single call back for
that long; windows of a long file come one by one, and each would wait in vain. Batches form all the same:
what comes while a batch runs is the next one.
"""

from bentoml._internal.marshal.dispatcher import Optimizer


class Prompt(Optimizer):
    """Learns how long batches take, as before, and holds nothing back."""

    def trigger_refresh(self) -> None:
        super().trigger_refresh()
        self.wait = 0
