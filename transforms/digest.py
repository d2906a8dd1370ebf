"""Digest: what a batch of raw records becomes. Parse, filter and rekey in one pass; only what is wanted is decoded.

Pure and Beam-free: replay runs it where files are read, the stream where records arrive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import TYPE_CHECKING

import msgspec

from huntbeam.schemas.alert import Alert
from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.correlation import Grouped
from huntbeam.schemas.dead_letter import DeadLetter, RecordError
from huntbeam.schemas.monster import MonsterEvent
from huntbeam.schemas.sysmon import (
    NETWORK_CONNECT,
    PROCESS_CREATE,
    PROCESS_TERMINATE,
    PROVIDER,
    ContextCreate,
    EventHead,
    NetworkConnect,
    ProcessContext,
    ProcessCreate,
    ProcessTerminate,
    SysmonEvent,
)
from huntbeam.schemas.values import guid, shown, text
from huntbeam.schemas.winlog import WinlogEvent, parse_record
from huntbeam.transforms.enrich import Pending
from huntbeam.transforms.feeding import Feeding, internal, line_ends
from huntbeam.transforms.formats import without_bom
from huntbeam.transforms.heads import decode_head, decode_heads
from huntbeam.transforms.kinds import Kinds, Wanted
from huntbeam.transforms.read import Block
from huntbeam.transforms.rekey import Reading, flatten, read_event, require_process, with_source_process
from huntbeam.transforms.sigma.watch import Watch

if TYPE_CHECKING:
    from huntbeam.transforms.sigma.alerts import Detector, Found
    from huntbeam.transforms.sigma.in_force import RulesInForce

_SOURCE_PROCESS_EVENTS = frozenset((8, 10))
_PROVIDER = PROVIDER.lower()


class Plan(msgspec.Struct, frozen=True, tag="windows"):
    """What is wanted of a record of Windows."""

    event_time: EventTime = EventTime.UTC_TIME
    since: str | None = None  # event time as rows hold it, inclusive
    until: str | None = None  # exclusive
    hosts: tuple[str, ...] = ()  # lower case, * and ? match; none: all
    events: bool = False  # every Sysmon event as a row of sysmon_events
    counted: frozenset[int] = frozenset()  # further Sysmon event ids that counters look at
    dedupe: bool = False
    rules: bytes = b""  # packed Sigma rules; none: no alerts
    watch: Watch | None = None  # where the rules are looked for again; none: they stay as they are
    terminates: bool = False  # Sysmon event 5: only a stream has use for it, to forget processes
    enrich: frozenset[int] = frozenset()  # Sysmon event ids that are enriched, for the stream or for rules
    enriched: frozenset[int] = frozenset()  # of these those that are rows of sysmon_enriched


class Arrival(msgspec.Struct, frozen=True):
    """An event with its place in the input, where copies are told apart: the first by (index, position) is kept."""

    event_uid: str
    index: int
    position: int | None
    source: str
    record_id: str | None
    create: ProcessCreate | None = None
    context: ContextCreate | None = None
    connect: NetworkConnect | None = None
    event: SysmonEvent | None = None
    terminate: ProcessTerminate | None = None
    alerts: list[Alert] = []
    hits: list[Grouped] = []  # of correlations
    process: ProcessContext | None = None
    pending: Pending | None = None


class Digested(msgspec.Struct):
    """Rows of a batch of records. With `dedupe` they are in `arrivals` until copies are told apart."""

    creates: list[ProcessCreate] = []
    context: list[ContextCreate] = []
    connects: list[NetworkConnect] = []
    events: list[SysmonEvent] = []
    terminates: list[ProcessTerminate] = []
    arrivals: list[Arrival] = []
    alerts: list[Alert] = []
    hits: list[Grouped] = []
    dead_letters: list[DeadLetter] = []
    tallies: dict[str, int] = {}
    pairs: list[tuple[str | None, str | int | None, int]] = []  # provider, event id, events without the dead letters
    consumed: int = 0  # bytes of the input, for progress
    processes: list[ProcessContext] = []  # creates as contexts; those of `pending` have theirs with them
    pending: list[Pending] = []  # events that are to be enriched
    monster: list[MonsterEvent] = []  # of Monster Agent's records, which have no other rows


class Digest(Feeding):
    """Feeds on blocks and records, gives up what they became by take()."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        needed = (PROCESS_CREATE, NETWORK_CONNECT, *((PROCESS_TERMINATE,) if plan.terminates else ()))
        self._ids = plan.counted.union(needed, plan.enrich)
        self._hosts = [re.compile(translate(h)) for h in plan.hosts]
        self._rules = _rules_in_force(plan) if plan.rules else None
        self._generation = 0
        self._detector: Detector | None = None
        self._kinds = Kinds(self._wanted)
        self._unwanted = 0
        self._mostly_wanted = False  # of the last block
        self._tallies: dict[str, int] = {}
        self._out = _empty()
        self.renew()

    def renew(self) -> None:
        """Takes up the rules that are in force now. Of use between batches, where rules can change while it runs."""
        if self._rules is None:
            return
        now = self._rules.current()
        if self._detector is None or now.generation != self._generation:
            self._detector, self._generation = now.detector, now.generation
            self._kinds.renew()
        for name, count in self._rules.news().items():
            self._tallies[name] = self._tallies.get(name, 0) + count

    def record(self, raw: bytes, source: str, index: int, position: int | None, partition: int | None = None) -> None:
        """One record as it came. Decoded as far as needed to tell whether it is wanted, then whole."""
        head = decode_head(raw)
        kind = self._kinds.of_head(head) if head is not None else None
        if kind is not None and (not kind.is_wanted or kind.rules_out(raw)):
            kind.events += 1
        else:
            self._record(without_bom(raw), raw, source, index, position, partition)

    def size(self) -> int:
        """How many rows take() would give."""
        out = self._out
        rows = (out.creates, out.context, out.connects, out.events, out.terminates, out.arrivals)
        others = (out.processes, out.pending, out.alerts, out.hits, out.dead_letters)
        return sum(len(r) for r in rows) + sum(len(r) for r in others)

    def take(self) -> Digested:
        """What came of everything fed since the last time."""
        out = self.take_rows()
        out.tallies, self._tallies = self._tallies, {}
        out.pairs.extend(self._kinds.take())
        return out

    def take_rows(self) -> Digested:
        """As take(), but what is only counted stays."""
        out, self._out = self._out, _empty()
        return out

    def _block(self, block: Block, source: str, index: int) -> None:
        ends = line_ends(block)
        # Where most is wanted, as with many rules, most heads would be decoded in vain.
        heads = self._kinds.sieved_heads(block, ends) if self._mostly_wanted else decode_heads(block, ends)
        data, start, before = block.data, block.start, self._unwanted
        for head, end in zip(heads, ends, strict=True):
            kind = self._kinds.of_head(head) if head is not None else None
            if kind is not None and (not kind.is_wanted or kind.rules_out(data[start:end])):
                self._unwanted += 1
                kind.events += 1
            else:  # wanted, or blank, broken, or of a rarer shape
                line = bytes(data[start:end])
                original = line if block.wide is None else block.original(start, end)
                self._record(line, original, source, index, block.position(start))
            start = end + 1
        self._mostly_wanted = 2 * (self._unwanted - before) < len(ends)

    def _record(
        self, raw: bytes, original: bytes, source: str, index: int, position: int | None, partition: int | None = None
    ) -> None:
        """One record on its own: it is counted, or it becomes a dead letter."""
        try:
            event = parse_record(raw)
            kind = self._kinds.of_event(event)
            if kind.is_wanted:
                self._take_up(event, source, index, position, has_rows=kind.has_rows)
            else:
                self._unwanted += 1
            kind.events += 1
        except RecordError as error:
            if raw and not raw.isspace():
                self._refuse(error, original, source, position, partition)
            else:
                self._tally("blank_lines")
        except RecursionError:
            self._refuse(_nested_too_deeply(), original, source, position, partition)
        except Exception as error:  # one record must never stop a run; the tests allow none of these
            self._refuse(internal(error), original, source, position, partition)

    def _take_up(self, event: WinlogEvent, source: str, index: int, position: int | None, *, has_rows: bool) -> None:
        if self._hosts and not any(h.match((event.host or "").lower()) for h in self._hosts):
            self._tally("outside_host")
            return
        if has_rows:
            self._rekey(event, source, index, position)
        elif self._detector is not None:
            found = self._found(self._detector, event, defers=False)
            if found is not None and (found.alerts or found.hits) and self._inside(found.time):
                record_id = text(event.record_id)
                self._put(
                    Arrival(found.event_uid, index, position, source, record_id, alerts=found.alerts, hits=found.hits)
                )

    def _rekey(self, event: WinlogEvent, source: str, index: int, position: int | None) -> None:
        plan = self._plan
        reading = read_event(event, plan.event_time)
        create = connect = terminate = whole = None
        if event.event_id == PROCESS_CREATE:
            require_process(reading)
            create = flatten(reading, ProcessCreate)
        elif event.event_id == NETWORK_CONNECT:
            require_process(reading)
            connect = flatten(reading, NetworkConnect)
        elif event.event_id == PROCESS_TERMINATE and plan.terminates:
            terminate = _terminate(reading)
        if plan.events or event.event_id in plan.counted:
            whole = flatten(with_source_process(reading) if _names_source(reading) else reading, SysmonEvent)
        if reading.time is None:
            self._tally("no_event_time")
        inside = self._inside(reading.time)
        if not inside:
            self._tally("outside_time")
        process = flatten(reading, ProcessContext) if plan.enrich and create is not None else None
        context = None
        if not inside:
            context = flatten(reading, ContextCreate) if create is not None else None
            create = connect = whole = None
        found = None
        if inside and self._detector is not None:
            found = self._found(self._detector, event, event_uid=reading.event_uid)
        pending = None
        if inside and plan.enrich:
            pending = self._pending(reading, process, found.deferred if found is not None else ())
        arrival = Arrival(
            reading.event_uid,
            index,
            position,
            source,
            text(event.record_id),
            create,
            context,
            connect,
            whole,
            terminate,
            found.alerts if found is not None else [],
            found.hits if found is not None else [],
            process if pending is None else None,
            pending,
        )
        if inside or context is not None or terminate is not None:
            self._put(arrival)

    def _found(
        self, detector: Detector, event: WinlogEvent, *, defers: bool = True, event_uid: str | None = None
    ) -> Found | None:
        found = detector.find(event, self._plan.event_time, defers=defers, event_uid=event_uid)
        if found is not None and found.timeless:
            self._tallies["no_time_to_correlate"] = self._tallies.get("no_time_to_correlate", 0) + found.timeless
        return found

    def _pending(self, reading: Reading, process: ProcessContext | None, deferred: tuple[str, ...]) -> Pending | None:
        """What is to be enriched of an event: a row of it, or what deferred rules find in it."""
        is_row = reading.event.event_id in self._plan.enriched
        if not is_row and not deferred:
            return None
        head = flatten(with_source_process(reading) if _names_source(reading) else reading, EventHead)
        data = shown(reading.data) if is_row else None
        return Pending(head, data, deferred, reading.event.raw if deferred else b"", process)

    def _put(self, arrival: Arrival) -> None:
        if self._plan.dedupe:
            self._out.arrivals.append(arrival)
        else:
            _spread(self._out, arrival)

    def _inside(self, time: str | None) -> bool:
        since, until = self._plan.since, self._plan.until
        if since is None and until is None:
            return True
        return time is not None and (since is None or time >= since) and (until is None or time < until)

    def _wanted(self, provider: str | None, event_id: int, channel: str | None) -> Wanted:
        if (provider or "").lower() == _PROVIDER and (self._plan.events or event_id in self._ids):
            return Wanted(any=True, rows=True)
        detector = self._detector
        if detector is None or not detector.wants(provider, channel, event_id):
            return Wanted(any=False)
        return Wanted(any=True, sieve=None if self._hosts else detector.sieve(channel, event_id))


