"""The consumer group of a job. It is for monitoring: where a job begins is `--offset`'s or the savepoint's to say.

KafkaIO begins at the group's offsets where there are any, so a job without a savepoint sets them first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from huntbeam.runners.kafka.clients import ANSWER
from huntbeam.runners.kafka.reading import extents, places

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


def begin(admin: AdminClient, group: str, topics: Iterable[str], *, latest: bool) -> None:
    """Sets the group to the topics' first or last records as of now. Raises KafkaException."""
    held = extents(admin, places(admin, topics))
    offsets = [TopicPartition(*place, extent.high if latest else extent.low) for place, extent in held.items()]
    asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, offsets)], request_timeout=ANSWER)
    for future in asked.values():
        for partition in future.result(ANSWER).topic_partitions:
            if partition.error is not None:
                raise partition.error
