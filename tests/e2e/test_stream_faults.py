"""Faults while records flow, on a real Kafka and a real Flink: each row is there, and its repeats are copies of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from huntbeam.runners.stack import processes, state
from huntbeam.runners.stack.stack import Stack
from huntbeam.transforms.topic_rows import topic_name
from tests.conftest import Rows, run_replay
from tests.e2e.jobs import QUICK, Feeder, Job, eventually, feeding, huntbeam, streaming, submit
from tests.e2e.topics import received
from tests.pipelines.streaming import comparable
from tests.test_synthesize import load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PROCESSES = 1_200
CONNECTS = 7  # of each
FIRST = 3_000  # records that come before the fault
LAST = 1_600  # and after it
RATE = 250  # a second, of those between: 20 s long
ROWS = {
    "sysmon_join": PROCESSES * CONNECTS,
    "sysmon_network_connect": PROCESSES * CONNECTS,
    "sysmon_process_create": PROCESSES,
}


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    """A create before its connects, all of which join."""
    return list(load("joinable").records(PROCESSES))


@pytest.fixture(scope="module")
def replayed(records: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    """What replay makes of the records."""
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "records.ndjson").write_bytes(b"\n".join(records))
    rows = run_replay(folder / "out", folder / "records.ndjson", options=("--window", "20s"))
    assert {stream: len(rows[stream]) for stream in ROWS} == ROWS
    return rows


@pytest.fixture(autouse=True)
def whole(stack: Stack) -> Iterator[None]:
    """Leaves the stack whole, whatever a test came to."""
    yield
    stack.up()


@contextmanager
def flowing(job: Job, feeder: Feeder, records: list[bytes]) -> Iterator[None]:
    """Rows are out and a checkpoint is complete; what is done in this block is done while more are on their way.

    After it the last ones come.
    """
    feeder.send(records[:FIRST])
    eventually(lambda: len(job.rows("sysmon_join")) > 0)
    job.await_checkpoint()
    before = len(job.rows("sysmon_join"))
    with feeding(feeder, records[FIRST:-LAST], RATE) as sent:
        eventually(lambda: len(job.rows("sysmon_join")) > before)
        assert not sent.done()
        yield
    feeder.send(records[-LAST:])


def assert_complete(job: Job, replayed: dict[str, Rows]) -> None:
    """Every row of replay's and no other; repeats are copies, in every column."""
    for stream, count in ROWS.items():
        job.await_rows(stream, count)
        rows = job.rows(stream)
        first = {row["event_uid"]: row for row in reversed(rows)}
        assert [row for row in rows if row != first[row["event_uid"]]] == [], stream
        assert comparable(list(first.values())) == comparable(replayed[stream]), stream
    assert job.rows("sysmon_unmatched") == job.rows("dead_letters") == []


def counted(rows: Iterable[dict[str, object]]) -> Counter[str]:
    """What windows counted: of copies the highest count is valid, and generations add up."""
    valid: dict[tuple[str, object], int] = {}
    for row in rows:
        uid, count = str(row["event_uid"]), row["count"]
        assert isinstance(count, int)
        one = (uid, row["generation"])
        valid[one] = max(count, valid.get(one, 0))
    total: Counter[str] = Counter()
    for (uid, _), count in valid.items():
        total[uid] += count
    return total


def test_a_task_manager_is_killed(stack: Stack, records: list[bytes], replayed: dict[str, Rows]) -> None:
    at = stack.addresses()
    with streaming(at, *QUICK, "--window", "20s", "--window_grace", "10s") as (job, feeder):
        with flowing(job, feeder, records):
            stack.kill("taskmanager")
            stack.up()
            eventually(lambda: job.restores() >= 1)  # more than one when it tried before a task manager was there
        assert_complete(job, replayed)
        assert_read_once(job)
        eventually(lambda: counted(job.rows("window_counts")) == counted(replayed["window_counts"]))


def assert_read_once(job: Job) -> None:
    """`topics dedupe` gives each row once to a consumer of completed transactions."""
    source = topic_name("sysmon_join", job.prefix)
    huntbeam(job.at, "topics", "dedupe", source, f"{source}.once", "--quiet")
    once = [json.loads(message.value() or b"") for message in received(job.at.kafka, f"{source}.once")]
    assert len(once) == ROWS["sysmon_join"]
    assert {row["event_uid"] for row in once} == job.uids("sysmon_join")


def test_the_worker_pool_is_killed_with_its_workers(
    stack: Stack, records: list[bytes], replayed: dict[str, Rows]
) -> None:
    with streaming(stack.addresses(), *QUICK) as (job, feeder):
        with flowing(job, feeder, records):
            kill_workers(stack)
            stack.up()
            eventually(lambda: job.restores() >= 1)  # more than one when it tried without a pool
        assert_complete(job, replayed)


def kill_workers(stack: Stack) -> None:
    found = state.load(stack.home)
    assert found is not None
    pool = found.processes["workers"]
    assert len(processes.members(pool)) >= 3, "the pool and two workers"
    stack.kill("workers")
    assert processes.members(pool) == []


def test_the_broker_is_stopped_and_started_again(stack: Stack, records: list[bytes], replayed: dict[str, Rows]) -> None:
    with streaming(stack.addresses(), *QUICK) as (job, feeder):
        with flowing(job, feeder, records):
            stack.stop("kafka")
            eventually(lambda: feeder.waiting() > 3 * RATE)  # nothing is taken, for three seconds at least
            stack.up()
        assert_complete(job, replayed)


def test_the_job_manager_is_killed_and_the_job_resumed_from_its_last_checkpoint(
    stack: Stack, records: list[bytes], replayed: dict[str, Rows]
) -> None:
    at = stack.addresses()
    with streaming(at, *QUICK) as (job, feeder):
        with flowing(job, feeder, records):
            stack.kill("jobmanager")
            stack.up()
            assert job.jid not in {known.jid for known in job.rest.jobs()}
            checkpoint, said = huntbeam(at, "jobs", "checkpoint", job.jid)
            assert f"Flink has forgotten the job {job.jid}" in said
            resume(job, checkpoint)
        assert_complete(job, replayed)


def resume(job: Job, path: str, *options: str) -> None:
    """Goes on from a savepoint or checkpoint; the job is the new one then."""
    job.jid = submit(job.at, job.prefix, job.topic, (*QUICK, "--savepoint", path, *options)).jid
    eventually(lambda: job.restores() >= 1)


@pytest.mark.parametrize("parallelism", ["2", "1"])
def test_it_is_stopped_with_a_savepoint_and_resumed(
    stack: Stack, records: list[bytes], replayed: dict[str, Rows], tmp_path: Path, parallelism: str
) -> None:
    at, window = stack.addresses(), ("--window", "1h")
    with streaming(at, *QUICK, *window, "--parallelism", "2") as (job, feeder):
        with flowing(job, feeder, records):
            savepoint, _ = huntbeam(at, "jobs", "stop", job.jid, "--savepoint", str(tmp_path))
            assert job.rows("window_counts") == []  # what waits still waits: the stop is not the end of time
            resume(job, savepoint, *window, "--parallelism", parallelism)
        assert_complete(job, replayed)
