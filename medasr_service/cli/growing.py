"""Text that grows on a terminal, with what is not yet sure behind it: dim, and rewritten in its place."""

import os
import shutil
import sys

from medasr_service.cli.console import put

DIM, PLAIN = "\033[2m", "\033[0m"
ERASE_BELOW = "\033[J"  # from the cursor on
LEAST_ROOM = 24  # columns; where a line has fewer left, what is not sure goes below it


class Growing:
    """Where standard output is no terminal, there is only what is sure: plain text, no escape sequence."""

    def __init__(self) -> None:
        terminal = sys.stdout is not None and sys.stdout.isatty()
        self.shows_guesses = terminal and os.environ.get("TERM", "dumb") != "dumb"
        self._column = 0
        self._back = ""  # what brings the cursor back to the end of what is sure

    def add(self, text: str) -> None:
        """What is sure stays."""
        put(self._taken_back() + text, end="")
        before, _, line = text.rpartition("\n")
        start = 0 if before or text.startswith("\n") else self._column
        self._column = len((" " * start + line).expandtabs()) % _columns()

    def guess(self, text: str) -> None:
        """What is not, on one line at the most: of a longer text its end, which is the newest."""
        if not self.shows_guesses:
            return
        words = text.split()
        below = _columns() - self._column < LEAST_ROOM
        room = _columns() - 1 - (0 if below else self._column)  # what fills a line begins the next one
        line = ("" if below or not text[:1].isspace() else " ") + " ".join(words)
        if len(line) > room:
            line = "…" + line[len(line) - room + 1 :]
        put(self._taken_back() + (("\n" if below else "") + DIM + line + PLAIN if words else ""), end="")
        if words:
            self._back = ("\033[A" if below else "") + f"\033[{self._column + 1}G{ERASE_BELOW}"

    def at_line_start(self) -> None:
        """Something else was written behind what is sure, and ended its line."""
        self._column = 0

    def _taken_back(self) -> str:
        back, self._back = self._back, ""
        return back


def _columns() -> int:
    return shutil.get_terminal_size().columns
