"""Steps of correlations, one a depth: the alerts of each are hits of those after it, and rows of `alerts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from huntbeam.schemas.correlation import CorrelationAlert
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.correlation.known import Known
from huntbeam.transforms.correlation.rows import alert_rows, passed_on

_ALERTS, _HITS = "alerts", "hits"


def chained(hits: beam.PCollection, steps: Sequence[beam.PTransform], known: Known) -> beam.PCollection:
    """The alerts of all steps; each step gets the hits of events and of the alerts before it."""
    reached, found = [hits], []
    for depth, step in enumerate(steps):
        passed = tuple(reached) | f"Hits{depth}" >> beam.Flatten() | f"Depth{depth}" >> _Step(step, known)
        found.append(passed[_ALERTS])
        reached.append(passed[_HITS])
    return found | "All" >> beam.Flatten(pipeline=hits.pipeline)


@dataclass
class _Step(beam.PTransform):
    evaluate: beam.PTransform
    known: Known

    def expand(self, hits: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        return hits | "Evaluate" >> self.evaluate | "Pass" >> tagged(partial(_pass, self.known), _ALERTS, _HITS)


def _pass(known: Known, batch: Iterable[CorrelationAlert]) -> Iterator[TaggedOutput]:
    found = list(batch)
    if rows := alert_rows(known, found):
        yield TaggedOutput(_ALERTS, rows)
    if hits := list(passed_on(known, found)):
        yield TaggedOutput(_HITS, hits)
