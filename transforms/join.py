"""Join: each network connect with the create of its process, by (host, ProcessGuid). The pure core.

Rules 7 to 10 of docs/semantics.md. The two event times are never compared: clocks drift by days. `a` is when an
element arrived, in milliseconds of the stream's clock; every wait is counted from it, and a timer only starts the
work, so that the answer does not depend on when it fires.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple, Protocol

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.clock import DAY, MINUTE
from huntbeam.schemas.record import columns, positional
from huntbeam.schemas.sysmon import ContextCreate, NetworkConnect, ProcessCreate, SysmonJoin, SysmonUnmatched
from huntbeam.transforms.rekey import Key, key


class JoinKind(StrEnum):
    """inner: connects with a create; left: all connects; full: creates that no connect named, too."""

    INNER = "inner"
    LEFT = "left"
    FULL = "full"


NO_CREATE = "no_create"
ZERO_GUID = "zero_guid"

Output = SysmonJoin | SysmonUnmatched

_OURS = 5  # host, process_create_time, event_uid, clock_skew_ms, event_time_source
_JOIN_COLUMNS = [c.name for c in columns(SysmonJoin)][:-_OURS]
_OF_CONNECT = [name for name in _JOIN_COLUMNS if name in NetworkConnect.__struct_fields__]
_OF_CREATE = [name for name in _JOIN_COLUMNS if name not in NetworkConnect.__struct_fields__]
_connect_values = attrgetter(*_OF_CONNECT)
_create_values = attrgetter(*_OF_CREATE)
_unmatched_values = attrgetter(*NetworkConnect.__struct_fields__)
_NO_CREATE_VALUES = (None,) * len(_OF_CREATE)
_join_row = positional(SysmonJoin)
_unmatched_row = positional(SysmonUnmatched)
_UID_COLUMN = NetworkConnect.__struct_fields__.index("event_uid")


def joined(connect: NetworkConnect, create: ProcessCreate | None) -> SysmonJoin:
    """The join row of a connect; without a create (left join) the create's columns are null."""
    return _join_row(
        *_connect_values(connect),
        *(_create_values(create) if create else _NO_CREATE_VALUES),
        connect.host,
        create.event_date_creation if create else None,
        uid.joined(connect.event_uid),
        connect.clock_skew_ms,
        connect.event_time_source,
    )


def unconnected(create: ProcessCreate) -> SysmonJoin:
    """The row of a create that no connect named (full join): the connect's columns are null, but the process."""
    of_connect = dict.fromkeys(_OF_CONNECT) | {"process_guid": create.process_guid}
    return _join_row(
        *of_connect.values(),
        *_create_values(create),
        create.host,
        create.event_date_creation,
        uid.joined(create.event_uid),
        None,
        None,
    )


def unmatched(connect: NetworkConnect, reason: str) -> SysmonUnmatched:
    """The row of a connect that found no create."""
    values = list(_unmatched_values(connect))
    values[_UID_COLUMN] = uid.unmatched(connect.event_uid)
    return _unmatched_row(*values, reason)


def given_up(connect: NetworkConnect, reason: str, kind: JoinKind) -> Iterator[Output]:
    """What is put out for a connect that never joins."""
    yield unmatched(connect, reason)
    if kind is not JoinKind.INNER:
        yield joined(connect, None)


def rank(create: ProcessCreate) -> tuple[str, str]:
    """Of the creates of one key the greatest is the create: latest event time, null lowest; then the greatest id."""
    return create.event_date_creation or "", create.event_uid


def join_all(creates: Iterable[ProcessCreate], connects: Iterable[NetworkConnect], kind: JoinKind) -> Iterator[Output]:
    """Bounded input: all creates and connects of any number of keys. Holds the creates, streams the connects."""
    best: dict[Key, ProcessCreate] = {}
    for create in creates:
        if (k := key(create)) is not None and (k not in best or rank(create) > rank(best[k])):
            best[k] = create
    named: set[Key] = set()
    for connect in connects:
        k = key(connect)
        if k is not None and k in best:
            yield joined(connect, best[k])
            named.add(k)
        else:
            yield from given_up(connect, NO_CREATE if k else ZERO_GUID, kind)
    if kind is JoinKind.FULL:
        alone = (create for k, create in best.items() if k not in named and not isinstance(create, ContextCreate))
        yield from map(unconnected, alone)


