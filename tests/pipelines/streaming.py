"""The stream's graph in this process: ends that are lists, on the direct runner."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import TimestampedValue

from huntbeam.pipelines.graph import Clock, Steps, Wired
from huntbeam.pipelines.index_options import Indexing
from huntbeam.pipelines.stream import Seeds, Stream, stream
from huntbeam.schemas.clock import HOUR, SECOND
from huntbeam.schemas.window import BUILT_IN
from huntbeam.transforms.arrival import timestamp
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.digests import AnyPlan
from huntbeam.transforms.join import JoinKind
from huntbeam.transforms.kafka_io import EncodeRowsFn, Sink
from huntbeam.transforms.keyed_match import Waits
from huntbeam.transforms.topic_rows import Encoding, topic_name
from tests.conftest import Rows

ONLY_STREAM = ("schema_version", "generation", "late_count", "source", "position", "partition", "raw_truncated")
CLOCK = Clock(Waits(join=30 * SECOND, terminate_grace=30 * SECOND), 10 * SECOND, HOUR, None, 24 * HOUR)


def milliseconds() -> int:
    return int(time.time() * 1000)


def steps(**others: Any) -> Steps:
    values = {"join": JoinKind.INNER, "dedupe": False, "events": False, "counters": BUILT_IN, "window_ms": 20 * SECOND}
    return Steps(**{**values, "clock": CLOCK, **others})  # type: ignore[arg-type]


def sinks(of: Wired, encoding: Encoding = Encoding.JSON) -> list[Sink]:
    return [Sink(name, topic_name(name), encoding, 900_000) for name in of.streams()]


@dataclass(frozen=True)
class ListEnds:
    """Topics that are lists of values, one every `every_ms`; rows go to files in a folder."""

    folder: str
    topics: dict[str, Sequence[bytes | None]] = field(default_factory=dict)
    every_ms: int = 1

    def read(self, topic: str) -> beam.PTransform:
        return _Values(self.topics[topic], self.every_ms)

    def write(self, sink: Sink) -> beam.PTransform:
        return _Keep(self.folder, sink)


@dataclass
class _Values(beam.PTransform):
    values: Sequence[bytes | None]
    every_ms: int

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        _VALUES.append(self.values)  # this process runs the graph: a list of records is no part of it
        number = begin | beam.Create([len(_VALUES) - 1], reshuffle=False)
        return number | beam.ParDo(_ValuesFn(self.every_ms))


_VALUES: list[Sequence[bytes | None]] = []


class _ValuesFn(beam.DoFn):
    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms

    def process(self, topic: int) -> Iterator[TimestampedValue]:
        now = milliseconds()  # a folder of seeds arrives when it is read, too
        for number, value in enumerate(_VALUES[topic]):
            yield TimestampedValue((None, value), timestamp(now + number * self._every_ms))


@dataclass
class _Keep(beam.PTransform):
    folder: str
    sink: Sink

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        path = Path(self.folder) / f"{self.sink.stream}.jsonl"

        def keep(record: tuple[bytes | None, bytes]) -> None:
            with path.open("ab") as file:
                file.write(record[1] + b"\n")

        return batches | beam.ParDo(EncodeRowsFn(self.sink)) | beam.Map(keep)


def run_stream(
    folder: Path,
    topics: dict[str, Sequence[bytes | None]],
    *,
    of: Wired | None = None,
    plan: AnyPlan | None = None,
    seeds: Seeds | None = None,
    every_ms: int = 1,
    index: Indexing | None = None,
) -> dict[str, Rows]:
    """Runs the stream's graph over lists of values and gives every stream's rows."""
    of = of or steps()
    read = [topic for topic in topics if seeds is None or topic != seeds.place]
    job = Stream(read, plan or Plan(terminates=True), of, sinks(of), seeds, index)
    folder.mkdir()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        stream(pipeline, job, ListEnds(str(folder), topics, every_ms))
    return {name: _rows(folder / f"{name}.jsonl") for name in of.streams()}


def _rows(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def comparable(rows: Rows) -> dict[str, Rows]:
    """Rows by event_uid, without the columns in which stream and replay may differ, in an order of their own."""
    found: dict[str, Rows] = defaultdict(list)
    for row in rows:
        found[row["event_uid"]].append({k: v for k, v in row.items() if k not in ONLY_STREAM})
    return {uid: sorted(same, key=str) for uid, same in found.items()}
