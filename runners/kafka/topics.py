"""Topics: those of the output streams and of the input, as they should be and as they are."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from huntbeam.runners.kafka.clients import ANSWER, KafkaUnusable
from huntbeam.runners.kafka.reading import extents
from huntbeam.schemas import streams
from huntbeam.schemas.clock import DAY
from huntbeam.transforms.topic_rows import topic_name

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

APPEND_TIME = "LogAppendTime"
PARTITIONS = 3
RETENTION = 7 * DAY
LONG_RETENTION = 30 * DAY  # of dead letters: somebody has to look at them
REPLICAS = 3  # as many as there are brokers, up to this

_TIME = "message.timestamp.type"
_POLICY = "cleanup.policy"
_RETENTION = "retention.ms"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


class TopicSpec(NamedTuple):
    """A topic as it should be; `replication` None is as many copies as there are brokers, 3 at most."""

    name: str
    partitions: int
    replication: int | None
    settings: dict[str, str]


class TopicInfo(NamedTuple):
    """A topic as it is; `records` is an upper bound where a topic is compacted; retention None is for ever."""

    name: str
    partitions: int
    replication: int
    records: int
    timestamp_type: str
    cleanup_policy: str
    retention_ms: int | None


def check_name(name: str) -> None:
    """Raises KafkaUnusable for what cannot name a topic."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise KafkaUnusable(f"{name!r} is no name of a topic: letters, digits, dots, underscores and dashes are")


def input_topic(
    name: str, partitions: int = PARTITIONS, replication: int | None = None, retention_ms: int | None = None
) -> TopicSpec:
    """A topic that Winlogbeat or another shipper writes to."""
    check_name(name)
    settings = {_TIME: APPEND_TIME, _POLICY: "delete", _RETENTION: str(retention_ms or RETENTION)}
    return TopicSpec(name, partitions, replication, settings)


def output_topic(
    stream: str,
    prefix: str = "",
    partitions: int = PARTITIONS,
    replication: int | None = None,
    retention_ms: int | None = None,
) -> TopicSpec:
    """The topic of an output stream.

    That of process creates is a table, as in the seeds: the newest create of each process. What is older than a day is
    compacted, so repeats after a recovery go, and deleted after the retention, so that it does not grow for ever.
    """
    days = LONG_RETENTION if stream == streams.DEAD_LETTERS else RETENTION
    spec = input_topic(topic_name(stream, prefix), partitions, replication, retention_ms or days)
    if stream == streams.PROCESS_CREATE:
        return spec._replace(settings=spec.settings | {_POLICY: "compact,delete", "min.compaction.lag.ms": str(DAY)})
    return spec


def ensure_topics(admin: AdminClient, specs: Sequence[TopicSpec]) -> list[str]:
    """Makes the topics that are missing and gives their names; those that are there stay as they are.

    Raises KafkaException.
    """
    known = admin.list_topics(timeout=ANSWER)
    copies = min(REPLICAS, len(known.brokers))
    missing = [spec for spec in specs if spec.name not in known.topics]
    if not missing:
        return []
    asked = admin.create_topics(
        [NewTopic(s.name, s.partitions, s.replication or copies, config=s.settings) for s in missing]
    )
    created = [name for name, future in asked.items() if _is_done(future)]
    _await(admin, created)
    return created


def _is_done(future: Future[None]) -> bool:
    """Whether we made it, or another was quicker."""
    try:
        future.result(ANSWER)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def _await(admin: AdminClient, names: Iterable[str]) -> None:
    """Until the brokers know the topics: one is made by the controller and heard of a moment later."""
    until = time.monotonic() + ANSWER
    while set(names) - admin.list_topics(timeout=ANSWER).topics.keys():
        if time.monotonic() > until:
            raise KafkaUnusable("the brokers do not show the topics that were made: look at the controller's log")
        time.sleep(0.1)


def timestamp_type(admin: AdminClient, topic: str) -> str:
    """`LogAppendTime` or `CreateTime`. Raises KafkaException, as for a topic that is missing."""
    return _settings(admin, [topic])[topic][_TIME]


def set_append_time(admin: AdminClient, topics: Iterable[str]) -> None:
    """Records get the broker's time from now on; those that are there keep theirs. Raises KafkaException."""
    entry = ConfigEntry(_TIME, APPEND_TIME, incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]) for topic in topics]
    for future in admin.incremental_alter_configs(resources).values() if resources else ():
        future.result(ANSWER)


def describe(admin: AdminClient, topics: Iterable[str]) -> list[TopicInfo]:
    """The topics as they are, by name. Raises KafkaException."""
    names = sorted(topics)
    if not names:
        return []
    known, settings = admin.list_topics(timeout=ANSWER).topics, _settings(admin, names)
    records = dict.fromkeys(names, 0)
    held = extents(admin, [(name, partition) for name in names for partition in known[name].partitions])
    for (name, _), extent in held.items():
        records[name] += extent.high - extent.low
    infos = []
    for name in names:
        partitions = known[name].partitions
        replication = max(len(partition.replicas) for partition in partitions.values())
        retention = int(settings[name][_RETENTION])
        infos.append(
            TopicInfo(
                name=name,
                partitions=len(partitions),
                replication=replication,
                records=records[name],
                timestamp_type=settings[name][_TIME],
                cleanup_policy=settings[name][_POLICY],
                retention_ms=retention if retention >= 0 and "delete" in settings[name][_POLICY] else None,
            )
        )
    return infos


def own_topics(admin: AdminClient, prefix: str = "") -> list[str]:
    """The topics that begin with the prefix, without Kafka's own (`__consumer_offsets`). Raises KafkaException."""
    known = admin.list_topics(timeout=ANSWER).topics
    return sorted(name for name in known if name.startswith(prefix) and not name.startswith("__"))


def _settings(admin: AdminClient, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics])
    return {
        resource.name: {name: entry.value for name, entry in future.result(ANSWER).items()}
        for resource, future in asked.items()
    }
