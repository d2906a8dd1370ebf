"""Rules 15, 16 and 18 on a real Kafka and a real Flink: the stream gives replay's rows.

The jobs of this module run at the same time: what takes long here is waiting.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from huntbeam.runners.stack.stack import Stack
from huntbeam.schemas import uid
from tests.conftest import Rows, run_replay
from tests.e2e.jobs import PATIENCE, SHORT, Feeder, Job, huntbeam, make_topic, submit
from tests.pipelines.streaming import comparable
from tests.pipelines.test_replay_real import FILES
from tests.pipelines.test_stream_equals_replay import values

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

STREAMS = ("sysmon_process_create", "sysmon_network_connect", "sysmon_join", "sysmon_unmatched", "window_counts")
JOIN_WAIT = 30
PAUSE = 120


@dataclass
class Case:
    """A job, how it is fed, and what came of it."""

    feed: Callable[[Case], None]
    job: Job | None = None
    feeder: Feeder | None = None
    rows: dict[str, Rows] = field(default_factory=dict)
    error: BaseException | None = None


def recorded() -> list[bytes]:
    return [value for path in FILES for value in values(path) if value]


def shuffled(records: list[bytes]) -> list[bytes]:
    return random.Random(18).sample(records, len(records))  # noqa: S311 - an order that comes again


def is_event(value: bytes, event_id: int) -> bool:
    return msgspec.json.decode(value).get("kind") == event_id
