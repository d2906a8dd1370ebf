"""Correlations' bounded wiring: the hits of a group together, one depth after the other. The core is evaluate.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.metrics import Metrics

from huntbeam.schemas.correlation import CorrelationAlert, Grouped, GroupKey, Hit
from huntbeam.transforms.batches import Batch, in_batches
from huntbeam.transforms.correlation.evaluate import evaluate
from huntbeam.transforms.correlation.known import Known
from huntbeam.transforms.correlation.passing import chained
from huntbeam.transforms.shards import SHARDS, GroupInShards, Pack, unpack


@dataclass
class CorrelateBounded(beam.PTransform):
    """Batches of hits -> batches of alerts, each put out once. The hits of a shard are in memory together.

    `depths` says how many depths of correlations there are.
    """

    known: Known
    depths: int
    shards: int = SHARDS

    def expand(self, hits: beam.PCollection) -> beam.PCollection:
        """PCollection[list[Grouped]] -> PCollection[list[Alert]]."""
        steps = [_Depth(self.known, depth, self.shards) for depth in range(self.depths)]
        return chained(hits, steps, self.known)


@dataclass
class _Depth(beam.PTransform):
    known: Known
    depth: int
    shards: int

    def expand(self, hits: beam.PCollection) -> beam.PCollection:
        return (
            hits
            | "OfDepth" >> beam.Map(partial(_of_depth, self.depth)).with_output_types(Batch)
            | "ByGroup" >> GroupInShards(_group, self.shards)
            | "Evaluate" >> beam.ParDo(_EvaluateFn(self.known)).with_output_types(Batch)
        )


def _of_depth(depth: int, batch: Iterable[Grouped]) -> list[Grouped]:
    return [one for one in batch if one.depth == depth]


def _group(one: Grouped) -> str:
    return str(one.key)


class _EvaluateFn(beam.DoFn):
    def __init__(self, known: Known) -> None:
        self._known = known
        self._emitted = Metrics.counter(self.__class__, "emitted")

    def process(self, shard: tuple[int, Iterable[Pack]]) -> Iterator[list[CorrelationAlert]]:
        groups: dict[GroupKey, list[Hit]] = {}
        for one in unpack(shard[1], Grouped):
            groups.setdefault(one.key, []).append(one.hit)
        for rows in in_batches(self._found(groups)):
            self._emitted.inc(len(rows))
            yield rows

    def _found(self, groups: dict[GroupKey, list[Hit]]) -> Iterator[CorrelationAlert]:
        for key, hits in groups.items():
            correlation = self._known.find(key.rule_id, key.version)
            if correlation is not None:
                yield from evaluate(correlation, key.group, hits)
