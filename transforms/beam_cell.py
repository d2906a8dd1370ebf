"""The state of one key and its timer on Beam, as window_shard.Cell and keyed_log.Cell want it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huntbeam.transforms.arrival import timestamp


class BeamCell:
    """Two bags of bytes and an event-time timer. The last head counts: an addition costs half of a replacement."""

    MOST = 8  # heads that lie about

    def __init__(self, head: Any, log: Any, due: Any) -> None:
        self._head = head
        self._log = log
        self._due = due
        self._heads: Sequence[bytes] = list(head.read())

    def head(self) -> bytes | None:
        """What was kept last."""
        return self._heads[-1] if self._heads else None

    def keep(self, head: bytes | None) -> None:
        """Keeps a head, or none. At most once a cell."""
        if head is None or len(self._heads) >= self.MOST:
            self._head.clear()
        if head is not None:
            self._head.add(head)

    def log(self) -> Sequence[bytes]:
        """All entries in their order."""
        return list(self._log.read())

    def add(self, entry: bytes) -> None:
        """Appends an entry unread."""
        self._log.add(entry)

    def replace(self, entries: Sequence[bytes]) -> None:
        """These entries instead of all."""
        self._log.clear()
        for entry in entries:
            self._log.add(entry)

    def set_due(self, at: int) -> None:
        """Sets the timer, in milliseconds of the stream's clock; where it stood before counts no more."""
        self._due.set(timestamp(at))
