"""Digest: what a batch of raw records becomes. Parse, filter and rekey in one pass; only what is wanted is decoded.

Pure and Beam-free: replay runs it where files are read, the stream where records arrive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

import msgspec

from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.dead_letter import DeadLetter, Original, RecordError, dead_letter
from huntbeam.schemas.sysmon import (
    NETWORK_CONNECT,
    PROCESS_CREATE,
    PROVIDER,
    NetworkConnect,
    ProcessCreate,
    SysmonEvent,
)
from huntbeam.schemas.values import integer, text
from huntbeam.schemas.winlog import WinlogEvent, parse_record
from huntbeam.transforms.read import Block, Records, Torn
from huntbeam.transforms.rekey import flatten, read_event, require_process, with_source_process

PAIRS = 10_000  # (provider, event id) pairs counted by name; an attacker chooses both
SPELLINGS = 4 * PAIRS  # of them, as records write them: event ids are numbers or text
OTHER = ("other", None)
_SOURCE_PROCESS_EVENTS = frozenset((8, 10))
_PROVIDER = PROVIDER.lower()

Pair = tuple[str | None, int | None]
Written = tuple[str | None, str | int | None]


class Plan(msgspec.Struct, frozen=True):
    """What is wanted of a record."""

    event_time: EventTime = EventTime.UTC_TIME
    since: str | None = None  # event time as rows hold it, inclusive
    until: str | None = None  # exclusive
    hosts: tuple[str, ...] = ()  # lower case, * and ? match; none: all
    events: bool = False  # every Sysmon event as a row of sysmon_events
    counted: frozenset[int] = frozenset()  # further Sysmon event ids that counters look at
    dedupe: bool = False


class Arrival(msgspec.Struct, frozen=True):
    """An event with its place in the input, where copies are told apart: the first by (index, position) is kept."""

    event_uid: str
    index: int
    position: int
    source: str
    record_id: str | None
    create: ProcessCreate | None = None
    context: ProcessCreate | None = None
    connect: NetworkConnect | None = None
    event: SysmonEvent | None = None


class Digested(msgspec.Struct):
    """Rows of a batch of records. With `dedupe` they are in `arrivals` until copies are told apart."""

    creates: list[ProcessCreate] = []
    context: list[ProcessCreate] = []  # creates outside --since and --until: they join, but are no output
    connects: list[NetworkConnect] = []
    events: list[SysmonEvent] = []
    arrivals: list[Arrival] = []
    dead_letters: list[DeadLetter] = []
    tallies: dict[str, int] = {}
    pairs: list[tuple[str | None, str | int | None, int]] = []  # provider, event id, events without the dead letters
    consumed: int = 0  # bytes of the input, for progress


class _WinlogHead(msgspec.Struct, gc=False):
    provider_name: str | None = None
    event_id: int | str | None = None


class _Head(msgspec.Struct, gc=False):
    """Just enough of a record to tell whether it is wanted; everything else is skipped unread."""

    winlog: _WinlogHead | None = None
    source_name: str | None = None
    event_id: int | str | None = None
    EventID: int | str | None = None
    SourceName: str | None = None
    Provider: str | None = None


class _Count:
    """How often a (provider, event id) pair came, and whether it is wanted."""

    __slots__ = ("events", "wanted")

    def __init__(self, wanted: bool) -> None:
        self.events = 0
        self.wanted = wanted


_decode_head = msgspec.json.Decoder(_Head).decode
_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Digest:
    """Feeds on blocks and records, gives up what they became by take()."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ids = frozenset((PROCESS_CREATE, NETWORK_CONNECT)) | plan.counted
        self._hosts = [re.compile(translate(h)) for h in plan.hosts]
        self._counts: dict[Pair, _Count] = {}
        self._others = {wanted: _Count(wanted) for wanted in (False, True)}
        self._known: dict[Written, _Count] = {}  # what the fast path has met
        self._out = _empty()

    def feed(self, item: Block | Records | Torn, source: str, index: int) -> None:
        """One item of a reader. Never raises for what the item holds."""
        self._out.consumed += item.consumed
        if isinstance(item, Block):
            self._block(item, source, index)
        elif isinstance(item, Records):
            for position, raw in item.items:
                self._record(raw, raw, source, index, position)
        else:
            self._out.dead_letters.append(dead_letter(item.error, item.original, source, item.position))

    def size(self) -> int:
        """How many rows take() would give."""
        out = self._out
        rows = (out.creates, out.context, out.connects, out.events, out.arrivals, out.dead_letters)
        return sum(len(r) for r in rows)

    def take(self) -> Digested:
        """What came of everything fed since the last time."""
        out, self._out = self._out, _empty()
        counts = [*self._counts.items(), *((OTHER, count) for count in self._others.values())]
        for (provider, event_id), count in counts:
            if count.events:
                out.pairs.append((provider, event_id, count.events))
                count.events = 0
        return out

    def _block(self, block: Block, source: str, index: int) -> None:
        buffer, start, stop = block.buffer, block.start, block.stop
        find, view, known = buffer.find, memoryview(buffer), self._known
        while start < stop:
            end = find(b"\n", start, stop)
            if end < 0:
                end = stop
            try:
                head = _decode_head(view[start:end])
            except _DECODE_ERRORS:
                self._line(block, start, end, source, index)
                start = end + 1
                continue
            winlog = head.winlog
            if winlog is not None:
                pair = winlog.provider_name, winlog.event_id
            elif head.event_id is not None:
                pair = head.source_name, head.event_id
            else:
                pair = head.SourceName or head.Provider, head.EventID
            count = known.get(pair) or self._meet(pair)
            if count is None or count.wanted:
                self._line(block, start, end, source, index)
            else:
                count.events += 1
            start = end + 1

    def _line(self, block: Block, start: int, end: int, source: str, index: int) -> None:
        """A line that is wanted, or that the fast path does not understand: blank, broken, or of a rarer shape."""
        line = bytes(block.buffer[start:end])
        if line.strip():
            self._record(line, block.original(start, end), source, index, block.position(start))
        else:
            self._tally("blank_lines")

    def _record(self, raw: bytes, original: bytes, source: str, index: int, position: int) -> None:
        """One record on its own: it is counted, or it becomes a dead letter."""
        try:
            event = parse_record(raw)
            count = self._count(event.provider, event.event_id)
            if count.wanted:
                self._rekey(event, source, index, position)
            count.events += 1
        except RecordError as error:
            self._refuse(error, original, source, position)
        except RecursionError:
            self._refuse(_nested_too_deeply(), original, source, position)
        except Exception as error:  # one record must never stop a run; the tests allow none of these
            self._refuse(_internal(error), original, source, position)

    def _rekey(self, event: WinlogEvent, source: str, index: int, position: int) -> None:
        plan = self._plan
        if self._hosts and not any(h.match((event.host or "").lower()) for h in self._hosts):
            self._tally("outside_host")
            return
        reading = read_event(event, plan.event_time)
        create = connect = whole = None
        if event.event_id == PROCESS_CREATE:
            require_process(reading)
            create = flatten(reading, ProcessCreate)
        elif event.event_id == NETWORK_CONNECT:
            require_process(reading)
            connect = flatten(reading, NetworkConnect)
        if plan.events or event.event_id in plan.counted:
            if event.event_id in _SOURCE_PROCESS_EVENTS:
                reading = with_source_process(reading)
            whole = flatten(reading, SysmonEvent)
        if reading.time is None:
            self._tally("no_event_time")
        inside = self._inside(reading.time)
        if not inside:
            self._tally("outside_time")
        row = Arrival(
            event_uid=reading.event_uid,
            index=index,
            position=position,
            source=source,
            record_id=text(event.record_id),
            create=create if inside else None,
            context=None if inside else create,
            connect=connect if inside else None,
            event=whole if inside else None,
        )
        if not plan.dedupe:
            spread((row,), self._out)
        elif inside or create is not None:
            self._out.arrivals.append(row)

    def _inside(self, time: str | None) -> bool:
        since, until = self._plan.since, self._plan.until
        if since is None and until is None:
            return True
        return time is not None and (since is None or time >= since) and (until is None or time < until)

    def _count(self, provider: str | None, event_id: int) -> _Count:
        count = self._counts.get((provider, event_id))
        if count is None:
            wanted = self._is_wanted(provider, event_id)
            if len(self._counts) >= PAIRS:
                return self._others[wanted]
            count = self._counts[provider, event_id] = _Count(wanted)
        return count

    def _meet(self, pair: Written) -> _Count | None:
        """The count of a pair as a record writes it; None for an event id that is no number, which is refused."""
        provider, event_id = pair[0] or None, integer(pair[1])
        if event_id is None:
            return None
        count = self._count(provider, event_id)
        if len(self._known) < SPELLINGS:
            self._known[pair] = count
        return count

    def _is_wanted(self, provider: str | None, event_id: int) -> bool:
        return (provider or "").lower() == _PROVIDER and (self._plan.events or event_id in self._ids)

    def _refuse(self, error: RecordError, original: bytes, source: str, position: int) -> None:
        self._out.dead_letters.append(dead_letter(error, Original.of(original), source, position))

    def _tally(self, name: str) -> None:
        self._out.tallies[name] = self._out.tallies.get(name, 0) + 1


def spread(arrivals: Iterable[Arrival], out: Digested) -> None:
    """Puts the rows of arrivals into the lists they belong to."""
    for arrival in arrivals:
        if arrival.create is not None:
            out.creates.append(arrival.create)
        if arrival.context is not None:
            out.context.append(arrival.context)
        if arrival.connect is not None:
            out.connects.append(arrival.connect)
        if arrival.event is not None:
            out.events.append(arrival.event)


def _empty() -> Digested:
    return Digested([], [], [], [], [], [], {}, [])


def _nested_too_deeply() -> RecordError:
    return RecordError("parse", "InvalidEventData", "the event data are nested too deeply")


def _internal(error: Exception) -> RecordError:
    return RecordError("parse", "InternalError", f"a fault of HuntBeam's own, please report it: {type(error).__name__}")
