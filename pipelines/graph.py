"""The graph without its ends: digested records in, output streams out. Batch and stream share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from huntbeam.schemas import streams
from huntbeam.schemas.dead_letter import DeadLetter
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.schemas.window import Counter
from huntbeam.transforms.batches import Batch, tagged
from huntbeam.transforms.dedupe import DedupeBounded
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.join import JoinKind
from huntbeam.transforms.join_bounded import JoinBounded
from huntbeam.transforms.report import ReportPart
from huntbeam.transforms.windows_bounded import CountBounded

REPORT = "report"
_JOINABLE = "joinable"
_COUNTABLE = "countable"


@dataclass(frozen=True)
class Steps:
    """What the graph does with rows."""

    join: JoinKind
    dedupe: bool
    events: bool
    counters: tuple[Counter, ...]
    window_ms: int


def output_streams(steps: Steps) -> list[str]:
    """The streams that a graph puts out."""
    optional = {streams.EVENTS: steps.events, streams.DUPLICATES: steps.dedupe}
    return [name for name in streams.STREAMS if optional.get(name, True)]


def build(digested: beam.PCollection, steps: Steps) -> dict[str, beam.PCollection]:
    """PCollection[Digested] -> batches of rows by stream name, and `report`: PCollection[ReportPart]."""
    out: dict[str, beam.PCollection] = {}
    rows = digested
    if steps.dedupe:
        copies = digested | "Dedupe" >> DedupeBounded()
        rows, out[streams.DUPLICATES] = copies["main"], copies[streams.DUPLICATES]
    split = rows | "Split" >> tagged(
        _split, streams.PROCESS_CREATE, streams.NETWORK_CONNECT, streams.EVENTS, _JOINABLE, _COUNTABLE
    )
    joined = split[_JOINABLE] | "Join" >> JoinBounded(steps.join)
    windows = split[_COUNTABLE] | "Windows" >> CountBounded(steps.counters, steps.window_ms)
    out |= {name: split[name] for name in (streams.PROCESS_CREATE, streams.NETWORK_CONNECT)}
    out |= {name: joined[name] for name in (streams.JOIN, streams.UNMATCHED)}
    out[streams.WINDOW_COUNTS] = windows
    out[streams.DEAD_LETTERS] = digested | "DeadLetters" >> beam.Map(_dead_letters).with_output_types(Batch)
    out[REPORT] = digested | "Report" >> beam.Map(_report)
    if steps.events:
        out[streams.EVENTS] = split[streams.EVENTS]
    return out


def _split(digested: Digested) -> Iterator[TaggedOutput]:
    """Batches by what they are for. Of `events`, creates and connects are counted by their own rows."""
    others = [row for row in digested.events if row.event_id not in (PROCESS_CREATE, NETWORK_CONNECT)]
    batches = {
        streams.PROCESS_CREATE: digested.creates,
        streams.NETWORK_CONNECT: digested.connects,
        streams.EVENTS: digested.events,
        _JOINABLE: [*digested.creates, *digested.context, *digested.connects],
        _COUNTABLE: [*digested.creates, *digested.connects, *others],
    }
    yield from (TaggedOutput(name, batch) for name, batch in batches.items() if batch)


def _dead_letters(digested: Digested) -> list[DeadLetter]:
    return digested.dead_letters


def _report(digested: Digested) -> ReportPart:
    return ReportPart(tallies=digested.tallies, events=digested.pairs)
