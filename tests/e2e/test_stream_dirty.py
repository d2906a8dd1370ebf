"""Bad records on a real Kafka and Flink: they become dead letters, and the job goes on."""

from __future__ import annotations

import random
import sys
from hashlib import sha256

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.conftest import ROOT
from tests.e2e.jobs import SHORT, eventually, streaming

sys.path.insert(0, str(ROOT / "benchmarks"))

from joinable import CONNECTS, records

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PROCESSES, BAD, LONG, NULLS = 250, 10_000, 20, 100


def bad_records() -> list[bytes]:
    """Random bytes, torn records and lines of a megabyte, each another."""
    choose = random.Random(14)  # noqa: S311 - bytes that come again
    good = list(records(50, seed=3))
    found = [b"\x00" + choose.randbytes(choose.randrange(1, 300)) for _ in range(BAD // 2)]
    found += [choose.choice(good)[: choose.randrange(1, 900)] + b" %d" % n for n in range(BAD // 2 - LONG)]
    return found + [b'{"a": "%d' % n + b"x" * 1_000_000 for n in range(LONG)]


def test_ten_thousand_malformed_records_among_good_ones(stack: Stack) -> None:
    good, bad = list(records(PROCESSES)), bad_records()
    assert len({sha256(value).digest() for value in bad}) == len(bad) == BAD
    mixed: list[bytes | None] = [*good, *bad, *[None] * NULLS]
    random.Random(15).shuffle(mixed)  # noqa: S311 - an order that comes again
    with streaming(stack.addresses(), *SHORT) as (job, feeder):
        feeder.send(mixed)
        job.await_rows("sysmon_join", PROCESSES * CONNECTS)
        job.await_rows("dead_letters", BAD)
        letters = job.rows("dead_letters")
        assert {row["raw_sha256"] for row in letters} == {sha256(value).hexdigest() for value in bad}
        assert all(row["source"] == f"kafka:{job.topic}" for row in letters)
        longest = [row for row in letters if row["raw_length"] > 1_000_000]
        assert len(longest) == LONG
        assert all(row["raw_truncated"] and len(row["raw_b64"]) <= 900_000 for row in longest)
        assert job.rest.job(job.jid).state == "RUNNING"
        counted = {"null_values": NULLS, "dead": BAD, "received": len(mixed)}
        eventually(lambda: counted.items() <= job.rest.counters(job.jid).items())  # Flink looks every 10 s
        # and it goes on
        feeder.send(records(10, seed=99))
        job.await_rows("sysmon_join", PROCESSES * CONNECTS + 10 * CONNECTS)


def test_a_bounded_run_ends_by_itself(stack: Stack) -> None:
    with streaming(stack.addresses(), *SHORT, "--max_records", "800") as (job, feeder):
        feeder.send(records(100))
        job.await_end()
        assert job.rest.job(job.jid).state == "FINISHED"
        assert len(job.uids("sysmon_join")) == 700
