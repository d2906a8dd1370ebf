"""Shards: rows of one key together, without paying Beam's price for every row.

Grouping costs microseconds an element. Rows are gathered by the shard of their key, packed, and grouped as packs; a
shard's keys are told apart by the core that takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import compress, crc32, decompress

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

SHARDS = 16
PACK = 4_000  # rows packed together

Row = TypeVar("Row")
Pack = tuple[str, bytes]  # name of the record type, rows of it


@dataclass
class GroupInShards(beam.PTransform):
    """Batches of rows, of one record type or several -> packs by shard.

    All rows for which `key` gives the same text are in one shard. Beam holds packs several times over: of rows that are
    large and alike, `compress` makes a sixth, for 5 microseconds a row.
    """

    key: Callable[[Any], str]
    shards: int = SHARDS
    pack: int = PACK
    compress: bool = False

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """PCollection[list[Row]] -> PCollection[tuple[int, Iterable[Pack]]]."""
        pack = _Pack(self.key, self.shards, self.pack, self.compress)
        packs = batches | "Pack" >> beam.ParDo(pack).with_output_types(tuple[int, Pack])
        return packs | "Group" >> beam.GroupByKey()


class _Pack(beam.DoFn):
    def __init__(self, key: Callable[[Any], str], shards: int, pack: int, compress: bool) -> None:
        self._key = key
        self._shards = shards
        self._most = pack
        self._compress = compress

    def start_bundle(self) -> None:
        self._rows: dict[tuple[int, type], list[Any]] = {}

    def process(self, batch: list[Any]) -> Iterator[tuple[int, Pack]]:
        for row in batch:
            place = crc32(self._key(row).encode()) % self._shards, type(row)
            rows = self._rows.setdefault(place, [])
            rows.append(row)
            if len(rows) >= self._most:
                yield self._packed(place, rows)
                rows.clear()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for place, rows in self._rows.items():
            if rows:
                yield WindowedValue(self._packed(place, rows), MIN_TIMESTAMP, [GlobalWindow()])

    def _packed(self, place: tuple[int, type], rows: list[Any]) -> tuple[int, Pack]:
        packed = _encode(rows)
        return place[0], (place[1].__name__, compress(packed, level=1) if self._compress else packed)


_encode = msgspec.msgpack.Encoder().encode
_COMPRESSED = b"\x78"  # how zlib begins, and no list of msgpack


def unpack(packs: Iterable[Pack], record: type[Row]) -> Iterator[Row]:
    """The rows of one record type, one pack decoded at a time."""
    decode = msgspec.msgpack.Decoder(list[record]).decode  # type: ignore[valid-type]
    for name, packed in packs:
        if name == record.__name__:
            yield from decode(decompress(packed) if packed[:1] == _COMPRESSED else packed)
