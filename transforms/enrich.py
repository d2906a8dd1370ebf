"""Enrich: an event with the create of its process and with the process's ancestors. Pure; its rows, and all at once.

The event's process is found as the join finds a connect's (join.py): by (host, ProcessGuid), rules 7 to 10 of
docs/semantics.md. The grandparent stands in the parent's own create, as its parent. What one key of a stream does with
creates and events that keep coming is in enrich_keyed.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Protocol

import msgspec

from huntbeam.schemas.record import columns, positional
from huntbeam.schemas.sysmon import (
    ZERO_GUID,
    EventHead,
    ProcessContext,
    ProcessCreate,
    SysmonEnriched,
)
from huntbeam.schemas.values import Json
from huntbeam.transforms.join import rank
from huntbeam.transforms.rekey import key

FULL, NO_PARENT, MISSING = "full", "no_parent", "missing"
GRANDPARENT = 2  # ancestors that are always asked for: of these the second

GRANDPARENT_IMAGE, GRANDPARENT_COMMAND_LINE = "GrandParentImage", "GrandParentCommandLine"
# What rules call the columns of a create; the first is the event's own time, the last seven are ours.
_FIELDS = {column.source: column.name for column in columns(ProcessContext)[1:-7]}
CONTEXT_FIELDS = frozenset(_FIELDS)


class Ancestor(msgspec.Struct, frozen=True, array_like=True):
    """A process as its child's create names it."""

    process_guid: str | None
    path: str | None
    command_line: str | None


class Context(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a process: its create, and its ancestors from the parent on."""

    create: ProcessContext
    ancestors: tuple[Ancestor, ...]
    parent_known: bool  # the parent's create is there


class Pending(msgspec.Struct, frozen=True, gc=False):
    """An event that is to be enriched: for the stream, for rules, or for both."""

    head: EventHead
    data: dict[str, str | int | None] | None  # event data as a row shows it; None: no row is wanted
    rules: tuple[str, ...] = ()  # ids of the rules that are decided when the context is there
    raw: bytes = b""  # the record, where rules want it
    create: ProcessContext | None = None  # of event 1: its process's create is the event itself


class Found(msgspec.Struct, frozen=True):
    """An event and what was found for it; None: nothing."""

    event: Pending
    context: Context | None


class Child(Protocol):
    """A create, as far as it tells of the parent."""

    @property
    def parent_process_guid(self) -> str | None: ...  # noqa: D102
    @property
    def parent_process_path(self) -> str | None: ...  # noqa: D102
    @property
    def parent_process_command_line(self) -> str | None: ...  # noqa: D102


def process_of(create: ProcessCreate) -> ProcessContext:
    """The context that a row of sysmon_process_create gives; what only the event has is null."""
    return positional(ProcessContext)(*(getattr(create, name, None) for name in ProcessContext.__struct_fields__))


def parent_guid(create: ProcessContext) -> str | None:
    """By which the parent's create is found; None for none, and for a process that is its own parent."""
    found = create.parent_process_guid
    return None if found in (None, ZERO_GUID, create.process_guid) else found


def context_of(create: ProcessContext, depth: int, find: Callable[[str], Child | None]) -> Context:
    """The create with at most `depth` ancestors; `find` gives the create of a process of its host.

    Ancestors that name each other in a circle are listed once.
    """
    guid = parent_guid(create)
    known = guid is not None and find(guid) is not None
    return Context(create, tuple(_ancestors(create, depth, find)), known)


def _ancestors(create: ProcessContext, depth: int, find: Callable[[str], Child | None]) -> Iterator[Ancestor]:
    seen = {None, ZERO_GUID, create.process_guid}
    at: Child | None = create
    for _ in range(depth):
        if at is None:
            return
        guid = at.parent_process_guid
        ancestor = Ancestor(guid, at.parent_process_path, at.parent_process_command_line)
        if ancestor == _NOBODY:
            return
        yield ancestor
        if guid is None or guid in seen:
            return
        seen.add(guid)
        at = find(guid)


_NOBODY = Ancestor(None, None, None)

_OF_EVENT = EventHead.__struct_fields__[:-7]  # the columns before event_id, in both
_FILLED = [  # from the create where the event has none
    (_OF_EVENT.index(name), name) for name in ("process_id", "process_path", "user_account")
]
_OF_CREATE = [
    name
    for name in SysmonEnriched.__struct_fields__
    if name in ProcessContext.__struct_fields__ and name not in EventHead.__struct_fields__
]
_event_values = attrgetter(*_OF_EVENT)
_create_values = attrgetter(*_OF_CREATE)
_NO_CREATE = (None,) * len(_OF_CREATE)
_row = positional(SysmonEnriched)


def enriched(found: Found, ancestry: int = 0) -> SysmonEnriched:
    """The row of an event, with so many ancestors; without a context the columns of the create are null."""
    head, context = found.event.head, found.context
    create = context.create if context is not None else None
    grandparent = _nth(context, GRANDPARENT)
    ancestors = context.ancestors[:ancestry] if context is not None else ()
    return _row(
        *(_filled(head, create) if create is not None else _event_values(head)),
        head.event_id,
        head.source_name,
        head.log_name,
        found.event.data or {},
        MISSING if context is None else FULL if context.parent_known else NO_PARENT,
        *(_create_values(create) if create is not None else _NO_CREATE),
        grandparent.path,
        grandparent.command_line,
        [one.process_guid or "" for one in ancestors],
        [one.path or "" for one in ancestors],
        [one.command_line or "" for one in ancestors],
        head.host,
        create.event_date_creation if create is not None else None,
        head.event_uid,
        head.clock_skew_ms,
        head.event_time_source,
    )


def _filled(head: EventHead, create: ProcessContext) -> list[object]:
    values = list(_event_values(head))
    for place, name in _FILLED:
        if values[place] is None:
            values[place] = getattr(create, name)
    return values


def _nth(context: Context | None, number: int) -> Ancestor:
    return context.ancestors[number - 1] if context is not None and len(context.ancestors) >= number else _NOBODY


def rule_fields(context: Context | None) -> dict[str, Json]:
    """What a context says, by the names that rules have for it; what is not known is not there."""
    if context is None:
        return {}
    grandparent = _nth(context, GRANDPARENT)
    fields = {field: getattr(context.create, name) for field, name in _FIELDS.items()}
    fields |= {GRANDPARENT_IMAGE: grandparent.path, GRANDPARENT_COMMAND_LINE: grandparent.command_line}
    return {field: value for field, value in fields.items() if value is not None}


def enrich_all(processes: Iterable[ProcessContext], events: Iterable[Pending], depth: int) -> Iterator[Found]:
    """Bounded input: all processes of any number of hosts, and events of these. Holds the processes."""
    best: dict[str, dict[str, ProcessContext]] = {}  # by host and ProcessGuid
    for process in processes:
        if (k := key(process)) is not None:
            of_host = best.setdefault(k[0], {})
            if k[1] not in of_host or rank(process) > rank(of_host[k[1]]):
                of_host[k[1]] = process
    for event in events:
        find = best.get((event.head.host or "").lower(), {}).get
        k = key(event.head)
        create = event.create or (find(k[1]) if k is not None else None)
        yield Found(event, None if create is None else context_of(create, depth, find))
