"""Rekey: a Sysmon event, flattened to the columns of the KSQL statements and keyed by (host, ProcessGuid). Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol, TypeVar

from huntbeam.schemas import uid
from huntbeam.schemas.clock import EventTime, instant, read_clocks
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.record import Kind, columns, positional
from huntbeam.schemas.sysmon import (
    ZERO_GUID,
    ContextCreate,
    EventHead,
    NetworkConnect,
    ProcessContext,
    ProcessCreate,
    SysmonEvent,
)
from huntbeam.schemas.values import Json, guid, integer, text
from huntbeam.schemas.winlog import WinlogEvent, identifying

STEP = "rekey"

Row = SysmonEvent | ProcessCreate | ContextCreate | NetworkConnect | ProcessContext | EventHead
R = TypeVar("R", SysmonEvent, ProcessCreate, ContextCreate, NetworkConnect, ProcessContext, EventHead)
Key = tuple[str, str]  # host in lower case, ProcessGuid

_CONVERT: dict[Kind, Callable[[Json], object]] = {
    Kind.TEXT: text,
    Kind.IP: text,
    Kind.INTEGER: integer,
    Kind.GUID: guid,
}
_HEAD = 1  # columns before the event data's: the event time
_TAIL = 7  # and behind it: event_id, source_name, log_name, host, event_uid, clock_skew_ms, event_time_source

# Events 8 and 10 name their process Source..., in two spellings, and the other process Target....
_SOURCE_PROCESS = {
    "ProcessGuid": ("SourceProcessGuid", "SourceProcessGUID"),
    "ProcessId": ("SourceProcessId",),
    "Image": ("SourceImage",),
}


class Reading(NamedTuple):
    """A Sysmon event as read once, from which any of its rows is made."""

    event: WinlogEvent
    data: dict[str, Json]
    event_uid: str
    time: str | None
    time_source: EventTime | None
    skew_ms: int | None


def read_event(event: WinlogEvent, mode: EventTime) -> Reading:
    """Reads clocks, ids and event data. Raises RecordError without event data."""
    data = event.data()
    millis, source, skew_ms = read_clocks(mode, text(data.get("UtcTime")), event.time)
    event_uid = uid.event(
        event.host, event.provider, event.channel, event.event_id, event.record_id, event.time, identifying(data)
    )
    if "ProcessId" not in data and (process_id := event.process_id_in_message()) is not None:
        data["ProcessId"] = process_id  # after the id was made: the message is not event data
    return Reading(event, data, event_uid, None if millis is None else instant(millis), source, skew_ms)


def flatten(reading: Reading, record: type[R]) -> R:
    """The row of an event: the columns of `record`, whose first is the event time and whose last seven are ours."""
    get = reading.data.get
    event = reading.event
    # Most columns are null or text already; the calls that convert them would be most of this function's time.
    return positional(record)(
        reading.time,
        *[
            value
            if (value := get(name)) is None or (convert is text and value.__class__ is str and value)
            else convert(value)
            for name, convert in _data_columns(record)
        ],
        event.event_id,
        event.provider,
        event.channel,
        event.host,
        reading.event_uid,
        reading.skew_ms,
        reading.time_source,
    )


@cache
def _data_columns(record: type[Row]) -> tuple[tuple[str, Callable[[Json], object]], ...]:
    return tuple((c.source, _CONVERT[c.kind]) for c in columns(record)[_HEAD:-_TAIL])


def require_process(reading: Reading) -> None:
    """Raises RecordError for a create or connect without a ProcessGuid: nothing could be joined to it, ever."""
    written = reading.data.get("ProcessGuid")
    if text(written) is None:
        raise RecordError(STEP, "NoProcessGuid", "the record has no ProcessGuid", reading.time)
    if guid(written) is None:
        raise RecordError(STEP, "InvalidProcessGuid", "the record's ProcessGuid is no GUID", reading.time)


def with_source_process(reading: Reading) -> Reading:
    """The event with its acting process under ProcessGuid, ProcessId and Image (events 8 and 10)."""
    data = dict(reading.data)
    for name, others in _SOURCE_PROCESS.items():
        if name not in data:
            data[name] = next((data[other] for other in others if other in data), None)
    return reading._replace(data=data)


class OfProcess(Protocol):
    """A row that names a process of a host."""

    @property
    def host(self) -> str | None: ...  # noqa: D102
    @property
    def process_guid(self) -> str | None: ...  # noqa: D102


def key(row: OfProcess) -> Key | None:
    """What a row joins by; None for the all-zero GUID, which never joins."""
    if row.process_guid is None or row.process_guid == ZERO_GUID:
        return None
    return (row.host or "").lower(), row.process_guid
