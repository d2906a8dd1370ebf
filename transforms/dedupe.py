"""Dedupe: Winlogbeat delivers at least once; of equal events the first by arrival goes on, the others are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter, itemgetter

import apache_beam as beam

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import Duplicate
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.digest import Arrival, Digested, spread
from huntbeam.transforms.shards import SHARDS, GroupInShards, Pack, unpack

BATCH = 1_000


def first_copies(arrivals: Iterable[Arrival]) -> tuple[list[Arrival], list[Duplicate]]:
    """The first arrival of each event, and a row for each further one."""
    first: dict[str, Arrival] = {}
    further: list[Arrival] = []
    for arrival in arrivals:
        known = first.setdefault(arrival.event_uid, arrival)
        if known is not arrival:
            early, late = sorted((known, arrival), key=lambda a: (a.index, a.position or 0))
            first[arrival.event_uid] = early
            further.append(late)
    return list(first.values()), [row for arrival in further if (row := duplicate(arrival)) is not None]


def fresh_copies(
    seen: int | None, arrived: Iterable[tuple[int, Arrival]], window_ms: int
) -> tuple[list[tuple[int, Arrival]], list[Arrival]]:
    """Copies of one event in a stream, each with when it came; `seen` is when the last kept one did.

    Gives the copies that are kept and the further ones, which came up to window_ms after one that is kept.
    """
    kept: list[tuple[int, Arrival]] = []
    further: list[Arrival] = []
    for a, arrival in sorted(arrived, key=itemgetter(0)):
        if seen is None or a > seen + window_ms:
            seen = a
            kept.append((a, arrival))
        else:
            further.append(arrival)
    return kept, further


def duplicate(arrival: Arrival) -> Duplicate | None:
    """The row of a further copy; none for a create outside the span, which is no output either."""
    row = arrival.create or arrival.connect or arrival.event
    if row is None:
        return None
    return Duplicate(
        event_uid=arrival.event_uid,
        event_date_creation=row.event_date_creation,
        host=row.host,
        event_id=row.event_id,
        source_name=row.source_name,
        log_name=row.log_name,
        process_guid=row.process_guid,
        record_id=arrival.record_id,
        source=arrival.source,
        position=arrival.position,
    )


@dataclass
class DedupeBounded(beam.PTransform):
    """Digested batches with arrivals -> `main`: Digested batches with rows; `duplicates`: batches of Duplicate."""

    shards: int = SHARDS

    def expand(self, digested: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """PCollection[Digested] -> PCollections of Digested and list[Duplicate]."""
        return (
            digested
            | "Arrivals" >> beam.Map(attrgetter("arrivals"))
            | "ByEvent" >> GroupInShards(attrgetter("event_uid"), self.shards)
            | "FirstCopies" >> tagged(_dedupe, streams.DUPLICATES, main="main", main_type=Digested)
        )


def _dedupe(shard: tuple[int, Iterable[Pack]]) -> Iterator[Digested | beam.pvalue.TaggedOutput]:
    firsts, duplicates = first_copies(unpack(shard[1], Arrival))
    for start in range(0, len(firsts), BATCH):
        digested = Digested()
        spread(firsts[start : start + BATCH], digested)
        yield digested
    if duplicates:
        yield beam.pvalue.TaggedOutput(streams.DUPLICATES, duplicates)
