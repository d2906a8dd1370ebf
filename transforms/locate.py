"""Adds to rows where their addresses are, by GeoIP files; the reader is geoip.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics

from huntbeam.schemas.alert import Alert
from huntbeam.schemas.geo import Geo
from huntbeam.schemas.monster import MonsterEvent
from huntbeam.schemas.sysmon import SysmonJoin
from huntbeam.schemas.values import text
from huntbeam.transforms.batches import Batch

Where = Callable[[str | None], Geo | None]

# What the events of Sysmon, of the Security log and of Monster Agent call the two sides.
_SOURCES = ("SourceIp", "SourceIP", "SourceAddress", "IpAddress", "ClientAddress")
_DESTINATIONS = ("DestinationIp", "DestinationIP", "DestAddress", "ServerIP")


@dataclass
class Locate(beam.PTransform):
    """Batches of joins, alerts or documents of Monster Agent -> the same rows, with `Geo` where it is known."""

    paths: tuple[str, ...]

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """PCollection[list[Row]] -> PCollection[list[Row]]."""
        return batches | "Locate" >> beam.ParDo(LocateFn(self.paths)).with_output_types(Batch)


class LocateFn(beam.DoFn):
    """Asks the files of its process."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = paths
        self._located = Metrics.counter(self.__class__, "located")

    def setup(self) -> None:
        """Once a worker process and step."""
        from huntbeam.transforms.geoip import locator  # only runs with --geoip have to load its library

        self._locate = locator(self._paths).locate

    def process(self, batch: list[Any]) -> list[list[Any]]:
        """A batch; rows of other types stay as they are."""
        rows = [located(row, self._locate) for row in batch]
        self._located.inc(sum(new is not old for new, old in zip(rows, batch, strict=True)))
        return [rows]


def located(row: Any, where: Where) -> Any:
    """A row with what is known of its addresses; the row itself when that is nothing."""
    if isinstance(row, MonsterEvent):
        found = {"DestinationGeoip": where(row.remote_ip)}
    elif isinstance(row, SysmonJoin):
        found = {"src_geo": where(row.src_ip_addr), "dst_geo": where(row.dst_ip_addr)}
    elif isinstance(row, Alert):
        found = {"src_geo": where(_first(row.event, _SOURCES)), "dst_geo": where(_first(row.event, _DESTINATIONS))}
    else:
        return row
    known = {name: geo for name, geo in found.items() if geo is not None}
    return msgspec.structs.replace(row, **known) if known else row


def _first(event: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := text(event.get(name))) not in (None, "-")), None)
