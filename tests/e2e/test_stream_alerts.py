"""Rules on a real Kafka and Flink: one job gives the alerts, suppressed ones and anomalies that a replay gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.conftest import ROOT, Rows, run_replay
from tests.e2e.jobs import SHORT, eventually, streaming
from tests.events import wlb7
from tests.pipelines.test_replay_correlations import BASES
from tests.pipelines.test_stream_correlations import CHAIN, FACTS

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

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
STREAMS = ("alerts", "suppressed", "anomalies")


def test_rules_correlations_and_anomalies_give_what_replay_gives(stack: Stack, shared: Path, tmp_path: Path) -> None:
    """All Windows rules of SigmaHQ, a chain of correlations, suppression and anomaly rules at once."""
    (tmp_path / "chain.yml").write_text("---\n".join((*CHAIN, *BASES)))
    (tmp_path / "anomalies.yml").write_text(ANOMALIES)
    (tmp_path / "chain.ndjson").write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in FACTS))
    sources = (
        shared / "sigma" / "regression.wlb8.ndjson",
        ROOT / "samples" / "logs" / "winlogbeat7.ndjson",
        tmp_path / "chain.ndjson",
    )
    options = (
        "--rules",
        str(shared / "sigma" / "sigmahq-windows-rules.tar.gz"),
        "--rules",
        str(tmp_path / "chain.yml"),
    )
    options += ("--rule_cache", str(tmp_path / "cache"), "--suppress", "1h")
    options += ("--anomaly_rules", str(tmp_path / "anomalies.yml"))
    replayed = run_replay(tmp_path / "out", *sources, options=(*options, "--window", "20s"))
    wanted = {stream: valid(replayed[stream]) for stream in STREAMS}
    assert {"rule", "event_count", "temporal_ordered"} == {row["rule_type"] for row in wanted["alerts"].values()}
    assert len(wanted["alerts"]) > 83
    assert wanted["suppressed"]
    assert {row["kind"] for row in wanted["anomalies"].values()} == {"threshold", "first_seen"}
    with streaming(stack.addresses(), *SHORT, "--correlation_wait", "5s", *options) as (job, feeder):
        for source in sources:
            feeder.send(source.read_bytes().splitlines())
        for stream in STREAMS:
            eventually(lambda stream=stream: valid(job.rows(stream)) == wanted[stream])  # type: ignore[misc]


def valid(rows: Rows) -> dict[str, dict[str, object]]:
    """Of the copies of each anomaly the one of the highest revision, unless it was taken back."""
    best: dict[str, dict[str, object]] = {}
    for row in sorted(rows, key=lambda row: int(row["revision"])):
        best[row["event_uid"]] = row
    left = {uid: row for uid, row in best.items() if not row["retracted"]}
    return {uid: {k: v for k, v in row.items() if k not in ("revision", "schema_version")} for uid, row in left.items()}
