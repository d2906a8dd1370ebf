"""Replay: archived logs in, joined, counted, typed results out. The ends of the graph for bounded input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from huntbeam.pipelines.graph import Wired
from huntbeam.pipelines.index_options import Indexing
from huntbeam.pipelines.indexing import index, tallies
from huntbeam.schemas import streams
from huntbeam.schemas.alert import Alert
from huntbeam.schemas.ecs import AlertFormat
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.digests import AnyPlan
from huntbeam.transforms.publish import PublishResults
from huntbeam.transforms.read import Span
from huntbeam.transforms.report import ReportPart, WrittenFile, alert_counts
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.scan import Scanner, claim
from huntbeam.transforms.search_bulk import Written
from huntbeam.transforms.write import WriteManifest, WriteRows


@dataclass(frozen=True)
class Replay:
    """One replay: what is read, what is done with it, and where the files are written aside."""

    spans: Sequence[Span]
    plan: AnyPlan
    steps: Wired
    format: Format
    aside: str
    manifest: str
    publish: PublishResults | None = None  # in the job; else whoever runs it publishes the files
    alerts: AlertFormat = AlertFormat.COLUMNS
    index: Indexing | None = None
    ticket: str = ""  # of a scanner that reads already (scan.prepare); without one each span is read where it lands


def replay(pipeline: beam.Pipeline, job: Replay) -> None:
    """Wires the graph between the archive and the files."""
    digested = pipeline | "Read" >> ReadArchive(job.spans, job.plan, job.ticket)
    report = digested | "Report" >> beam.Map(_report)
    parts = [report]
    rows = job.steps.build(digested)
    if job.index is not None:
        rows, documents = index(rows, job.index)
        parts.append(documents | "Indexed" >> beam.Map(_indexed))
    files = [
        batches | f"Write_{stream}" >> WriteRows(stream, job.aside, job.format, alerts=job.alerts)
        for stream, batches in rows.items()
    ]
    parts.append(files | "Files" >> beam.Flatten() | "Written" >> beam.Map(_written))
    if streams.ALERTS in rows:
        parts.append(rows[streams.ALERTS] | "CountAlerts" >> beam.Map(_alerts))
    whole = parts | "Reports" >> beam.Flatten() | "Manifest" >> WriteManifest(job.manifest)
    if job.publish is not None:
        whole | "Results" >> job.publish


def _report(digested: Digested) -> ReportPart:
    return ReportPart(tallies=digested.tallies, events=digested.pairs)


def _alerts(batch: Sequence[Alert]) -> ReportPart:
    return ReportPart(alerts=alert_counts(batch))


def _written(file: WrittenFile) -> ReportPart:
    return ReportPart(files=[file])


def _indexed(written: Written) -> ReportPart:
    return ReportPart(tallies=tallies(written))


@dataclass
class ReadArchive(beam.PTransform):
    """Spans -> digested batches of their records: read, parsed, filtered and rekeyed in one pass (digest.py)."""

    spans: Sequence[Span]
    plan: AnyPlan
    ticket: str = ""

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """PBegin -> PCollection[Digested]."""
        work = [list(self.spans)] if self.ticket else [[span] for span in self.spans]
        spans = begin | "Spans" >> beam.Create(work, reshuffle=not self.ticket)
        plan = None if self.ticket else self.plan  # its rules are some megabytes, and the scanner has them
        return spans | "Digest" >> beam.ParDo(_DigestSpans(plan, self.ticket)).with_output_types(Digested)


class _DigestSpans(beam.DoFn):
    def __init__(self, plan: AnyPlan | None, ticket: str) -> None:
        self._plan = plan
        self._ticket = ticket
        self._bytes = Metrics.counter(self.__class__, "bytes_read")
        self._received = Metrics.counter(self.__class__, "received")
        self._dead = Metrics.counter(self.__class__, "dead_letters")

    def process(self, spans: Sequence[Span]) -> Iterator[Digested]:
        for digested in claim(self._ticket) if self._plan is None else Scanner(spans, self._plan, workers=0):
            self._bytes.inc(digested.consumed)
            self._received.inc(sum(events for *_, events in digested.pairs))
            self._dead.inc(len(digested.dead_letters))
            yield digested
