"""Commands that run for long: how they are asked to end, and what they say meanwhile, on standard error."""

from __future__ import annotations

import sys
import time

from confluent_kafka import KafkaError

from huntbeam.runners.signals import Heard

EVERY = 5.0  # seconds between the lines of progress
INTERRUPTED = 130

_AWAY = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT)


class Stop(Heard):
    """Whether SIGINT or SIGTERM asked for an orderly end. A second one ends the command at once."""

    def _ask(self, _signal: int, _frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Progress:
    """Records read, rows kept and what is still to read; and that the broker is away. Nothing when quiet."""

    def __init__(self, kept: str, quiet: bool) -> None:
        self._kept = kept  # the word for it: written, landed
        self._quiet = quiet
        self._started = self._said = time.monotonic()
        self._away = self._told = False

    def due(self) -> bool:
        """Whether it is time for another line."""
        return not self._quiet and time.monotonic() - self._said >= EVERY

    def update(self, read: int, kept: int, behind: int) -> None:
        """Says how far it is."""
        self._said = time.monotonic()
        if self._away:
            self._told = True
            self.say("the broker is away; waiting for it")
            return
        rate = read / max(self.seconds, 0.001)
        self.say(f"{read:,} records read, {kept:,} rows {self._kept}, {rate:,.0f} records/s, {behind:,} behind")

    def broker(self, error: KafkaError) -> None:
        """What librdkafka says beside the records; it goes on trying by itself."""
        self._away = self._away or error.code() in _AWAY

    def records(self) -> None:
        """Records came, or the end of a partition: the broker is there."""
        self._away = False
        if self._told:
            self._told = False
            self.say("the broker is back")

    def say(self, line: str) -> None:
        """A line, unless quiet."""
        if not self._quiet:
            print(f"huntbeam: {line}", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started
