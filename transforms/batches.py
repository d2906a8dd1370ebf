"""Batches: what flows between steps is lists of rows, since Beam's price is paid by the element."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam

ROW_BYTES = 700  # of a row, about


class Batch(list[Any]):
    """The type hint of a list of rows of one record type. Plain lists are as good."""


class BatchCoder(beam.coders.Coder):
    """Knows a batch's size without packing it: Beam weighs elements, and by default it would pickle every row."""

    def encode(self, batch: list[Any]) -> bytes:
        """Only between stages of a distributed runner."""
        return pickle.dumps(batch, protocol=pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> list[Any]:
        """What encode() of this very job made; nothing foreign comes here."""
        batch: list[Any] = pickle.loads(encoded)  # noqa: S301
        return batch

    def estimate_size(self, batch: list[Any]) -> int:
        """A guess."""
        return len(batch) * ROW_BYTES

    def is_deterministic(self) -> bool:
        """Batches are no keys."""
        return False


beam.coders.registry.register_coder(Batch, BatchCoder)


def tagged(fn: Callable[[Any], Iterable[beam.pvalue.TaggedOutput]] | beam.DoFn, *tags: str) -> beam.PTransform:
    """A step whose outputs are batches, told apart by tags."""
    step = beam.ParDo(fn) if isinstance(fn, beam.DoFn) else beam.FlatMap(fn)
    return step.with_output_types(Batch, **dict.fromkeys(tags, Batch)).with_outputs(*tags)
