"""Rule 15 for alerts: the stream's graph in this process gives the alerts of replay, with chains and suppression."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from huntbeam.schemas.clock import HOUR
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.sigma.cache import compiled
from tests.conftest import Rows
from tests.events import wlb7
from tests.pipelines.streaming import run_stream, steps
from tests.pipelines.test_replay_correlations import MANY, THEN, correlation, failure, login, replay
from tests.pipelines.test_stream_graph import leaves, proto

CHAIN = (
    correlation(f"{THEN}, generate: true}}"),
    correlation(f"{MANY}}}", "many", "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d3c02"),
)
FACTS = [
    *(failure(n, user) for user in ("ada", "grace", "alan") for n in (1, 2, 3, 20, 21, 22)),
    *(login(n, user) for user in ("Ada", "GRACE") for n in (9, 12, 25, 50)),
]


def valid(rows: Rows) -> Rows:
    """Of each alert the highest revision, unless that takes it back; as replay's."""
    last = {row["event_uid"]: row for row in sorted(rows, key=lambda row: int(row["revision"]))}
    left = [row | {"revision": 0} for row in last.values() if not row["retracted"]]
    return sorted(
        ({k: v for k, v in row.items() if k != "schema_version"} for row in left), key=lambda row: row["event_uid"]
    )


@pytest.mark.parametrize("suppress", [None, "1h"])
def test_alerts_are_those_of_replay(tmp_path: Path, suppress: str | None) -> None:
    options = () if suppress is None else ("--suppress", suppress)
    replayed = replay(tmp_path, FACTS, *CHAIN, options=options)
    titles = {row["rule_title"] for row in replayed["alerts"]}
    assert titles == {"Correlation asked", "Correlation many", "Base login"}
    rules = compiled([tmp_path / "rules"])
    known = FixedCorrelations((one.settings for one in rules.correlations), rules.digest)
    records: list[bytes | None] = [json.dumps(wlb7(fact)).encode() for fact in FACTS]
    random.Random(7).shuffle(records)  # noqa: S311 - an order, no secret
    streamed = run_stream(
        tmp_path / "stream",
        {"a": records[::2], "b": records[1::2]},
        of=steps(rules=True, correlations=known, depths=known.depths, suppress_ms=HOUR if suppress else None),
        plan=Plan(terminates=True, rules=rules.pack()),
    )
    for name in ("alerts", "suppressed") if suppress else ("alerts",):
        assert valid(streamed[name]) == valid(replayed[name]), name
    assert ("suppressed" in streamed) == (suppress is not None)


def test_labels_states_and_timers_are_those_of_every_savepoint_so_far() -> None:
    graph = proto(rules=True, correlations=FixedCorrelations(), depths=2, suppress_ms=HOUR)
    labels = [line for line in leaves(graph) if line.startswith(("Al", "Corr", "Hits", "Supp"))]
    assert labels == [
        "Alerts",
        "AllAlerts",
        "Correlations/All",
        "Correlations/Depth0/Evaluate/Gather",
        "Correlations/Depth0/Evaluate/Keys head=bag:bytes log=bag:bytes @ts-correlation_0_due",
        "Correlations/Depth0/Pass/Do",
        "Correlations/Depth1/Evaluate/Gather",
        "Correlations/Depth1/Evaluate/Keys head=bag:bytes log=bag:bytes @ts-correlation_1_due",
        "Correlations/Depth1/Pass/Do",
        "Correlations/Hits0",
        "Correlations/Hits1",
        "Hits",
        "Suppress/All_alerts",
        "Suppress/All_suppressed",
        "Suppress/Place/Do",
        "Suppress/Slots/Gather",
        "Suppress/Slots/Keys head=bag:bytes log=bag:bytes @ts-suppression_due",
        "Suppress/Sort/Do",
    ]
