"""Enrichment's wiring for unbounded input: two stateful steps, one key at a time. The core is enrich_keyed.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from huntbeam.transforms.batches import in_batches, tagged
from huntbeam.transforms.enrich import Found
from huntbeam.transforms.enrich_keyed import Staged, for_events, for_parents, keyed_events, keyed_parents
from huntbeam.transforms.keyed_match import Waits
from huntbeam.transforms.keyed_match_beam import Gathered, GatherElements, MatchKeyFn

_KEYED, _CONTEXTS, _FOUND = "keyed", "contexts", "found"


@dataclass
class EnrichUnbounded(beam.PTransform):
    """Batches of processes, events and terminations, with arrivals as timestamps -> batches, as EnrichBounded.

    `others`: events other than creates are enriched. `read_time` as in JoinUnbounded.
    """

    others: bool
    waits: Waits = field(default_factory=Waits)
    read_time: bool = False

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """PCollection[list[ProcessContext | Pending | ProcessTerminate]] -> PCollection[list[Found]]."""
        gathered = rows | "GatherParents" >> _tagged(_GatherParents(self.others), _KEYED)
        parents = gathered[_KEYED] | "Parents" >> _tagged(ParentFn(self.others, self.waits, self.read_time))
        found = [gathered[_FOUND], parents[_FOUND]]
        if self.others:
            brought = [rows, gathered[_CONTEXTS], parents[_CONTEXTS]] | "Contexts" >> beam.Flatten()
            keyed = brought | "GatherEvents" >> _tagged(_GatherEvents(), _KEYED)
            events = keyed[_KEYED] | "Events" >> _tagged(EventFn(self.waits, self.read_time))
            found += [keyed[_FOUND], events[_FOUND]]
        return found | "Found" >> beam.Flatten()


def _tagged(fn: beam.DoFn, main: str | None = None) -> beam.PTransform:
    return tagged(fn, _CONTEXTS, _FOUND, main=main, main_type=Gathered)


def _batches(rows: Iterable[Staged | Found]) -> Iterator[beam.pvalue.TaggedOutput]:
    for batch in in_batches(rows):
        for tag, kind in ((_CONTEXTS, Staged), (_FOUND, Found)):
            if of_kind := [row for row in batch if isinstance(row, kind)]:
                yield beam.pvalue.TaggedOutput(tag, of_kind)


class _GatherParents(GatherElements):
    def __init__(self, contexts: bool) -> None:
        self._contexts = contexts

    def brought(self, a: int, row: Any) -> Iterable[Any]:
        return for_parents(a, row, self._contexts)

    def put_out(self, rows: list[Any]) -> Iterator[beam.pvalue.TaggedOutput]:
        return _batches(rows)


class _GatherEvents(GatherElements):
    def brought(self, a: int, row: Any) -> Iterable[Any]:
        return for_events(a, row)

    def put_out(self, rows: list[Any]) -> Iterator[beam.pvalue.TaggedOutput]:
        return _batches(rows)


class ParentFn(MatchKeyFn, timers="parent"):
    """One process, and the creates of its children."""

    def __init__(self, contexts: bool, waits: Waits, read_time: bool = False) -> None:
        super().__init__(keyed_parents(contexts, waits), read_time)

    def put_out(self, rows: Iterator[Staged | Found]) -> Iterator[beam.pvalue.TaggedOutput]:
        """Contexts, and creates that are enriched."""
        yield from _batches(rows)


class EventFn(MatchKeyFn, timers="enrich"):
    """One process, and its events."""

    def __init__(self, waits: Waits, read_time: bool = False) -> None:
        super().__init__(keyed_events(waits), read_time)

    def put_out(self, rows: Iterator[Found]) -> Iterator[beam.pvalue.TaggedOutput]:
        """Events that are enriched."""
        yield from _batches(rows)
