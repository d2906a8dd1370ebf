"""Sigma rules on a real Kafka and Flink: the alerts that a replay with the same rules gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.conftest import run_replay
from tests.e2e.jobs import SHORT, streaming

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_all_windows_rules_give_replays_alerts(stack: Stack, shared: Path, tmp_path: Path) -> None:
    source = shared / "sigma" / "regression.wlb8.ndjson"
    rules = ("--rules", str(shared / "sigma" / "sigmahq-windows-rules.tar.gz"), "--rule_cache", str(tmp_path / "cache"))
    replayed = run_replay(tmp_path / "out", source, options=rules)["alerts"]
    wanted = {row["event_uid"]: row for row in replayed}
    assert len(wanted) > 83
    with streaming(stack.addresses(), *SHORT, *rules) as (job, feeder):
        feeder.send(source.read_bytes().splitlines())
        job.await_rows("alerts", len(wanted))
        found = {row["event_uid"]: row for row in job.rows("alerts")}
    for row in found.values():
        del row["schema_version"]
    assert found == wanted
