"""Topics without Java: read to the end that they have at the start, and written with acknowledged delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue

from huntbeam.runners.kafka.clients import ANSWER, admin, consumer, explain, producer
from huntbeam.runners.kafka.reading import BATCH, POLL, READER, Records, extents, places, time_of
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.arrival import timestamp
from huntbeam.transforms.kafka_io import EncodeRowsFn, Sink

Record = tuple[bytes | None, bytes | None]


@dataclass(frozen=True)
class DirectEnds:
    """Ends through librdkafka, in this process."""

    config: Mapping[str, Any]
    latest: bool = False
    max_records: int | None = None

    def read(self, topic: str) -> beam.PTransform:
        """The records of a topic."""
        return _Read(self, topic)

    def write(self, sink: Sink) -> beam.PTransform:
        """Rows to a topic."""
        return _Write(self.config, sink)

    def records(self, topic: str) -> Iterator[tuple[int, Record]]:
        """Arrivals in ms and records, to the end as of now, or `max_records` of them."""
        client = admin(self.config)
        held = extents(client, places(client, [topic]))
        begin = {place: extent.high if self.latest else extent.low for place, extent in held.items()}
        reader = consumer({**self.config, **READER})
        left = self.max_records
        try:
            records = Records(reader, begin, {place: extent.high for place, extent in held.items()})
            while records.unread:
                for message in records.take(BATCH, POLL):
                    if left == 0:
                        return
                    left = None if left is None else left - 1
                    yield time_of(message), (message.key(), message.value())
        finally:
            reader.close()


@dataclass
class _Read(beam.PTransform):
    ends: DirectEnds
    topic: str

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        topic = begin | "Topic" >> beam.Create([self.topic], reshuffle=False)
        return topic | "Records" >> beam.ParDo(_ReadFn(self.ends)).with_output_types(Record)


class _ReadFn(beam.DoFn):
    def __init__(self, ends: DirectEnds) -> None:
        self._ends = ends

    def process(self, topic: str) -> Iterator[TimestampedValue]:
        for a, record in self._ends.records(topic):
            yield TimestampedValue(record, timestamp(a))


@dataclass
class _Write(beam.PTransform):
    config: Mapping[str, Any]
    sink: Sink

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        records = batches | "Encode" >> beam.ParDo(EncodeRowsFn(self.sink)).with_output_types(Record)
        return records | "Produce" >> beam.ParDo(_ProduceFn(self.config, self.sink.topic))


class _ProduceFn(beam.DoFn):
    """Every record is acknowledged before its bundle is done."""

    def __init__(self, config: Mapping[str, Any], topic: str) -> None:
        self._config = config
        self._topic = topic

    def setup(self) -> None:
        self._producer = producer({"linger.ms": 20, **self._config})
        self._refused: list[Any] = []

    def process(self, record: Record) -> None:
        key, value = record
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._note)
            except BufferError:  # the queue is full: what is in it goes out first
                self._producer.poll(POLL)
            else:
                break
        self._producer.poll(0)

    def finish_bundle(self) -> None:
        left = self._producer.flush(ANSWER)
        if self._refused:
            raise explain(self._refused[0], self._config)
        if left:
            raise UnusableError(f"{left} rows for {self._topic} were not taken in {ANSWER:.0f} s: check the broker")

    def _note(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._refused.append(error)
