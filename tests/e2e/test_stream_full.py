"""The workload on which a table join loses rows (connects overtake their creates): here none is lost."""

from __future__ import annotations

import sys

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.conftest import ROOT
from tests.e2e.jobs import streaming

sys.path.insert(0, str(ROOT / "benchmarks"))

from joinable import CONNECTS, records

pytestmark = [pytest.mark.full, pytest.mark.timeout(1200)]

PROCESSES = 25_000


def test_every_one_of_175_000_connects_joins(stack: Stack) -> None:
    with streaming(stack.addresses(), partitions=2) as (job, feeder):
        feeder.send(records(PROCESSES))
        job.await_rows("sysmon_join", PROCESSES * CONNECTS, patience=900)
        assert job.rows("sysmon_unmatched") == []
        assert len(job.uids("sysmon_process_create")) == PROCESSES
