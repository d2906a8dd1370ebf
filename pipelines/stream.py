"""Stream: topics in, joined, counted, typed results out as topics. The ends of the graph for input without an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import apache_beam as beam

from huntbeam.pipelines.graph import Wired
from huntbeam.pipelines.index_options import Indexing
from huntbeam.pipelines.indexing import index
from huntbeam.transforms.digest_records import DigestRecords
from huntbeam.transforms.digests import AnyPlan
from huntbeam.transforms.kafka_io import Sink
from huntbeam.transforms.seeds import SeedFolder, SeedRecords

_RECORD = tuple[bytes, bytes | None]


@dataclass(frozen=True)
class Seeds:
    """Where creates from before `started` (ms) come from: a topic or a folder."""

    place: str
    is_folder: bool
    started: int


@dataclass(frozen=True)
class Stream:
    """One stream: what is read, what is done with it, and where the rows go."""

    topics: Sequence[str]
    plan: AnyPlan
    steps: Wired
    sinks: Sequence[Sink]
    seeds: Seeds | None = None
    index: Indexing | None = None


class Ends(Protocol):
    """How topics are read and written: by KafkaIO, or without Java."""

    def read(self, topic: str) -> beam.PTransform:
        """PBegin -> PCollection[tuple[bytes | None, bytes | None]], timestamps are arrivals."""

    def write(self, sink: Sink) -> beam.PTransform:
        """PCollection[list[Row]] -> anything."""


def stream(pipeline: beam.Pipeline, job: Stream, ends: Ends) -> None:
    """Wires the graph between the topics."""
    digested = _digested(pipeline, job, ends)
    if job.seeds is not None:
        digested.append(_seeded(pipeline, job.seeds, ends))
    rows = job.steps.build(digested | "Topics" >> beam.Flatten())
    if job.index is not None:
        rows, _ = index(rows, job.index)
    for sink in job.sinks:
        rows[sink.stream] | f"Write_{sink.stream}" >> ends.write(sink)


def _digested(pipeline: beam.Pipeline, job: Stream, ends: Ends) -> list[beam.PCollection]:
    """The records of the topics. Rules, some megabytes, are in a graph once: then one step digests all of them."""
    read = {topic: pipeline | f"Read_{topic}" >> ends.read(topic) for topic in job.topics}
    if not job.plan.rules or len(read) == 1:
        return [
            records | f"Records_{topic}" >> DigestRecords(job.plan, f"kafka:{topic}") for topic, records in read.items()
        ]
    named = [
        records | f"Source_{topic}" >> beam.Map(_from, f"kafka:{topic}".encode()).with_output_types(_RECORD)
        for topic, records in read.items()
    ]
    return [named | "Sources" >> beam.Flatten() | "Records" >> DigestRecords(job.plan)]


def _from(record: tuple[bytes | None, bytes | None], source: bytes) -> tuple[bytes, bytes | None]:
    return source, record[1]


def _seeded(pipeline: beam.Pipeline, seeds: Seeds, ends: Ends) -> beam.PCollection:
    if seeds.is_folder:
        return pipeline | "Seeds" >> SeedFolder(seeds.place)
    records = pipeline | "Read_seeds" >> ends.read(seeds.place)
    return records | "Seeds" >> SeedRecords(f"kafka:{seeds.place}", seeds.started)
