"""Join's wiring for bounded input: packs of rows by shard of their process, then a GroupByKey. The core is join.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import apache_beam as beam

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import ContextCreate, NetworkConnect, ProcessCreate
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.join import JoinKind, join_all
from huntbeam.transforms.join_batches import JoinBatches
from huntbeam.transforms.rekey import key
from huntbeam.transforms.shards import SHARDS, GroupInShards, Pack, unpack


@dataclass
class JoinBounded(beam.PTransform):
    """Batches of creates and connects -> tagged batches: sysmon_join, sysmon_unmatched.

    Complete whatever the order: all of a key is there before anything is put out.
    """

    kind: JoinKind = JoinKind.INNER
    shards: int = SHARDS

    def expand(self, rows: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """PCollection[list[ProcessCreate | NetworkConnect]] -> PCollections of list[SysmonJoin], list[...]."""
        return (
            rows
            | "ByProcess" >> GroupInShards(_place, self.shards)
            | "Join" >> tagged(_JoinShard(self.kind), streams.JOIN, streams.UNMATCHED)
        )


def _place(row: ProcessCreate | NetworkConnect) -> str:
    return "|".join(key(row) or ())


class _JoinShard(beam.DoFn):
    def __init__(self, kind: JoinKind) -> None:
        self._kind = kind
        self._batches = JoinBatches(self.__class__)

    def process(self, shard: tuple[int, Iterable[Pack]]) -> Iterator[beam.pvalue.TaggedOutput]:
        _, packs = shard
        creates = chain(unpack(packs, ProcessCreate), unpack(packs, ContextCreate))
        connects = unpack(packs, NetworkConnect)
        yield from self._batches.of(join_all(creates, connects, self._kind))
