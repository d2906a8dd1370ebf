"""Streams on a real Flink for tests: submitted, fed, watched, read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from confluent_kafka import Producer

from huntbeam.runners.flink_rest import ENDED, FlinkRest
from huntbeam.runners.stack.stack import Addresses
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.topic_rows import topic_name
from tests.conftest import Rows
from tests.e2e.topics import make, received

PATIENCE = 240.0  # seconds until rows are there that have to come; a busy machine is no bug
SHORT = ("--join_wait", "30s", "--window", "20s", "--window_grace", "10s")  # waits that a test can wait for
# Streams that only some jobs make.
_OPTIONAL = ("duplicates", "sysmon_events", "sysmon_enriched", "alerts", "suppressed", "anomalies", "monster_events")
QUICK = ("--checkpointing_interval", "2s")


def make_topic(kafka: str, name: str, partitions: int = 3) -> str:
    """An input topic whose records carry append times."""
    make(kafka, name, partitions=partitions)
    return name


class Feeder:
    """Appends records to a topic, to its partitions in turn."""

    def __init__(self, kafka: str, topic: str, partitions: int = 3) -> None:
        self._producer = Producer(
            {"bootstrap.servers": kafka, "linger.ms": 5, "message.max.bytes": 4_000_000, "log_level": 0}
        )
        self._topic = topic
        self._partitions = partitions
        self._sent = 0

    def send(self, values: Iterable[bytes | None], per_second: float = 0) -> None:
        """Appends values and waits until the broker has them."""
        started, before = time.monotonic(), self._sent
        for value in values:
            while True:
                try:
                    self._producer.produce(self._topic, value, partition=self._sent % self._partitions)
                except BufferError:
                    self._producer.poll(0.1)
                else:
                    break
            self._sent += 1
            if self._sent % 200 == 0:
                self._producer.poll(0)
                if per_second:
                    time.sleep(max(0.0, (self._sent - before) / per_second - (time.monotonic() - started)))
        assert self._producer.flush(120) == 0

    def waiting(self) -> int:
        """Records that were sent and that the broker has not confirmed."""
        return len(self._producer)


@contextmanager
def feeding(feeder: Feeder, values: Sequence[bytes], per_second: float) -> Iterator[Future[None]]:
    """Sends values meanwhile, in a thread; after it all are sent."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(feeder.send, values, per_second)
        yield sent
        sent.result(PATIENCE)


@dataclass
class Job:
    """A job that runs, its topics and the cluster."""

    at: Addresses
    prefix: str
    topic: str
    jid: str

    @property
    def rest(self) -> FlinkRest:
        return FlinkRest(self.at.flink_rest)

    def rows(self, stream: str) -> Rows:
        """What a stream's topic holds now, repeats and all."""
        messages = received(self.at.kafka, topic_name(stream, self.prefix))
        return [json.loads(message.value() or b"") for message in messages]

    def all_rows(self) -> dict[str, Rows]:
        return {stream: self.rows(stream) for stream in STREAMS if stream not in _OPTIONAL}

    def uids(self, stream: str) -> set[str]:
        return {row["event_uid"] for row in self.rows(stream)}

    def await_rows(self, stream: str, uids: int, patience: float = PATIENCE) -> None:
        """Waits until a stream has this many different rows."""
        until = time.monotonic() + patience
        while (there := len(self.uids(stream))) < uids:
            job = self.rest.job(self.jid)
            assert job.state not in ENDED, f"{job.state}: {self.rest.cause(self.jid)}"
            assert time.monotonic() < until, f"{stream} has {there} of {uids} rows after {patience:.0f} s"
            time.sleep(1)
        assert there == uids, f"{stream} has {there} rows, {uids} are right"

    def await_checkpoint(self, more: int = 1) -> None:
        """Waits for further completed checkpoints."""
        before = self.rest.checkpoints(self.jid)["completed"]
        eventually(lambda: self.rest.checkpoints(self.jid)["completed"] >= before + more)

    def restores(self) -> int:
        """How often it began with a checkpoint or savepoint."""
        return self.rest.checkpoints(self.jid)["restored"]

    def await_running(self) -> None:
        eventually(lambda: self.rest.job(self.jid).state == "RUNNING")

    def await_end(self) -> None:
        eventually(lambda: self.rest.job(self.jid).state in ENDED)

    def cancel(self) -> None:
        if self.rest.job(self.jid).state not in ENDED:
            self.rest.cancel(self.jid)


def eventually(is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Waits until it is so; a cluster that does not answer for a while is not so yet."""
    until = time.monotonic() + patience
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        assert time.monotonic() < until, "it never was"
        time.sleep(0.5)


def environment(at: Addresses) -> dict[str, str]:
    """What `huntbeam stack env` prints."""
    return os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": at.kafka,
        "FLINK_REST": at.flink_rest,
        "JOB_ENDPOINT": at.job_endpoint,
        "EXPANSION_SERVICE": at.expansion,
        "WORKER_POOL": at.worker_pool,
    }


def huntbeam(at: Addresses, *argv: str, code: int = 0, patience: float = 180) -> tuple[str, str]:
    """Runs a command as a user does; gives what it wrote to standard output and error."""
    command = [sys.executable, "-m", "huntbeam.runners.cli", *argv]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(at), timeout=patience, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def submit(at: Addresses, prefix: str, topic: str, options: Sequence[str] = (), command: str = "stream") -> Job:
    """Submits a job and returns when it runs."""
    jid, _ = huntbeam(
        at, command, "--input_topic", topic, "--topic_prefix", prefix, "--job_name", prefix, "--detach", *options
    )
    job = Job(at, prefix, topic, jid)
    job.await_running()
    return job


@contextmanager
def streaming(
    at: Addresses, *options: str, partitions: int = 3, command: str = "stream"
) -> Iterator[tuple[Job, Feeder]]:
    """A job of this test's own on a topic of its own."""
    prefix = f"e_{uuid4().hex[:8]}_"
    topic = make_topic(at.kafka, f"{prefix}in", partitions)
    job = submit(at, prefix, topic, options, command)
    try:
        yield job, Feeder(at.kafka, topic, partitions)
    finally:
        job.cancel()
