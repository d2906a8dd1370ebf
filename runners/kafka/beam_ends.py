"""Topics through Beam's KafkaIO, for the runners that have Java."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.transforms.external import JavaJarExpansionService

from huntbeam.pipelines.stream_options import TopicOptions
from huntbeam.transforms.kafka_io import ReadTopic, Sink, WriteTopic


@dataclass(frozen=True)
class KafkaIO:
    """Ends through Beam's KafkaIO."""

    consumer: dict[str, str]
    producer: dict[str, str]
    expansion_service: str | JavaJarExpansionService
    read_time: Sequence[str]  # topics without append times
    max_records: int | None = None

    def read(self, topic: str) -> beam.PTransform:
        """The records of a topic."""
        return ReadTopic(self.consumer, topic, self.expansion_service, topic in self.read_time, self.max_records)

    def write(self, sink: Sink) -> beam.PTransform:
        """Rows to a topic."""
        return WriteTopic(self.producer, sink, self.expansion_service)


def kafka_io(
    options: TopicOptions,
    java: Mapping[str, str],
    expansion_service: str | JavaJarExpansionService,
    read_time: Sequence[str],
) -> KafkaIO:
    """The ends of a stream, with Kafka's access as Java's client takes it."""
    consumer = {"auto.offset.reset": options.offset, "group.id": options.group_id, "enable.auto.commit": "false"}
    # KafkaIO's own 3 retries end within a second, which a broker that restarts needs longer than: the job would restart
    producer = {"linger.ms": "20", "acks": "all", "retries": "2147483647"}
    return KafkaIO({**java, **consumer}, {**producer, **java}, expansion_service, read_time, options.max_records)
