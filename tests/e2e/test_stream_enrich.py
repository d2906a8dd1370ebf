"""Enrichment on a real Kafka and Flink: the rows, and the alerts of deferred rules, that a replay gives."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.conftest import ROOT, run_replay
from tests.e2e.jobs import SHORT, eventually, streaming
from tests.events import wlb7
from tests.pipelines.streaming import comparable
from tests.pipelines.test_replay_enrich import CHILD, FACTS, LOADED, RULES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STREAMS = ("sysmon_enriched", "alerts", "sysmon_join", "sysmon_unmatched")


def test_enriched_rows_and_deferred_alerts_are_replays(stack: Stack, tmp_path: Path) -> None:
    archive, rules = tmp_path / "in.ndjson", tmp_path / "rules.yml"
    rules.write_text(RULES)
    records = (ROOT / "samples" / "logs" / "winlogbeat7.ndjson").read_bytes().splitlines()
    records += [json.dumps(wlb7(fact)).encode() for fact in FACTS]
    archive.write_bytes(b"\n".join(records))
    options = ("--enrich", "1,3,5,7,8,10,11,22", "--rules", str(rules))
    replayed = run_replay(tmp_path / "out", archive, options=options)
    random.Random(9).shuffle(records)  # noqa: S311 - an order, no secret
    assert {row["context"] for row in replayed["sysmon_enriched"]} == {"full", "no_parent", "missing"}
    assert {row["rule_id"] for row in replayed["alerts"]} == {CHILD, LOADED}
    with streaming(stack.addresses(), *SHORT, *options) as (job, feeder):
        feeder.send(records)
        job.await_rows("sysmon_enriched", len({row["event_uid"] for row in replayed["sysmon_enriched"]}))
        for name in STREAMS:
            eventually(lambda name=name: comparable(job.rows(name)) == comparable(replayed[name]))
