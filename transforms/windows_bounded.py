"""Windows' bounded wiring: counted bundle by bundle, parts merged by group. The core is windows.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas.window import Counter, WindowCount
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.shards import SHARDS, GroupInShards, Pack, unpack
from huntbeam.transforms.windows import Accumulator, Counting, Finisher, merge_all

GROUPS = 50_000  # groups a bundle counts before it passes them on: what bounds its memory
BATCH = 1_000


@dataclass
class CountBounded(beam.PTransform):
    """Batches of rows -> batches of window rows, each put out once."""

    counters: tuple[Counter, ...]
    size_ms: int
    shards: int = SHARDS

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """PCollection[list[ProcessCreate | NetworkConnect | SysmonEvent]] -> PCollection[list[WindowCount]]."""
        return (
            batches
            | "Count" >> beam.ParDo(_Count(self.counters, self.size_ms)).with_output_types(Batch)
            | "ByGroup" >> GroupInShards(_place, self.shards)
            | "Merge" >> beam.ParDo(_Merge(self.counters, self.size_ms)).with_output_types(Batch)
        )


def _place(part: Accumulator) -> str:
    return f"{part.counter}|{part.start}|{part.key}"


class _Count(beam.DoFn):
    def __init__(self, counters: tuple[Counter, ...], size_ms: int) -> None:
        self._counters = counters
        self._size_ms = size_ms

    def start_bundle(self) -> None:
        self._counting = Counting(self._counters, self._size_ms)

    def process(self, batch: list[Any]) -> Iterator[list[Accumulator]]:
        self._counting.add(batch)
        if len(self._counting.groups) >= GROUPS:
            yield self._counting.take()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield WindowedValue(self._counting.take(), MIN_TIMESTAMP, [GlobalWindow()])


class _Merge(beam.DoFn):
    def __init__(self, counters: tuple[Counter, ...], size_ms: int) -> None:
        self._finisher = Finisher(counters, size_ms)

    def process(self, shard: tuple[int, Iterable[Pack]]) -> Iterator[list[WindowCount]]:
        rows: list[WindowCount] = []
        for accumulator in merge_all(unpack(shard[1], Accumulator)):
            rows.append(self._finisher.row(accumulator))
            if len(rows) >= BATCH:
                yield rows
                rows = []
        if rows:
            yield rows
