"""Window rows and the counters that make them, declared as data (docs/semantics.md, rules 11-13)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from huntbeam.schemas.record import Kind, column
from huntbeam.schemas.sysmon import EventUid

SUM_CAP = 2**63 - 1  # a sum stops there
DISTINCT_CAP = 100_000  # distinct values kept exactly, a row and column; beyond it `distinct_capped` says so


class Counter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to count: events of some ids, that have the values of `where`, per tumbling window and key columns.

    `sum` adds up columns that are numbers; one below 0 counts as 0.
    """

    name: str
    event_id: int | tuple[int, ...]
    key: tuple[str, ...]
    distinct: tuple[str, ...] = ()
    where: dict[str, list[str | int | bool]] = {}
    sum: tuple[str, ...] = ()

    @property
    def event_ids(self) -> tuple[int, ...]:
        """The event ids."""
        return (self.event_id,) if isinstance(self.event_id, int) else self.event_id


NETWORK_DESTINATION = Counter(
    name="network_destination",
    event_id=3,
    key=("host", "user_account", "process_path", "dst_ip_addr", "dst_port"),
    distinct=("src_port",),
)
PROCESS_IMAGE = Counter(name="process_image", event_id=1, key=("host", "process_path"))
BUILT_IN = (NETWORK_DESTINATION, PROCESS_IMAGE)

_I, _N, _B = Kind.INSTANT, Kind.INTEGER, Kind.BOOLEAN


class WindowCount(msgspec.Struct, frozen=True, omit_defaults=True):
    """One counter, one tumbling window of event time, one key."""

    counter: Annotated[str, column(Kind.TEXT, "counter", "Name of the counter")]
    window_start: Annotated[str, column(_I, "event time", "Start of the window, inclusive")]
    window_end: Annotated[str, column(_I, "event time", "End of the window, exclusive")]
    key: Annotated[dict[str, str | int | None], column(Kind.TEXT_MAP, "key columns", "Key columns and their values")]
    count: Annotated[int, column(_N, "counted", "Events; of several copies of a row the highest is valid")]
    distinct: Annotated[dict[str, int], column(Kind.INTEGER_MAP, "counted", "Distinct values, null not among them")]
    distinct_capped: Annotated[bool, column(_B, "counted", "True when a distinct count stopped at 100,000")]
    first_seen: Annotated[str, column(_I, "event time", "Earliest event of the row")]
    last_seen: Annotated[str, column(_I, "event time", "Latest event of the row")]
    generation: Annotated[int | None, column(_N, "counted", "Stream: which run of late events; null in replay")]
    late_count: Annotated[int, column(_N, "counted", "Events that came after the row had been put out; 0 in replay")]
    event_uid: EventUid
    sums: Annotated[
        dict[str, int] | None,
        column(Kind.INTEGER_MAP, "counted", "Sums of the counter's numbers; left out when it has none"),
    ] = None
