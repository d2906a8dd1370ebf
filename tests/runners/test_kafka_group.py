"""A group is set before a job starts, also while a new broker has no coordinator yet."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException

from huntbeam.runners.kafka import group


class Broker:
    """The admin client of a broker that answers with these errors first."""

    def __init__(self, *errors: int) -> None:
        self._errors = list(errors)
        self.set: list[ConsumerGroupTopicPartitions] = []

    def alter_consumer_group_offsets(
        self, asked: list[ConsumerGroupTopicPartitions], request_timeout: float
    ) -> dict[str, Future[Any]]:
        assert 0 < request_timeout <= group.ANSWER / 3
        future: Future[Any] = Future()
        if self._errors:
            future.set_exception(KafkaException(KafkaError(self._errors.pop(0))))
        else:
            self.set += asked
            future.set_result(SimpleNamespace(topic_partitions=[]))
        return {asked[0].group_id: future}


@pytest.fixture(autouse=True)
def two_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {("events", 0): SimpleNamespace(low=3, high=9), ("events", 1): SimpleNamespace(low=0, high=0)}
    monkeypatch.setattr(group, "places", lambda _admin, _topics: list(held))
    monkeypatch.setattr(group, "extents", lambda _admin, _places: held)
    monkeypatch.setattr(group, "_TRY", 0.01)


@pytest.mark.parametrize(("latest", "offsets"), [(False, [3, 0]), (True, [9, 0])])
def test_it_begins_at_the_first_or_the_last_records(latest: bool, offsets: list[int]) -> None:
    broker = Broker(KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError._TIMED_OUT)
    group.begin(broker, "huntbeam", ["events"], latest=latest)  # type: ignore[arg-type]  # all that is asked of it
    (asked,) = broker.set
    assert asked.group_id == "huntbeam"
    assert [(p.topic, p.partition, p.offset) for p in asked.topic_partitions] == [
        ("events", number, offset) for number, offset in enumerate(offsets)
    ]


def test_a_refusal_is_no_reason_to_try_again() -> None:
    broker = Broker(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        group.begin(broker, "huntbeam", ["events"], latest=False)  # type: ignore[arg-type]  # as above
    assert broker.set == []


def test_in_the_end_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "ANSWER", 0.05)
    with pytest.raises(KafkaException):
        group.begin(Broker(*[KafkaError._TIMED_OUT] * 1_000), "huntbeam", ["events"], latest=False)  # type: ignore[arg-type]  # as above