def spread(arrivals: Iterable[Arrival], out: Digested) -> None:
    """Puts the rows of arrivals into the lists they belong to."""
    for arrival in arrivals:
        _spread(out, arrival)


def _spread(out: Digested, arrival: Arrival) -> None:
    if arrival.create is not None:
        out.creates.append(arrival.create)
    if arrival.context is not None:
        out.context.append(arrival.context)
    if arrival.connect is not None:
        out.connects.append(arrival.connect)
    if arrival.event is not None:
        out.events.append(arrival.event)
    if arrival.terminate is not None:
        out.terminates.append(arrival.terminate)
    if arrival.process is not None:
        out.processes.append(arrival.process)
    if arrival.pending is not None:
        out.pending.append(arrival.pending)
    out.alerts += arrival.alerts
    out.hits += arrival.hits


def _names_source(reading: Reading) -> bool:
    return reading.event.event_id in _SOURCE_PROCESS_EVENTS


def _terminate(reading: Reading) -> ProcessTerminate | None:
    """The end of a process; none of one that names no process, which nothing was ever known about."""
    process = guid(reading.data.get("ProcessGuid"))
    return ProcessTerminate(reading.event.host, process) if process is not None else None


def _empty() -> Digested:
    return Digested([], [], [], [], [], [], [], [], [], {}, [], processes=[], pending=[])


def _rules_in_force(plan: Plan) -> RulesInForce:
    from huntbeam.transforms.sigma.in_force import rules_in_force  # what it loads is for runs with rules alone

    return rules_in_force(plan.rules, plan.watch, plan.enrich)


def _nested_too_deeply() -> RecordError:
    return RecordError("parse", "InvalidEventData", "the event data are nested too deeply")
