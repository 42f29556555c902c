"""What medasr transcribe prints: texts one below the other, a JSON array, or a line of JSON for each file."""

import json
from types import TracebackType
from typing import Any, Literal, Self

from medasr_service.cli.console import OutputClosed, OutputFailed, put, shown
from medasr_service.text import formats
from medasr_service.text.transcript import Transcript

JSON: dict[str, Any] = {
    "json": formats.to_json,
    "verbose_json": lambda transcript: formats.to_verbose_json(transcript, words=True),
}
Layout = Literal["text", "array", "lines"]


class Printed:
    """Each file as soon as it is transcribed. ``array``: valid JSON however it ends, but for a reader who has
    gone; ``chosen``: the format of one transcript."""

    def __init__(self, layout: Layout, chosen: str, *, headed: bool) -> None:
        self._layout = layout
        self._json = JSON.get(chosen, JSON["verbose_json"])
        self._headed = headed
        self._separator = "[\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._layout == "array" and not isinstance(error, OutputClosed | OutputFailed):
            put("\n]" if self._separator == ",\n" else "[]")

    def header(self, name: str) -> None:
        if self._headed and self._layout == "text":
            put(f"{shown(name)}:")

    def transcript(self, name: str, transcript: Transcript, text: str) -> None:
        """``text``: the transcript as it is shown alone."""
        if self._layout == "text":
            self.header(name)
            put(text, end="" if text.endswith("\n") else "\n")
        else:
            self._one({"file": shown(name), **self._json(transcript)})

    def failure(self, name: str, reason: str) -> None:
        if self._layout != "text":
            self._one({"file": shown(name), "error": reason})

    def _one(self, content: dict[str, Any]) -> None:
        if self._layout == "lines":
            put(json.dumps(content, ensure_ascii=False))
        else:
            text = self._separator + json.dumps(content, ensure_ascii=False, indent=2)
            self._separator = ",\n"  # before: Ctrl-C may come behind the text that it belongs to
            put(text, end="")
