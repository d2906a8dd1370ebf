"""Correlations' unbounded wiring: a stateful DoFn a group for each depth. The core is keyed.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam

from huntbeam.schemas.clock import HOUR, SECOND
from huntbeam.schemas.correlation import Grouped, GroupKey
from huntbeam.transforms.correlation.keyed import Arrived, CorrelationCore
from huntbeam.transforms.correlation.known import DEEPEST, Known
from huntbeam.transforms.correlation.passing import chained
from huntbeam.transforms.keyed_log_beam import EvaluateKeyed, KeyedLogFn


class Depth0Fn(KeyedLogFn, timer="correlation_0_due", key=GroupKey):
    """Groups of correlations that name rules on events."""


class Depth1Fn(KeyedLogFn, timer="correlation_1_due", key=GroupKey):
    """Groups of correlations that name those, too; and so on."""


class Depth2Fn(KeyedLogFn, timer="correlation_2_due", key=GroupKey):
    """Deeper ones."""


class Depth3Fn(KeyedLogFn, timer="correlation_3_due", key=GroupKey):
    """Deeper ones."""


class Depth4Fn(KeyedLogFn, timer="correlation_4_due", key=GroupKey):
    """Deeper ones."""


_STEPS: tuple[type[KeyedLogFn], ...] = (Depth0Fn, Depth1Fn, Depth2Fn, Depth3Fn, Depth4Fn)


@dataclass
class CorrelateUnbounded(beam.PTransform):
    """Batches of hits, with arrivals as timestamps -> batches of alerts.

    As CorrelateBounded, but that an alert is put out again when it changes, with a higher revision, and taken back when
    it no longer holds; to the correlations that name its rule it arrives when it is put out. Waits are in milliseconds
    of the stream's clock. `depths` is how many there are now; rules that a job is given later are no deeper.
    """

    known: Known
    depths: int
    wait_ms: int = 30 * SECOND
    allowed_lateness_ms: int = HOUR

    def expand(self, hits: beam.PCollection) -> beam.PCollection:
        """PCollection[list[Grouped]] -> PCollection[list[Alert]]."""
        if self.depths > DEEPEST + 1:
            raise ValueError(f"there are {DEEPEST + 1} depths at the most, not {self.depths}")
        core = CorrelationCore(self.known, self.wait_ms, self.allowed_lateness_ms)
        steps = [EvaluateKeyed(core, partial(_brings, depth), _STEPS[depth]) for depth in range(self.depths)]
        return chained(hits, steps, self.known)


def _brings(depth: int, a: int, one: Grouped) -> Iterator[tuple[GroupKey, Arrived]]:
    if one.depth == depth:
        yield one.key, Arrived(a, one.hit, one.revision, one.retracted)
