"""What is remembered of a key whose items wait for a create (keyed_match.py), and what it is brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from huntbeam.transforms.state import Versioned

CREATE, ITEM, END = 1, 3, 5  # what an element is: numbered as the events of the join are


class Element(msgspec.Struct, frozen=True, array_like=True):
    """What a key is brought: a row, packed, and when it came. An end has no row."""

    a: int
    role: int  # CREATE, ITEM or END
    row: bytes = b""


class Known(msgspec.Struct, array_like=True):
    """What is remembered of a key, but for the items that wait."""

    create: bytes | None = b""  # the best so far, packed; None: that of the entry before, see Log
    first: int = 0  # arrival of the first copy of a create
    last: int = 0  # and of the last
    touched: int | None = None  # arrival of the last item
    terminated: int | None = None  # arrival of the last end
    named: bool = False  # an item has found the create (full join)
    due: int | None = None  # when the oldest wait is over; None: nothing waits
    expire: int | None = None  # when the timer that looks at the end of the state fires


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """An item that waits for its create."""

    a: int
    row: bytes


KNOWN = Versioned(1, Known)
WAITING = Versioned(1, Waiting)


class Log:
    """What is known of a key, as entries of which the last counts: an addition costs half of a replacement.

    Most bundles change arrivals alone, so an entry names the create only when it is another one.
    """

    MOST = 8

    def __init__(self, entries: Sequence[bytes]) -> None:
        self._entries = len(entries)
        self._create = b""
        self._known = Known()
        for number, entry in enumerate(reversed(entries)):
            known = KNOWN.unpack(entry)
            if number == 0:
                self._known = known
            if known.create is not None:
                self._create = known.create
                break

    def read(self) -> Known:
        """What is known now; the caller may change it."""
        self._known.create = self._create
        return self._known

    def write(self, known: Known | None) -> tuple[bool, bytes | None]:
        """Whether the entries are cleared first, and the entry to add; None forgets the key."""
        if known is None:
            return self._entries > 0, None
        if self._entries == 0 or self._entries >= self.MOST or known.create != self._create:
            return self._entries > 0, KNOWN.pack(known)
        return False, KNOWN.pack(msgspec.structs.replace(known, create=None))


class Cell(Protocol):
    """The state and timers of one key. Reads may cost a round trip; writes do not."""

    def known(self) -> Known: ...  # noqa: D102
    def keep(self, known: Known | None) -> None: ...  # noqa: D102
    def waiting(self) -> Sequence[Waiting]: ...  # noqa: D102
    def add_waiting(self, item: Waiting) -> None: ...  # noqa: D102
    def clear_waiting(self) -> None: ...  # noqa: D102
    def set_due(self, at: int) -> None: ...  # noqa: D102
    def set_expire(self, at: int) -> None: ...  # noqa: D102
    def count(self, name: str) -> None: ...  # noqa: D102
