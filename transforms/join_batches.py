"""The rows of a join on their way out, whichever wiring made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import SysmonJoin
from huntbeam.transforms.join import Output

BATCH = 1_000  # rows a batch that leaves a join


class JoinBatches:
    """Rows of a join, counted and gathered into tagged batches."""

    def __init__(self, namespace: type) -> None:
        self._joined = Metrics.counter(namespace, "joined")
        self._unmatched = Metrics.counter(namespace, "unmatched")

    def of(self, rows: Iterable[Output], size: int = BATCH) -> Iterator[beam.pvalue.TaggedOutput]:
        """Batches of rows, tagged by their stream."""
        joined: list[Output] = []
        unmatched: list[Output] = []
        for row in rows:
            (joined if isinstance(row, SysmonJoin) else unmatched).append(row)
            if len(joined) >= size:
                yield self._flush(streams.JOIN, joined)
                joined = []
            if len(unmatched) >= size:
                yield self._flush(streams.UNMATCHED, unmatched)
                unmatched = []
        for tag, left in ((streams.JOIN, joined), (streams.UNMATCHED, unmatched)):
            if left:
                yield self._flush(tag, left)

    def _flush(self, tag: str, rows: list[Output]) -> beam.pvalue.TaggedOutput:
        (self._joined if tag == streams.JOIN else self._unmatched).inc(len(rows))
        return beam.pvalue.TaggedOutput(tag, rows)
