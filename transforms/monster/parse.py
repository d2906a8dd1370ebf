"""One record of Monster Agent -> its document. Pure; time grows with the length of the record alone.

A record is a line of columns between tabs. A double quote comes as a back-tick; in Groups and Privileges back-ticks
stand between the parts of an entry and `|` between entries. Only numbers, times and addresses can be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from huntbeam.schemas import uid
from huntbeam.schemas.clock import DAY, LAST, instant
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.monster import ENTRIES, PROCESS_CREATE, Entry, MonsterEvent, attribute
from huntbeam.schemas.monster_layouts import COLUMNS, TICKS, Event, Layout, Order, events
from huntbeam.schemas.record import Kind
from huntbeam.schemas.values import guid, integer
from huntbeam.transforms.monster.signers import Signers

STEP = "parse"

_TICKS_A_MS = 10_000
_EPOCH_MS = 134_774 * DAY  # from 1601, where FILETIME begins, to 1970
_LAST_TICKS = (LAST + _EPOCH_MS + 1) * _TICKS_A_MS
_SHOWN_ID = 6  # digits of an event id at the most: a GUID without dashes may be digits alone
_NOTHING = frozenset(("", "-"))  # Windows writes - where there is no address, port or number

Cells = Sequence[str]
Convert = Callable[[str], Any]


class _Column(NamedTuple):
    at: int
    name: str  # of the row's attribute
    written: str
    convert: Convert


class _Plan(NamedTuple):
    """How records of one event id are read; texts and numbers apart, as most columns are text."""

    event: Event
    width: int
    texts: tuple[tuple[int, str], ...]
    times: tuple[_Column, ...]
    others: tuple[_Column, ...]
    time: int  # place of the event time


def parse(raw: bytes, order: Order = Order.CONF, signers: Signers | None = None) -> MonsterEvent:
    """A record as it came, whatever ends its line. Without signers none is judged. Raises RecordError."""
    cells = raw.decode("utf-8", "replace").rstrip("\r\n\0").split("\t")
    layout, event_id = _recognize(cells)
    plan = _plans(layout, order).get(event_id)
    if plan is None:
        raise RecordError(STEP, "UnknownEventId", f"layout {layout.value} has no such event id")
    if len(cells) != plan.width:
        expected = f"event {event_id} of layout {layout.value} has {plan.width}"
        raise RecordError(STEP, "ColumnCount", f"the record has {len(cells)} columns; {expected}")
    values: dict[str, Any] = {name: text.replace("`", '"') for at, name in plan.texts if (text := cells[at])}
    try:
        for column in plan.times:
            _read_time(values, column, cells[column.at])
        for column in plan.others:
            values[column.name] = column.convert(cells[column.at])
    except ValueError as error:
        message = f"{column.written} is no {error} in event {event_id} of layout {layout.value}"
        raise RecordError(STEP, "BadValue", message, _time(cells[plan.time])) from None
    if event_id == PROCESS_CREATE and signers is not None:
        values["signer_trusted"] = signers.trusted(values.get("Signer"), values.get("VerifiedResult"))
    remote = _REMOTE.get((layout, event_id))
    remote_ip, remote_port = remote(values) if remote else (None, None)
    return MonsterEvent(
        EventID=event_id,
        time=values[_TIME[layout]],
        event_type=plan.event.event_type,
        layout=layout.value,
        host_key=values[_HOST[layout]],
        remote_ip=remote_ip,
        remote_port=remote_port,
        event_uid=uid.monster(cells),
        **values,
    )


_TIME = {Layout.V0_9: "CollectTimestamp", Layout.V1_0: "EventTimestamp"}
_HOST = {Layout.V0_9: "HostIP", Layout.V1_0: "HostGUID"}


def _recognize(cells: Cells) -> tuple[Layout, int]:
    first = cells[0]
    if _is_event_id(first):
        return Layout.V0_9, int(first)
    if len(cells) > 2 and _is_event_id(cells[2]):
        return Layout.V1_0, int(cells[2])
    raise RecordError(STEP, "UnknownLayout", "the record begins neither with an event id nor with a host's GUID")


def _is_event_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _SHOWN_ID


@cache
def _plans(layout: Layout, order: Order) -> dict[int, _Plan]:
    return {event_id: _plan(event, _TIME[layout]) for event_id, event in events(layout, order).items()}


def _plan(event: Event, time: str) -> _Plan:
    texts, times, others = [], [], []
    for at, name in enumerate(event.columns):
        kind = COLUMNS[name].kind if name in COLUMNS else None  # None: EventID, which is read already
        if kind is Kind.TEXT:
            texts.append((at, attribute(name)))
        elif kind is Kind.INSTANT:
            times.append(_Column(at, name, name, _ticks))
        elif kind is not None:
            convert = _ENTRIES.get(name) or _CONVERT[kind]
            others.append(_Column(at, name, name, convert))
    return _Plan(event, len(event.columns), tuple(texts), tuple(times), tuple(others), event.columns.index(time))


def _read_time(values: dict[str, Any], column: _Column, cell: str) -> None:
    ticks = column.convert(cell)
    values[column.name] = instant_of(ticks) if ticks else None
    values[column.name + TICKS] = ticks


def instant_of(ticks: int) -> str:
    """The time of a FILETIME, cut to milliseconds.

    >>> instant_of(131_580_288_000_009_999)
    '2017-12-18T00:00:00.000Z'
    """
    return instant(ticks // _TICKS_A_MS - _EPOCH_MS)


def _time(cell: str) -> str | None:
    """The event time of a record that is refused for something else, where it can be read."""
    try:
        ticks = _ticks(cell)
    except ValueError:
        return None
    return instant_of(ticks) if ticks else None


def _ticks(cell: str) -> int | None:
    if cell in _NOTHING:
        return None
    if not (cell.isascii() and cell.isdecimal() and len(cell) <= 19) or (ticks := int(cell)) >= _LAST_TICKS:
        raise ValueError("time")
    return ticks


def _number(cell: str) -> int | None:
    if cell in _NOTHING:
        return None
    number = integer(cell)
    if number is None:
        raise ValueError("number")
    return number


@lru_cache(maxsize=16_384)
def _address(cell: str) -> str | None:
    """An address in its one spelling; without its zone, which means something to its host alone."""
    if cell in _NOTHING:
        return None
    text, zone, _ = cell.partition("%")
    try:
        found = ip_address(text[:64])  # none is as long
    except ValueError:
        raise ValueError("address") from None
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or found)
    if zone:
        raise ValueError("address")
    return str(found)


def _guid(cell: str) -> str | None:
    return guid(cell) or cell or None


def _groups(cell: str) -> list[Entry] | None:
    return _entries(cell, 3)


def _privileges(cell: str) -> list[Entry] | None:
    return _entries(cell, 2)


def _entries(cell: str, parts: int) -> list[Entry] | None:
    """Entries of name, sid and attributes, or of name and attributes. What comes behind the last part belongs to it."""
    if not cell:
        return None
    written = cell.split("|", ENTRIES + 1)
    if len(written) > ENTRIES + 1:
        raise ValueError(f"list of at most {ENTRIES:,} entries")
    return [_entry(one.replace('"', "`").split("`", parts - 1), parts) for one in written if one] or None


def _entry(parts: list[str], count: int) -> Entry:
    name, *others = (part.replace("`", '"') or None for part in parts)
    sid = others.pop(0) if count == 3 and others else None
    return Entry(name or "", sid, others[0] if others else None)


_CONVERT: dict[Kind, Convert] = {Kind.INTEGER: _number, Kind.IP: _address, Kind.GUID: _guid}
_ENTRIES: dict[str, Convert] = {"Groups": _groups, "Privileges": _privileges}

Values = dict[str, Any]
Remote = tuple[str | None, int | None]


def _destination(values: Values) -> Remote:
    return values["DestinationIp"], values["DestinationPort"]


def _accepted(values: Values) -> Remote:
    """0.9 names destination and source of an accept without saying which is the host: the other one is remote."""
    if values["DestinationIp"] == values["HostIP"]:
        return values["SourceIP"], values["SourcePort"]
    return _destination(values)


def _server(values: Values) -> Remote:
    return values["ServerIP"], values["ServerPort"]


def _client(values: Values) -> Remote:
    return values["ClientIP"], values["ClientPort"]


def _source(values: Values) -> Remote:
    return values["SourceIP"], values.get("SourcePort")


def _in(layout: Layout, remote: Callable[[Values], Remote], ids: Iterable[int]) -> dict[tuple[Layout, int], Any]:
    return {(layout, event_id): remote for event_id in ids}


_REMOTE: dict[tuple[Layout, int], Callable[[Values], Remote]] = (
    _in(Layout.V0_9, _destination, (3500,))
    | _in(Layout.V0_9, _accepted, (3501,))
    | _in(Layout.V1_0, _server, (3500, 3502))
    | _in(Layout.V1_0, _client, (3501, 3503))
    | _in(Layout.V1_0, _source, (9500, 9501, 9505, 9506))
)
