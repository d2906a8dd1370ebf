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

import pytest

from huntbeam.runners.stack.stack import Stack
from huntbeam.schemas import uid
from huntbeam.schemas.winlog import parse_record
from tests.conftest import SHARED, Rows, run_replay
from tests.e2e.jobs import QUICK, SHORT, Feeder, Job, eventually, huntbeam, make_topic, submit
from tests.events import CONNECT_DATA, CREATE_DATA, Fact, line
from tests.pipelines.streaming import comparable
from tests.pipelines.test_replay_real import FILES
from tests.pipelines.test_stream_equals_replay import values

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

STREAMS = ("sysmon_process_create", "sysmon_network_connect", "sysmon_join", "sysmon_unmatched", "window_counts")
WINDOW = ("--window", "20s")
PAUSE = 120
STOP_WAIT = 90  # seconds: what the job that is stopped waits for creates
STOPPED = ("--join_wait", f"{STOP_WAIT}s")
DAYS = 11 * 24 * 3600


@dataclass
class Case:
    """A job and how it is fed; `records` is what replay is given."""

    feed: Callable[[Case], None]
    records: list[bytes]
    topics: int = 1
    job: Job | None = None
    feeders: list[Feeder] = field(default_factory=list)
    error: BaseException | None = None
    fed: threading.Thread | None = None

    def run(self) -> None:
        try:
            self.feed(self)
        except BaseException as error:
            self.error = error


def recorded() -> list[bytes]:
    return [value for path in FILES for value in values(path) if value]


def shuffled(records: list[bytes], seed: int = 18) -> list[bytes]:
    return random.Random(seed).sample(records, len(records))  # noqa: S311 - an order that comes again


def is_create(value: bytes) -> bool:
    event = parse_record(value)
    return event.event_id == 1 and "Sysmon" in (event.provider or "")


def at_once(case: Case) -> None:
    for number, feeder in enumerate(case.feeders):
        feeder.send(case.records[number :: len(case.feeders)])


def half_of_the_creates_late(case: Case) -> None:
    creates = [value for value in case.records if is_create(value)]
    held = set(creates[::2])
    case.feeders[0].send(value for value in case.records if value not in held)
    time.sleep(PAUSE)
    case.feeders[0].send(held)


def stopped_between(case: Case) -> None:
    """Connects; the job stops; their creates come; two minutes later the job goes on."""
    job = case.job
    assert job is not None
    began = time.monotonic()
    case.feeders[0].send(value for value in case.records if not is_create(value))
    job.await_checkpoint()
    savepoint, _ = huntbeam(job.at, "jobs", "stop", job.jid)
    case.feeders[0].send(value for value in case.records if is_create(value))
    assert time.monotonic() - began < STOP_WAIT, "this machine is too slow: the creates did come too late"
    time.sleep(STOP_WAIT + 30)
    case.job = submit(job.at, job.prefix, job.topic, (*SHORT, *QUICK, *STOPPED, "--savepoint", savepoint))


def host_records(host: str, drift_s: int, processes: int = 20) -> list[bytes]:
    """A host's creates and connects, its clock off by so much."""
    found = []
    for number in range(processes):
        guid = f"{{0a1b2c3d-{number:04x}-4222-8333-0123456789ab}}"
        for event_id, data in ((1, CREATE_DATA), (3, CONNECT_DATA)):
            seconds = 1_772_600_000 + number + drift_s
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) + ".250"
            found.append(line(Fact(event_id, data | {"ProcessGuid": guid, "UtcTime": at}, host=host, record_id=number)))
    return found


