"""Rules on a real Kafka and Flink: the alerts and anomalies that a replay with the same rules gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.conftest import ROOT, Rows, run_replay
from tests.e2e.jobs import SHORT, eventually, streaming

ANOMALIES = """\
kind: threshold
id: 7b0f6a0e-0f0b-4f0e-8f55-0c5f2d1d0a02
name: Several Connects To One Place
severity: low
counter: network_destination
above: 1
---
kind: first_seen
id: 7b0f6a0e-0f0b-4f0e-8f55-0c5f2d1d0a04
name: New Process On A Host
severity: informational
counter: process_image
"""

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


def test_anomaly_rules_give_replays_anomalies(stack: Stack, tmp_path: Path) -> None:
    source, rules = ROOT / "samples" / "logs" / "winlogbeat7.ndjson", tmp_path / "anomalies.yml"
    rules.write_text(ANOMALIES)
    options = ("--anomaly_rules", str(rules))
    wanted = valid(run_replay(tmp_path / "out", source, options=(*options, "--window", "20s"))["anomalies"])
    assert {row["kind"] for row in wanted.values()} == {"threshold", "first_seen"}
    with streaming(stack.addresses(), *SHORT, *options) as (job, feeder):
        feeder.send(source.read_bytes().splitlines())
        eventually(lambda: valid(job.rows("anomalies")) == wanted)


def valid(rows: Rows) -> dict[str, dict[str, object]]:
    """Of the copies of each anomaly the one of the highest revision, unless it was taken back."""
    best: dict[str, dict[str, object]] = {}
    for row in sorted(rows, key=lambda row: int(row["revision"])):
        best[row["event_uid"]] = row
    left = {uid: row for uid, row in best.items() if not row["retracted"]}
    return {uid: {k: v for k, v in row.items() if k not in ("revision", "schema_version")} for uid, row in left.items()}
