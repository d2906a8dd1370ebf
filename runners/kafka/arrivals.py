"""Whose clock gave a topic's records their times: that decides whether a stream waits by append times (rule 2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from huntbeam.runners.kafka.clients import TIMEOUT, admin, consumer, explained
from huntbeam.runners.kafka.reading import READER, extents, first_records, places
from huntbeam.runners.kafka.topics import APPEND_TIME, timestamp_type


class Times(Enum):
    """What a reader of a whole topic finds. KafkaIO fails at the first record without append time when told of them."""

    APPENDED = "every record has the broker's time"
    PRODUCED = "records have their producers' times"
    MIXED = "new records have the broker's time, the oldest have their producers'"


def topic_times(
    config: Mapping[str, Any], topics: Iterable[str], latest: Collection[str] = ()
) -> dict[str, Times | None]:
    """The times of topics; None for one that is missing. Of those of `latest` only what comes from now on matters.

    Raises KafkaUnusable.
    """
    with explained(config):
        client = admin(config)
        known = client.list_topics(timeout=TIMEOUT).topics
        times = {topic: _by_setting(timestamp_type(client, topic)) if topic in known else None for topic in topics}
        appended = [topic for topic, time in times.items() if time is Times.APPENDED and topic not in latest]
        held = extents(client, places(client, appended)) if appended else {}
        begin = {place: extent.low for place, extent in held.items() if extent.low < extent.high}
        return times | dict.fromkeys(_with_producers_times(config, begin), Times.MIXED)


def _by_setting(setting: str) -> Times:
    return Times.APPENDED if setting == APPEND_TIME else Times.PRODUCED


def _with_producers_times(config: Mapping[str, Any], begin: Mapping[tuple[str, int], int]) -> set[str]:
    """The topics with a partition whose record there was written before the topic took the broker's time."""
    if not begin:
        return set()
    reader = consumer({**config, **READER, "queued.min.messages": 1})
    try:
        found = first_records(reader, begin)
    finally:
        reader.close()
    return {topic for (topic, _), record in found.items() if record.timestamp()[0] != TIMESTAMP_LOG_APPEND_TIME}
