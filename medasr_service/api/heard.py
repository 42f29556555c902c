"""The sound of one request: what came, what the model has heard of it, what a person must look at."""

from collections.abc import Iterable

from medasr_service.telemetry import account, metrics


class Heard:
    """Counts as it goes, not only at the end: a recording may take an hour, and may break off in it."""

    def __init__(self) -> None:
        self._account = account.current() or account.Account("none")
        self._received_s = metrics.AUDIO_RECEIVED_SECONDS.labels(self._account.route)
        self._transcribed_s = metrics.AUDIO_TRANSCRIBED_SECONDS.labels(self._account.route)

    def received(self, seconds: float) -> None:
        self._account.audio_s += seconds
        self._received_s.inc(seconds)

    def recording(self, seconds: float) -> None:
        """All of it is there."""
        metrics.RECORDING_SECONDS.observe(seconds)
        self.received(seconds)

    def until(self, end_s: float) -> None:
        """From the start of the sound; what lies before it is not counted again."""
        if (more_s := end_s - self._account.transcribed_s) > 0:
            self._account.transcribed_s += more_s
            self._transcribed_s.inc(more_s)

    @staticmethod
    def marked(kinds: Iterable[str]) -> None:
        """Doubts and placeholders of what was written."""
        for kind in kinds:
            metrics.UNCLEAR.labels(kind).inc()
