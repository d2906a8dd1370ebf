"""Enrichment's wiring for bounded input: packs of rows by shard of their host. The core is enrich.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam

from huntbeam.schemas.sysmon import ProcessContext
from huntbeam.transforms.batches import Batch, in_batches
from huntbeam.transforms.enrich import GRANDPARENT, Found, Pending, enrich_all
from huntbeam.transforms.shards import SHARDS, GroupInShards, Pack, unpack

_PACK = 500  # an event with all its data is ten times a create


@dataclass
class EnrichBounded(beam.PTransform):
    """Batches of processes and events -> batches of events with their context, of `depth` ancestors.

    Complete whatever the order: all of a host is there before anything is put out. An ancestor's own ancestors are
    found by other GUIDs, so a shard has whole hosts.
    """

    depth: int = GRANDPARENT
    shards: int = SHARDS

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """PCollection[list[ProcessContext | Pending]] -> PCollection[list[Found]]."""
        shards = rows | "ByHost" >> GroupInShards(_host, self.shards, _PACK, compress=True)
        return shards | "Enrich" >> beam.FlatMap(_enrich_shard, self.depth).with_output_types(Batch)


def _host(row: ProcessContext | Pending) -> str:
    return ((row.head if isinstance(row, Pending) else row).host or "").lower()


def _enrich_shard(shard: tuple[int, Iterable[Pack]], depth: int) -> Iterator[list[Found]]:
    """Creates that are events, too, are read twice: what is held are processes."""
    _, packs = shard
    yield from in_batches(enrich_all(_processes(packs), unpack(packs, Pending), depth))


def _processes(packs: Iterable[Pack]) -> Iterator[ProcessContext]:
    yield from unpack(packs, ProcessContext)
    yield from (event.create for event in unpack(packs, Pending) if event.create is not None)
