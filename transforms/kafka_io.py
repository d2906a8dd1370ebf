"""Topics through Beam's KafkaIO, which is Java: an expansion service turns these steps into its own.

The payloads are limited to the fields that KafkaIO 2.62 knows; Beam's Python classes send newer ones, which it refuses,
while later services take the fewer. Append times come with the records; KafkaIO's CreateTime is never used, because
Winlogbeat fills it from the clock of a host (docs/semantics.md, rule 2).
"""

# No `from __future__ import annotations` here: Beam reads the payloads' annotations, and must not find text.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Optional

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.external import (
    ExternalTransform,
    JavaJarExpansionService,
    NamedTupleBasedPayloadBuilder,
)

from huntbeam.schemas.ecs import AlertFormat
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.topic_rows import Encoding, RowEncoder

BOUNDED_SECONDS = 120  # a bounded read ends then: KafkaIO shares the number out over partitions, one may have too few

_READ = "beam:transform:org.apache.beam:kafka_read_without_metadata:v1"
_WRITE = "beam:transform:org.apache.beam:kafka_write:v1"
_SERIALIZATION = "org.apache.kafka.common.serialization"


class _ReadPayload(NamedTuple):
    consumer_config: Mapping[str, str]
    topics: list[str]
    key_deserializer: str
    value_deserializer: str
    start_read_time: Optional[int]  # noqa: UP045 - Beam knows no int | None
    max_num_records: Optional[int]  # noqa: UP045 - Beam knows no int | None
    max_read_time: Optional[int]  # noqa: UP045 - Beam knows no int | None
    commit_offset_in_finalize: bool
    timestamp_policy: str


class _WritePayload(NamedTuple):
    producer_config: Mapping[str, str]
    topic: str
    key_serializer: str
    value_serializer: str


@dataclass(frozen=True)
class Sink:
    """Where the rows of a stream go, and how."""

    stream: str
    topic: str
    encoding: Encoding
    max_record_bytes: int
    alerts: AlertFormat = AlertFormat.COLUMNS


@dataclass
class ReadTopic(beam.PTransform):
    """A topic -> its records' keys and values; timestamps are append times, or with `read_time` times of reading."""

    config: dict[str, str]  # of kafka-clients; secrets are references to a file
    topic: str
    expansion_service: str | JavaJarExpansionService
    read_time: bool = False
    max_records: int | None = None

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """PBegin -> PCollection[tuple[bytes | None, bytes | None]]."""
        deserializer = f"{_SERIALIZATION}.ByteArrayDeserializer"
        payload = _ReadPayload(
            consumer_config=self.config,
            topics=[self.topic],
            key_deserializer=deserializer,
            value_deserializer=deserializer,
            start_read_time=None,
            max_num_records=self.max_records,
            max_read_time=None if self.max_records is None else BOUNDED_SECONDS,
            commit_offset_in_finalize="group.id" in self.config,
            timestamp_policy="ProcessingTime" if self.read_time else "LogAppendTime",
        )
        return begin | "KafkaIO" >> ExternalTransform(
            _READ, NamedTupleBasedPayloadBuilder(payload), self.expansion_service
        )


@dataclass
class WriteTopic(beam.PTransform):
    """Batches of rows of a stream -> records of its topic."""

    config: dict[str, str]  # of kafka-clients; secrets are references to a file
    sink: Sink
    expansion_service: str | JavaJarExpansionService

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """PCollection[list[Row]] -> an empty PCollection."""
        serializer = f"{_SERIALIZATION}.ByteArraySerializer"
        payload = _WritePayload(self.config, self.sink.topic, serializer, serializer)
        return (
            batches
            | "Encode" >> beam.ParDo(EncodeRowsFn(self.sink)).with_output_types(tuple[bytes | None, bytes])
            | "KafkaIO" >> ExternalTransform(_WRITE, NamedTupleBasedPayloadBuilder(payload), self.expansion_service)
        )


class EncodeRowsFn(beam.DoFn):
    """Rows as keys and values of records."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._emitted = Metrics.counter(self.__class__, f"emitted_{sink.stream}")

    def setup(self) -> None:
        """Once a worker process and step."""
        sink = self._sink
        self._encode = RowEncoder(sink.stream, sink.encoding, sink.max_record_bytes, sink.alerts).encode

    def process(self, batch: Batch) -> Iterator[tuple[bytes | None, bytes]]:
        """A batch."""
        self._emitted.inc(len(batch))
        return map(self._encode, batch)
