"""Kinds of events: what is wanted of each, and how often it came."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from huntbeam.schemas.values import integer
from huntbeam.schemas.winlog import WinlogEvent
from huntbeam.transforms.heads import Head, Written, decode_head, written
from huntbeam.transforms.read import Block
from huntbeam.transforms.report import OTHER, PAIRS

if TYPE_CHECKING:
    from huntbeam.transforms.sigma.sieve import RecordSieve

SPELLINGS = 4 * PAIRS  # of them, as records write them: event ids are numbers or text
LONG = 4_096  # bytes of a record: to decode it takes longer than to look whether it has to be

_EVENT_ID_NAMES = (b'event_id"', b'EventID"')
_EVENT_ID = re.compile(rb'\s*:\s*"?(\d{1,5})\b')

Pair = tuple[str | None, int | None]  # provider and event id


class Wanted(NamedTuple):
    """What is wanted of events of a kind."""

    any: bool  # else they are only counted
    rows: bool = False  # whatever rules find in them
    sieve: RecordSieve | None = None  # rules out records of which nothing is wanted


class Kind:
    """Events of one kind, counted since the last time that anyone asked."""

    __slots__ = ("events", "has_rows", "is_wanted", "sieve")

    def __init__(self, wanted: Wanted) -> None:
        self.events = 0
        self.is_wanted, self.has_rows, self.sieve = wanted

    def rules_out(self, record: bytes | memoryview) -> bool:
        """Whether nothing is wanted of a record, although something may be of its kind."""
        return self.sieve is not None and self.sieve.rules_out(bytes(record))


class Kinds:
    """The kinds that came. Events choose what they call themselves: a bounded number is kept apart and remembered."""

    def __init__(self, wanted: Callable[[str | None, int, str | None], Wanted]) -> None:
        self._wanted = wanted  # of a provider, an event id and a channel
        self._kinds: dict[tuple[Pair, Wanted], Kind] = {}
        self._others: dict[Wanted, Kind] = {}
        self._known: dict[Written, Kind] = {}
        self._sieves: dict[bytes, RecordSieve] = {}  # by event id

    def renew(self) -> None:
        """What is wanted may be another now."""
        self._kinds = {place: kind for place, kind in self._kinds.items() if kind.events}
        self._known.clear()
        self._sieves.clear()

    def of_head(self, head: Head) -> Kind | None:
        """The kind of a record; None where the head alone does not tell it."""
        found = written(head)
        return self._known.get(found) or self._meet_written(found)

    def of_event(self, event: WinlogEvent) -> Kind:
        """The kind of an event."""
        found = event.provider, event.event_id, event.channel
        return self._known.get(found) or self._meet(found, *found)

    def take(self) -> Iterator[tuple[str | None, str | int | None, int]]:
        """Providers, event ids and how many events came since the last time."""
        named = ((pair, kind) for (pair, _), kind in self._kinds.items())
        for (provider, event_id), kind in (*named, *((OTHER, kind) for kind in self._others.values())):
            if kind.events:
                yield provider, event_id, kind.events
                kind.events = 0

    def sieved_heads(self, block: Block, ends: list[int]) -> Iterator[Head | None]:
        """The heads of the long lines of a block that a sieve may rule out; of others it would not be worth it."""
        buffer, data, start = block.buffer, block.data, block.start
        for end in ends:
            is_sieved = end - start > LONG and self._may_be_sieved(buffer, start, end)
            yield decode_head(data[start:end]) if is_sieved else None
            start = end + 1

    def _may_be_sieved(self, buffer: bytearray, start: int, end: int) -> bool:
        """By the first event id that stands in a line."""
        for name in _EVENT_ID_NAMES:
            at = buffer.find(name, start, end)
            if at >= 0:
                found = _EVENT_ID.match(buffer, at + len(name), end)
                sieve = self._sieves.get(found[1]) if found is not None else None
                return sieve is not None and sieve.is_of_use
        return False

    def _meet_written(self, found: Written) -> Kind | None:
        """None for an event id that is no number, which is refused."""
        provider, event_id = found[0] or None, integer(found[1])
        return None if event_id is None else self._meet(found, provider, event_id, found[2] or None)

    def _meet(self, found: Written, provider: str | None, event_id: int, channel: str | None) -> Kind:
        wanted = self._wanted(provider, event_id, channel)
        place = (provider, event_id), wanted
        kind = self._kinds.get(place)
        if kind is None:
            if len(self._kinds) < PAIRS:
                kind = self._kinds[place] = Kind(wanted)
            else:
                wanted = wanted._replace(sieve=None)
                kind = self._others.setdefault(wanted, Kind(wanted))
        if len(self._known) < SPELLINGS:
            self._known[found] = kind
            if kind.sieve is not None:
                self._sieves[str(event_id).encode()] = kind.sieve
        return kind