class Waits(msgspec.Struct, frozen=True):
    """How long the unbounded join waits, in milliseconds of the stream's clock."""

    join: int = 10 * MINUTE
    process_ttl: int = 7 * DAY
    terminate_grace: int = 10 * MINUTE


class Stamped(NamedTuple):
    """A row and its arrival; of a create that came more than once the first and the last."""

    first: int
    last: int
    row: bytes


class Cell(Protocol):
    """The state of one key. Reads may cost a round trip; additions and clears do not."""

    def creates(self) -> Sequence[Stamped]: ...  # noqa: D102
    def add_create(self, create: Stamped) -> None: ...  # noqa: D102
    def clear_creates(self) -> None: ...  # noqa: D102
    def waiting(self) -> Sequence[Stamped]: ...  # noqa: D102
    def add_waiting(self, connect: Stamped) -> None: ...  # noqa: D102
    def clear_waiting(self) -> None: ...  # noqa: D102
    def touched(self) -> int | None: ...  # noqa: D102
    def touch(self, a: int) -> None: ...  # noqa: D102
    def clear_touched(self) -> None: ...  # noqa: D102
    def terminated(self) -> int | None: ...  # noqa: D102
    def terminate(self, a: int) -> None: ...  # noqa: D102
    def clear_terminated(self) -> None: ...  # noqa: D102
    def named(self) -> bool: ...  # noqa: D102
    def name(self) -> None: ...  # noqa: D102
    def clear_named(self) -> None: ...  # noqa: D102
    def due(self) -> int | None: ...  # noqa: D102
    def set_due(self, at: int) -> None: ...  # noqa: D102
    def clear_due(self) -> None: ...  # noqa: D102
    def set_wake(self, at: int) -> None: ...  # noqa: D102
    def set_expire(self, at: int) -> None: ...  # noqa: D102
    def conflict(self) -> None: ...  # noqa: D102


_decode_create = msgspec.msgpack.Decoder(ProcessCreate).decode
_decode_connect = msgspec.msgpack.Decoder(NetworkConnect).decode


