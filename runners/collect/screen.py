"""What a person sees of a collector, on standard error: one line that is always new on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from huntbeam.runners.collect.counts import Counts, line

_EVERY = 5.0  # seconds between lines where they stay


class Screen:
    """Notices and the status line; nothing when quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._moves = sys.stderr.isatty()
        self._open = False  # a status line stands where the next text will
        self._at, self._taken = time.monotonic(), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._leave_line()

    def say(self, text: str) -> None:
        """A notice."""
        if not self._quiet:
            self._leave_line()
            print(f"huntbeam: {text}", file=sys.stderr, flush=True)

    def show(self, counts: Counts) -> None:
        """The counts, if it is time."""
        now = time.monotonic()
        if self._quiet or (not self._moves and now - self._at < _EVERY):
            return
        rate = (counts.taken - self._taken) / max(now - self._at, 0.001)
        self._at, self._taken = now, counts.taken
        text = f"huntbeam: {line(counts, rate)}"
        if self._moves:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._open = True
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self, counts: Counts) -> None:
        """The counts of the whole run."""
        self.say(f"stopped: {line(counts)}")

    def _leave_line(self) -> None:
        if self._open:
            self._open = False
            sys.stderr.write("\n")
