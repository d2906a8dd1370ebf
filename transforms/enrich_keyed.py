"""Enrichment on unbounded input: what each key does, in two steps of keyed_match.py. Pure; enrich_unbounded.py wires.

First each create looks for its parent's: that is when the parent lives or has just ended, however long its children go
on. What it finds, or does not, is the context of the process. Then events look for the context of their process. An
event waits no longer than join_wait: when only the parent's create is not there by then, it goes without a grandparent.
So that the second step can tell, a create that waits in the first is shown to the second as not whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from huntbeam.schemas.sysmon import ProcessContext, ProcessTerminate
from huntbeam.transforms.enrich import GRANDPARENT, Child, Context, Found, Pending, context_of, parent_guid
from huntbeam.transforms.join import rank
from huntbeam.transforms.keyed_match import KeyedMatch, Waits
from huntbeam.transforms.keyed_match_state import CREATE, END, ITEM, Element
from huntbeam.transforms.rekey import OfProcess, key

Brought = tuple[str, Element]  # a key, and what it is brought


class Staged(msgspec.Struct, frozen=True):
    """The context of a process on its way from the first step to the second."""

    a: int  # when its create arrived
    context: Context
    whole: bool  # false: its parent's create may still come

    @property
    def event_uid(self) -> str:
        """Of the create."""
        return self.context.create.event_uid


class ParentCreate(msgspec.Struct, frozen=True, array_like=True):
    """A create, as far as its children's contexts need it."""

    event_date_creation: str | None
    event_uid: str
    parent_process_guid: str | None
    parent_process_path: str | None
    parent_process_command_line: str | None


class _Born(msgspec.Struct, frozen=True, array_like=True):
    """A create that looks for its parent's; `event` where it is to be enriched itself."""

    a: int
    process: ProcessContext
    event: Pending | None


_encode = msgspec.msgpack.Encoder().encode
_parent = msgspec.msgpack.Decoder(ParentCreate).decode
_born = msgspec.msgpack.Decoder(_Born).decode
_staged = msgspec.msgpack.Decoder(Staged).decode
_pending = msgspec.msgpack.Decoder(Pending).decode
_PARTIAL, _WHOLE = b"\0", b"\1"


class ParentPairing(msgspec.Struct, frozen=True):
    """Pairing of creates and the creates of their children. `contexts`: events other than creates need them, too."""

    contexts: bool

    def create(self, row: bytes) -> ParentCreate:
        """Unpacks a parent."""
        return _parent(row)

    def rank(self, create: ParentCreate) -> tuple[str, str]:
        """See join.rank()."""
        return rank(create)

    def whole(self, row: bytes) -> bool:  # noqa: ARG002  # every create is
        """A create is all that a child wants."""
        return True

    def found(self, item: bytes, create: ParentCreate) -> Iterator[Staged | Found]:
        """The context of a child."""
        return self.settled(_born(item), create)

    def waits(self, item: bytes, a: int) -> Iterator[Staged | Found]:
        """What is known of a child until its parent is found."""
        if self.contexts:
            yield Staged(a, _context(_born(item).process, None), whole=False)

    def missed(self, item: bytes) -> Iterator[Staged | Found]:
        """The context of a child whose parent is not known."""
        return self.settled(_born(item), None)

    def unnamed(self, row: bytes) -> Iterator[Staged | Found]:  # noqa: ARG002  # nothing is lost with it
        """A process without children."""
        yield from ()

    def settled(self, born: _Born, parent: ParentCreate | None) -> Iterator[Staged | Found]:
        """The context for the second step, and the event when it is to be enriched itself."""
        context = _context(born.process, parent)
        if self.contexts:
            yield Staged(born.a, context, whole=True)
        if born.event is not None:
            yield Found(born.event, context)


def _context(process: ProcessContext, parent: Child | None) -> Context:
    return context_of(process, GRANDPARENT, lambda _: parent)


class EventPairing(msgspec.Struct, frozen=True):
    """Pairing of contexts and events."""

    def create(self, row: bytes) -> Staged:
        """Unpacks a context."""
        return _staged(memoryview(row)[1:])

    def rank(self, create: Staged) -> tuple[tuple[str, str], bool, bool, str]:
        """As for joins; of one create the copy that says more."""
        process = create.context.create
        return rank(process), create.whole, create.context.parent_known, process.original_file_name or ""

    def whole(self, row: bytes) -> bool:
        """Whether the parent was found or given up."""
        return row[:1] == _WHOLE

    def found(self, item: bytes, create: Staged) -> Iterator[Found]:
        """An event and its context."""
        yield Found(_pending(item), create.context)

    def waits(self, item: bytes, a: int) -> Iterator[Found]:  # noqa: ARG002  # as others need it
        """Nothing is put out yet."""
        yield from ()

    def missed(self, item: bytes) -> Iterator[Found]:
        """An event without a context."""
        yield Found(_pending(item), None)

    def unnamed(self, row: bytes) -> Iterator[Found]:  # noqa: ARG002  # it was no event
        """A process without events."""
        yield from ()


def keyed_parents(contexts: bool, waits: Waits) -> KeyedMatch[ParentCreate, Staged | Found]:
    """The first step."""
    return KeyedMatch(ParentPairing(contexts), waits, tick=tick(waits))


def keyed_events(waits: Waits) -> KeyedMatch[Staged, Found]:
    """The second step."""
    return KeyedMatch(EventPairing(), waits, tick=tick(waits))


def tick(waits: Waits) -> int:
    """A process that is not known may have thousands of events that wait."""
    return max(1, waits.join // 20)


def for_parents(a: int, row: object, contexts: bool) -> Iterator[Brought | Staged | Found]:
    """What a row brings to keys of the first step, and what is put out at once. Events but creates are not for it."""
    if isinstance(row, ProcessTerminate):
        if (place := _place(row)) is not None:
            yield place, Element(a, END)
        return
    process = row.create if isinstance(row, Pending) else row
    if not isinstance(process, ProcessContext):
        return
    if (place := _place(process)) is not None:
        yield place, Element(a, CREATE, _encode(_as_parent(process)))
    event = row if isinstance(row, Pending) else None
    if not contexts and event is None:
        return
    guid, born = parent_guid(process), _Born(a, process, event)
    if guid is None:
        yield from ParentPairing(contexts).settled(born, None)
    else:
        yield f"{(process.host or '').lower()}|{guid}", Element(a, ITEM, _encode(born))


def for_events(a: int, row: object) -> Iterator[Brought | Found]:
    """The same of the second step. Creates were for the first, which gives contexts instead."""
    if isinstance(row, Staged):
        if (place := _place(row.context.create)) is not None:
            yield place, Element(row.a, CREATE, (_WHOLE if row.whole else _PARTIAL) + _encode(row))
    elif isinstance(row, ProcessTerminate):
        if (place := _place(row)) is not None:
            yield place, Element(a, END)
    elif isinstance(row, Pending) and row.create is None:
        place = _place(row.head)
        yield Found(row, None) if place is None else (place, Element(a, ITEM, _encode(row)))


def _place(row: OfProcess) -> str | None:
    of = key(row)
    return None if of is None else "|".join(of)


def _as_parent(process: ProcessContext) -> ParentCreate:
    return ParentCreate(
        process.event_date_creation,
        process.event_uid,
        process.parent_process_guid,
        process.parent_process_path,
        process.parent_process_command_line,
    )
