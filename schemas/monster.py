"""Monster Agent's document: one record type for all event ids of both layouts, made from schemas/monster_layouts.py.

A document has the columns that its event id has; in JSON what is null is left out. Parquet and Avro have all columns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from huntbeam.schemas.geo import Geo
from huntbeam.schemas.monster_layouts import COLUMNS, TICKS
from huntbeam.schemas.record import Kind, column
from huntbeam.schemas.sysmon import EventUid

ENTRIES = 1_024  # of a list: a Windows token has no more groups

PROCESS_CREATE = 1500
NETWORK = frozenset((3500, 3501, 3502, 3503))


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One of Groups or Privileges; a privilege has no sid."""

    name: str
    sid: str | None = None
    attributes: str | None = None


class _Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of Monster Agent, with the vendor's columns of its event id."""

    EventID: Annotated[int, column(Kind.INTEGER, "EventID", "Event id")]
    time: Annotated[str | None, column(Kind.INSTANT, "computed", "CollectTimestamp (0.9) or EventTimestamp (1.0)")] = (
        None
    )
    event_type: Annotated[str, column(Kind.TEXT, "computed", "What happened, by a name of one word")]
    layout: Annotated[str, column(Kind.TEXT, "computed", "0.9 or 1.0")]
    host_key: Annotated[str | None, column(Kind.TEXT, "computed", "Host: HostIP (0.9) or HostGUID (1.0)")] = None
    remote_ip: Annotated[str | None, column(Kind.IP, "computed", "The other side of a connection or logon")] = None
    remote_port: Annotated[int | None, column(Kind.INTEGER, "computed", "Its port")] = None
    DestinationGeoip: Annotated[Geo | None, column(Kind.GEO, "--geoip", "Where remote_ip is")] = None
    signer_trusted: Annotated[
        bool | None, column(Kind.BOOLEAN, "computed", "Of 1500: the signer is among the trusted ones")
    ] = None
    event_uid: EventUid

    @property
    def event_date_creation(self) -> str | None:
        """The event time, by the name that counters know."""
        return self.time

    @property
    def event_id(self) -> int:
        """The event id, by the name that counters know."""
        return self.EventID


def attribute(name: str) -> str:
    """The name of a column where parentheses cannot be: attributes of rows, Parquet, Avro.

    >>> attribute("FinalFileName(NT)")
    'FinalFileName_NT'
    """
    return re.sub(r"\W+", "_", name).strip("_")


_PYTHON: dict[Kind, Any] = {
    Kind.INTEGER: int,
    Kind.OBJECT_LIST: list[Entry],
}


def _fields() -> list[tuple[str, Any, None]]:
    fields: list[tuple[str, Any, None]] = []
    for name, (kind, description) in COLUMNS.items():
        declared = column(kind, name, description)
        fields.append((attribute(name), Annotated[_PYTHON.get(kind, str) | None, declared], None))
        if kind is Kind.INSTANT:
            ticks = column(Kind.INTEGER, f"{name}(UTC)", f"{description}: 100 ns since 1601 (FILETIME)")
            fields.append((name + TICKS, Annotated[int | None, ticks], None))
    return fields


if TYPE_CHECKING:
    MonsterEvent = _Document
else:
    MonsterEvent = msgspec.defstruct(
        "MonsterEvent",
        _fields(),
        bases=(_Document,),
        module=__name__,
        namespace={"__doc__": _Document.__doc__},
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        rename={attribute(name): name for name in COLUMNS if attribute(name) != name},
    )
