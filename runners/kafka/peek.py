"""The rows of a topic, from its beginning or its end, as they stand there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from difflib import get_close_matches
from typing import Any

from huntbeam.runners.kafka.clients import KafkaUnusable, admin, check_broker, consumer
from huntbeam.runners.kafka.reading import READER, Place, Records, extents
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.transforms.topic_rows import decode_value

_AT_ONCE = 500  # records
_WAIT = 0.2  # seconds for them to come together


def topic_rows(config: Mapping[str, Any], topic: str, from_end: bool, follow: bool) -> Iterator[dict[str, Any] | None]:
    """The rows of a topic, and None now and then when there is none for the moment.

    Without `follow` it ends where the topic ended at the start. Values that are no rows are counted on standard error.
    Raises KafkaUnusable and KafkaException.
    """
    known = check_broker(config).topics
    if topic not in known:
        raise KafkaUnusable(_missing(topic, known))
    held = extents(admin(config), [(topic, partition) for partition in known[topic].partitions])
    positions = {place: extent.high if from_end else extent.low for place, extent in held.items()}
    ends = None if follow else {place: extent.high for place, extent in held.items()}
    reader = consumer({**config, **READER})
    unreadable = 0
    with closing(reader):
        records = Records(reader, positions, ends)
        while follow or records.unread:
            for message in records.take(_AT_ONCE, _WAIT):
                value = message.value()
                if value is None or not _within((topic, message.partition() or 0), message.offset() or 0, ends):
                    continue
                try:
                    yield decode_value(value)
                except RecordError:
                    unreadable += 1
            yield None
    if unreadable:
        print(f"huntbeam: {unreadable:,} values of {topic} are neither JSON objects nor Avro rows", file=sys.stderr)


def _within(place: Place, offset: int, ends: Mapping[Place, int] | None) -> bool:
    return ends is None or offset < ends[place]


def _missing(topic: str, known: Mapping[str, object]) -> str:
    """The sentence about a topic that is not there, with those whose names are like it."""
    shown = sorted(name for name in known if not name.startswith("__"))
    lower: dict[str, str] = {}
    for name in shown:
        lower.setdefault(name.lower(), name)
    near = [lower[name] for name in get_close_matches(topic.lower(), lower, cutoff=0.5)]
    if near:
        return f"there is no topic {topic}: did you mean {' or '.join(near)}?"
    return f"there is no topic {topic}, and none with a name like it: `huntbeam topics list` shows which there are"
