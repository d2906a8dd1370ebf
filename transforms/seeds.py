"""Seeds: process creates from before the job, so that connects of older processes join, too. They are no output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import TimestampedValue

from huntbeam.schemas import streams
from huntbeam.schemas.dead_letter import Original, RecordError, dead_letter
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.sysmon import ContextCreate
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.enrich import process_of
from huntbeam.transforms.row_files import folder_rows
from huntbeam.transforms.topic_rows import decode_value

_STEP = "seed"
_BATCH = 1_000


def seed(value: bytes) -> ContextCreate:
    """A create from a value of SYSMON_PROCESS_CREATE. Raises RecordError."""
    return _create(decode_value(value))


def _create(row: dict[str, Any]) -> ContextCreate:
    try:
        return msgspec.convert(row, ContextCreate)
    except msgspec.ValidationError as error:
        raise RecordError(_STEP, "NoProcessCreate", "the row is no process create") from error


def folder_creates(folder: str) -> Iterator[ContextCreate]:
    """The creates of a replay's output, or of its folder of them. Raises UnusableError."""
    place = Path(folder) / streams.PROCESS_CREATE
    place = place if place.is_dir() else Path(folder)
    try:
        yield from map(_create, folder_rows(place))
    except RecordError as error:
        raise UnusableError(f"--seed_creates {folder}: {error.message}; name a folder of creates") from error


@dataclass
class SeedRecords(beam.PTransform):
    """Records of a SYSMON_PROCESS_CREATE topic -> digested batches. What came after `until` (ms) is not the past.

    The job may write to that very topic.
    """

    source: str
    until: int

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        """PCollection[tuple[bytes | None, bytes | None]] -> PCollection[Digested]."""
        return records | "Seed" >> beam.ParDo(_SeedFn(self.source, self.until)).with_output_types(Digested)


class _SeedFn(beam.DoFn):
    def __init__(self, source: str, until: int) -> None:
        self._source = source
        self._until = until

    def process(
        self, record: tuple[bytes | None, bytes | None], timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterator[Digested]:
        value = record[1]
        if value is None or millis(timestamp) > self._until:
            return
        try:
            yield _seeded([seed(value)])
        except RecordError as error:
            yield Digested(dead_letters=[dead_letter(error, Original.of(value), self._source, None)])


@dataclass
class SeedFolder(beam.PTransform):
    """A folder of creates -> digested batches, which arrive when they are read."""

    folder: str

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """PBegin -> PCollection[Digested]."""
        return begin | "Begin" >> beam.Impulse() | "Seed" >> beam.FlatMap(_folder_seeds, self.folder)


def _folder_seeds(_: bytes, folder: str) -> Iterator[TimestampedValue]:
    now = timestamp(int(time.time() * 1000))
    creates = []
    for create in folder_creates(folder):
        creates.append(create)
        if len(creates) >= _BATCH:
            yield TimestampedValue(_seeded(creates), now)
            creates = []
    if creates:
        yield TimestampedValue(_seeded(creates), now)


def _seeded(creates: list[ContextCreate]) -> Digested:
    return Digested(context=creates, processes=[process_of(create) for create in creates])
