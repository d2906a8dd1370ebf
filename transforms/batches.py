"""Batches: what flows between steps is lists of rows, since Beam's price is paid by the element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any, TypeVar

import apache_beam as beam
import msgspec

from huntbeam.schemas.correlation import CorrelationAlert, Grouped
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.sysmon import ContextCreate, ProcessContext, ProcessTerminate
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.enrich import Found, Pending
from huntbeam.transforms.enrich_keyed import Staged
from huntbeam.transforms.suppression.evaluate import Placed
from huntbeam.transforms.suppression.keyed import Coming
from huntbeam.transforms.windows import Accumulator

ROW_BYTES = 700  # of a row, about
HIT_BYTES = 150  # of a hit of a correlation
ROWS = 1_000  # of a batch that leaves a step

Row = TypeVar("Row")


class Batch(list[Any]):
    """The type hint of a list of rows. Plain lists are as good."""


class BatchCoder(beam.coders.Coder):
    """Rows as msgpack, under the names of their record types.

    It knows a batch's size without packing it: Beam weighs elements, and by default it would pickle every row.
    """

    def encode(self, batch: list[Any]) -> bytes:
        """Only between stages of a distributed runner."""
        return _encode([(record.__name__, list(rows)) for record, rows in groupby(batch, type)])

    def decode(self, encoded: bytes) -> list[Any]:
        """The rows in their order."""
        return [row for name, rows in _decode_runs(encoded) for row in _DECODE[name](rows)]

    def estimate_size(self, batch: list[Any]) -> int:
        """A guess."""
        return len(batch) * ROW_BYTES

    def is_deterministic(self) -> bool:
        """Batches are no keys."""
        return False


_encode = msgspec.msgpack.Encoder().encode
_decode_runs = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]]).decode
_RECORDS: tuple[type[Any], ...] = (
    *STREAMS.values(),
    ContextCreate,
    ProcessContext,
    ProcessTerminate,
    Pending,
    Staged,
    Found,
    Accumulator,
    Grouped,
    CorrelationAlert,
    Coming,
    Placed,
)
_DECODE: dict[str, Callable[[msgspec.Raw], list[Any]]] = {
    record.__name__: msgspec.msgpack.Decoder(list[record]).decode  # type: ignore[valid-type]
    for record in _RECORDS
}


class DigestedCoder(beam.coders.Coder):
    """Digested records as msgpack. It, too, knows a size without packing."""

    def encode(self, digested: Digested) -> bytes:
        """Only between stages of a distributed runner."""
        return _encode(digested)

    def decode(self, encoded: bytes) -> Digested:
        """All of it."""
        return _decode_digested(encoded)

    def estimate_size(self, digested: Digested) -> int:
        """A guess."""
        d = digested
        rows = len(d.creates) + len(d.context) + len(d.connects) + len(d.events) + len(d.arrivals)
        rows += len(d.processes) + len(d.pending)
        return ROW_BYTES * (rows + len(d.alerts) + len(d.dead_letters)) + HIT_BYTES * len(d.hits)

    def is_deterministic(self) -> bool:
        """They are no keys."""
        return False


_decode_digested = msgspec.msgpack.Decoder(Digested).decode

beam.coders.registry.register_coder(Batch, BatchCoder)
beam.coders.registry.register_coder(Digested, DigestedCoder)


def in_batches(rows: Iterable[Row], size: int = ROWS) -> Iterator[list[Row]]:
    """Rows as batches, as they come; none is empty.

    >>> list(in_batches("abc", 2))
    [['a', 'b'], ['c']]
    """
    left = iter(rows)
    while batch := list(islice(left, size)):
        yield batch


def tagged(
    fn: Callable[[Any], Iterable[Any]] | beam.DoFn, *tags: str, main: str | None = None, main_type: Any = Batch
) -> beam.PTransform:
    """A step whose outputs are batches, told apart by tags; `main` names an output without one, of another type.

    The step inside has a label that does not hang on a function's name: on Flink state is found by labels.
    """
    step = beam.ParDo(fn) if isinstance(fn, beam.DoFn) else beam.FlatMap(fn)
    step.label = "Do"
    return step.with_output_types(main_type, **dict.fromkeys(tags, Batch)).with_outputs(*tags, main=main)
