"""The consumer group of a job. It is for monitoring: where a job begins is `--offset`'s or the savepoint's to say.

KafkaIO begins at the group's offsets where there are any, so a job without a savepoint sets them first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from huntbeam.runners.kafka.clients import ANSWER
from huntbeam.runners.kafka.reading import extents, places

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_TRY = 5.0  # seconds; a new broker makes the topic of its offsets first, and librdkafka gives up asking after 300 ms
_NOT_YET = {  # a broker that has just started, or whose group moves, is ready a moment later
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
}


def begin(admin: AdminClient, group: str, topics: Iterable[str], *, latest: bool) -> None:
    """Sets the group to the topics' first or last records as of now. Raises KafkaException."""
    held = extents(admin, places(admin, topics))
    offsets = [TopicPartition(*place, extent.high if latest else extent.low) for place, extent in held.items()]
    until = time.monotonic() + ANSWER
    while True:
        try:
            return _set(admin, group, offsets)
        except KafkaException as error:
            if error.args[0].code() not in _NOT_YET or time.monotonic() > until:
                raise
        time.sleep(_TRY / 10)


def _set(admin: AdminClient, group: str, offsets: list[TopicPartition]) -> None:
    asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, offsets)], request_timeout=_TRY)
    for future in asked.values():
        for partition in future.result(ANSWER).topic_partitions:
            if partition.error is not None:
                raise KafkaException(partition.error)