class KeyedJoin(msgspec.Struct, frozen=True):
    """Unbounded input: what one key does with each element and timer. All-zero GUIDs are not brought here."""

    kind: JoinKind = JoinKind.INNER
    waits: Waits = Waits()

    def on_create(self, cell: Cell, a: int, row: bytes) -> None:
        """A create is written blind, without a read; a timer at its arrival wakes the connects that wait for it."""
        cell.add_create(Stamped(a, a, row))
        cell.set_wake(a)
        cell.set_expire(_after(a + self.waits.process_ttl))

    def on_connect(self, cell: Cell, a: int, row: bytes) -> Iterator[Output]:
        """A connect joins at once when its create is known; else it waits."""
        creates, touched = cell.creates(), cell.touched()
        if creates and a > self._end(creates, touched, cell.terminated()):
            yield from self._forget(cell, creates)
            creates, touched = (), None
        if touched is None or a > touched:
            cell.touch(a)
        if creates:
            self._note_named(cell)
            yield joined(_decode_connect(row), _best(creates))
            return
        cell.add_waiting(Stamped(a, a, row))
        self._arm_due(cell, _after(a + self.waits.join), cell.due())

    def on_terminate(self, cell: Cell, a: int) -> None:
        """Event 5 never clears at once: connects and the create itself may come after it."""
        cell.terminate(a)
        cell.set_expire(_after(a + min(self.waits.join, self.waits.terminate_grace)))

    def on_wake(self, cell: Cell) -> Iterator[Output]:
        """A create came: join what waited for it, keep the best of several creates, set the end of the state."""
        creates = cell.creates()
        if len(creates) > 1:
            creates = self._keep_best(cell, creates)
        if creates:
            yield from self._settle(cell, creates, None)
            cell.set_expire(_after(self._end(creates, cell.touched(), cell.terminated())))

    def on_due(self, cell: Cell, at: int) -> Iterator[Output]:
        """The wait of the oldest connect is over. A create whose own timer has not fired yet still counts."""
        creates = cell.creates()
        left = yield from self._settle(cell, creates, at)
        cell.clear_due()
        if left:
            self._arm_due(cell, _after(min(c.first for c in left) + self.waits.join), None)
        elif not creates:
            cell.clear_touched()

    def _settle(self, cell: Cell, creates: Sequence[Stamped], at: int | None) -> Generator[Output, None, list[Stamped]]:
        """Joins the waiting connects that a create came for in time, gives up those whose wait is over at `at`."""
        waiting, left = cell.waiting(), []
        create = _best(creates) if creates and waiting else None
        came = min((c.first for c in creates), default=0)
        for connect in waiting:
            last = connect.first + self.waits.join
            if create is not None and came <= last:
                self._note_named(cell)
                yield joined(_decode_connect(connect.row), create)
            elif at is not None and last < at:
                yield from given_up(_decode_connect(connect.row), NO_CREATE, self.kind)
            else:
                left.append(connect)
        if len(left) < len(waiting):
            _replace_waiting(cell, left)
        return left

    def on_expire(self, cell: Cell, at: int) -> Iterator[Output]:
        """The state of the create may have ended; where it was prolonged meanwhile, the timer is set again."""
        creates, terminated = cell.creates(), cell.terminated()
        if creates:
            end = self._end(creates, cell.touched(), terminated)
        elif terminated is not None:
            end = terminated + self.waits.join
        else:
            return
        if end >= at:
            cell.set_expire(_after(end))
        elif creates:
            yield from self._forget(cell, creates)
        else:
            cell.clear_terminated()

    def _end(self, creates: Sequence[Stamped], touched: int | None, terminated: int | None) -> int:
        last = max(c.last for c in creates)
        end = max(touched or last, last) + self.waits.process_ttl
        return end if terminated is None else min(end, max(terminated, last) + self.waits.terminate_grace)

    def _forget(self, cell: Cell, creates: Sequence[Stamped]) -> Iterator[Output]:
        if self.kind is JoinKind.FULL and not cell.named():
            yield unconnected(_best(creates))
        cell.clear_creates()
        cell.clear_touched()
        cell.clear_terminated()
        cell.clear_named()

    def _note_named(self, cell: Cell) -> None:
        if self.kind is JoinKind.FULL:
            cell.name()

    def _keep_best(self, cell: Cell, creates: Sequence[Stamped]) -> Sequence[Stamped]:
        rows = {c.row for c in creates}
        if len({_decode_create(row).event_uid for row in rows}) > 1:
            cell.conflict()
        best = max(rows, key=lambda row: rank(_decode_create(row)))
        kept = Stamped(min(c.first for c in creates), max(c.last for c in creates), best)
        cell.clear_creates()
        cell.add_create(kept)
        return (kept,)

    def _arm_due(self, cell: Cell, at: int, armed: int | None) -> None:
        """The timer of the oldest wait stands; a younger wait must not push it on."""
        if armed is None or at < armed:
            cell.set_due(at)


def _after(last: int) -> int:
    """When a wait that includes `last` is over: at a watermark of `last` an element of that time may still come."""
    return last + 1


def _best(creates: Sequence[Stamped]) -> ProcessCreate:
    return max((_decode_create(c.row) for c in creates), key=rank)


def _replace_waiting(cell: Cell, left: Iterable[Stamped]) -> None:
    cell.clear_waiting()
    for connect in left:
        cell.add_waiting(connect)
