"""Shards: rows of one key together, without paying Beam's price for every row.

Grouping costs microseconds an element. Rows are gathered by the shard of their key, packed, and grouped as packs; a
shard's keys are told apart by the core that takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

SHARDS = 16
PACK = 4_000  # rows packed together


@dataclass
class InShards(beam.PTransform):
    """Batches of rows -> packs by shard: all rows for which `key` gives the same text are in one shard."""

    key: Callable[[Any], str]
    shards: int = SHARDS

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """PCollection[list[Row]] -> PCollection[tuple[int, bytes]]."""
        return batches | "Pack" >> beam.ParDo(_Pack(self.key, self.shards)).with_output_types(tuple[int, bytes])


class _Pack(beam.DoFn):
    def __init__(self, key: Callable[[Any], str], shards: int) -> None:
        self._key = key
        self._shards = shards

    def start_bundle(self) -> None:
        self._rows: list[list[Any]] = [[] for _ in range(self._shards)]

    def process(self, batch: list[Any]) -> Iterator[tuple[int, bytes]]:
        for row in batch:
            self._rows[crc32(self._key(row).encode()) % self._shards].append(row)
        for shard, rows in enumerate(self._rows):
            if len(rows) >= PACK:
                yield shard, pack(rows)
                self._rows[shard] = []

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for shard, rows in enumerate(self._rows):
            if rows:
                yield WindowedValue((shard, pack(rows)), MIN_TIMESTAMP, [GlobalWindow()])


pack = msgspec.msgpack.Encoder().encode


def unpack(packs: Iterable[bytes], record: type[Any]) -> Iterator[Any]:
    """The rows of packs, one pack decoded at a time."""
    decode = msgspec.msgpack.Decoder(list[record]).decode  # type: ignore[valid-type]
    for packed in packs:
        yield from decode(packed)