HOSTS = [*host_records("ws-1", 0), *host_records("ws-2", 5)]
WRONG_CLOCKS = [*host_records("behind", -DAYS), *host_records("ahead", DAYS)]
CASES: dict[str, Callable[[], Case]] = {
    "stopped": lambda: Case(stopped_between, recorded()),
    "creates_late": lambda: Case(half_of_the_creates_late, shuffled(recorded(), 5)),
    "in_order": lambda: Case(at_once, recorded(), topics=2),
    "shuffled": lambda: Case(at_once, shuffled(recorded())),
    "clocks": lambda: Case(at_once, shuffled([*HOSTS, *WRONG_CLOCKS])),
    "clocks_without": lambda: Case(at_once, shuffled(HOSTS)),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """All jobs, submitted, and being fed."""
    if not (SHARED / "data").is_dir():
        pytest.skip("no recorded data here (../shared): these tests run where developers and CI have it")
    own = Stack(tmp_path_factory.mktemp("equality"))
    own.up(task_slots=16)
    found: dict[str, Case] = {}
    try:
        for name, make in CASES.items():
            found[name] = case = make()
            prefix = f"q_{uuid4().hex[:6]}_"
            kafka = own.addresses().kafka
            topics = [make_topic(kafka, f"{prefix}in{number}") for number in range(case.topics)]
            further = [part for topic in topics[1:] for part in ("--input_topic", topic)]
            wait = STOPPED if name == "stopped" else ()
            case.job = submit(own.addresses(), prefix, topics[0], (*SHORT, *QUICK, *further, *wait))
            case.feeders = [Feeder(kafka, topic) for topic in topics]
            case.fed = threading.Thread(target=case.run)
            case.fed.start()
        yield found
    finally:
        for case in found.values():
            if case.fed is not None:
                case.fed.join(600)
        own.down(delete=True)


def fed(cases: dict[str, Case], name: str) -> Job:
    case = cases[name]
    assert case.fed is not None
    case.fed.join(600)
    if case.error is not None:
        raise case.error
    assert case.job is not None
    return case.job


def replayed(folder: Path, records: list[bytes]) -> dict[str, Rows]:
    archive = folder / "archive.ndjson"
    archive.write_bytes(b"".join(record + b"\n" for record in records))
    return run_replay(folder / "out", archive, options=WINDOW)


def last_copies(rows: Rows) -> Rows:
    """Of the copies of a window's row the one with the highest count; of others any, which must be equal."""
    best: dict[tuple[object, ...], dict[str, object]] = {}
    for row in rows:
        key = row["event_uid"], row.get("generation")
        if key not in best or row.get("count", 0) > best[key].get("count", 0):
            best[key] = row
    return list(best.values())


def once(rows: dict[str, list[dict[str, object]]]) -> dict[str, list[dict[str, object]]]:
    """Rows by event_uid; equal rows of one uid, as equal records give, count as one."""
    return {event_uid: same[:1] if all(row == same[0] for row in same) else same for event_uid, same in rows.items()}


def assert_equal(job: Job, expected: dict[str, Rows]) -> None:
    """Rule 15: the same event_uid with equal columns."""
    for stream in STREAMS:
        wanted = once(comparable(expected[stream]))
        job.await_rows(stream, len(wanted))
        if stream == "window_counts":
            eventually(lambda wanted=wanted: windows_of(job) == wanted)  # type: ignore[misc]
            continue
        assert once(comparable(job.rows(stream))) == wanted, stream
    assert job.rows("dead_letters") == []


def windows_of(job: Job) -> dict[str, list[dict[str, object]]]:
    return once(comparable(last_copies(job.rows("window_counts"))))


@pytest.mark.parametrize("name", ["in_order", "shuffled"])
def test_recorded_data_gives_replays_rows(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    job = fed(cases, name)
    assert_equal(job, replayed(tmp_path, cases[name].records))
    assert len(job.uids("sysmon_join")) == 78


def test_a_host_with_a_wrong_clock_changes_nothing_for_the_others(cases: dict[str, Case], tmp_path: Path) -> None:
    alone, among = fed(cases, "clocks_without"), fed(cases, "clocks")
    for job, records in ((alone, HOSTS), (among, [*HOSTS, *WRONG_CLOCKS])):
        (tmp_path / job.prefix).mkdir()
        assert_equal(job, replayed(tmp_path / job.prefix, records))
    for stream in STREAMS:
        rows = [row for row in among.rows(stream) if host_of(row) in ("ws-1", "ws-2")]
        assert comparable(last_copies(rows)) == comparable(last_copies(alone.rows(stream))), stream


def host_of(row: dict[str, object]) -> object:
    key = row.get("key")
    return key["host"] if isinstance(key, dict) else row["host"]


def test_a_stop_between_connects_and_their_creates_loses_no_join(cases: dict[str, Case], tmp_path: Path) -> None:
    job = fed(cases, "stopped")
    assert_equal(job, replayed(tmp_path, cases["stopped"].records))


def test_creates_that_come_too_late_leave_their_connects_in_unmatched(cases: dict[str, Case], tmp_path: Path) -> None:
    """Rule 16: every connect is in one of the two, the joins are among replay's, windows add up."""
    job = fed(cases, "creates_late")
    expected = replayed(tmp_path, cases["creates_late"].records)
    connects = {row["event_uid"] for row in expected["sysmon_network_connect"]}
    eventually(lambda: len(job.uids("sysmon_join")) + len(job.uids("sysmon_unmatched")) >= len(connects))
    joined, unmatched = job.uids("sysmon_join"), job.uids("sysmon_unmatched")
    assert all((uid.joined(c) in joined) + (uid.unmatched(c) in unmatched) == 1 for c in connects)
    assert joined <= {row["event_uid"] for row in expected["sysmon_join"]}
    assert len(joined) < len(expected["sysmon_join"]), "some creates did come too late"
    for stream in STREAMS[:2]:
        assert once(comparable(job.rows(stream))) == once(comparable(expected[stream]))
    eventually(lambda: counts(last_copies(job.rows("window_counts"))) == counts(expected["window_counts"]))


def counts(rows: Rows) -> dict[str, int]:
    """Counts of the generations added up."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["event_uid"]] = totals.get(row["event_uid"], 0) + row["count"]
    return totals
