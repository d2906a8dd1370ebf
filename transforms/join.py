"""Join: each network connect with the create of its process, by (host, ProcessGuid). Pure; its rows, and all at once.

Rules 7 to 10 of docs/semantics.md. The two event times are never compared: clocks drift by days. What one key does
with elements that keep coming is in keyed_match.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

from huntbeam.schemas import uid
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
_GEO = 2  # src_geo, dst_geo: another step's
_JOIN_COLUMNS = [c.name for c in columns(SysmonJoin)][: -_OURS - _GEO]
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


class Ranked(Protocol):
    """A create, in whichever columns."""

    @property
    def event_date_creation(self) -> str | None: ...  # noqa: D102
    @property
    def event_uid(self) -> str: ...  # noqa: D102


def rank(create: Ranked) -> tuple[str, str]:
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
