"""Enriched rows and the alerts of deferred rules: the stream's graph gives replay's. e2e has the servers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from huntbeam.pipelines.stream import Seeds
from huntbeam.runners.cli import main
from huntbeam.schemas.clock import MINUTE, EventTime
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.enrich_rows import Enrichment
from huntbeam.transforms.sigma.compile import compile_rules
from tests.conftest import run_replay
from tests.events import wlb7
from tests.pipelines.streaming import comparable, milliseconds, run_stream, steps
from tests.pipelines.test_replay_enrich import FACTS, LOADED, RULES, create, event, shown
from tests.pipelines.test_stream_equals_replay import SAMPLE, values

LIBRARY = {"ImageLoaded": "C:\\y.dll"}


@pytest.mark.parametrize("ids", [(1, 3, 5, 7, 8, 10, 22), ()])
def test_rows_and_alerts_are_those_of_replay(tmp_path: Path, ids: tuple[int, ...]) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    records: list[bytes | None] = [json.dumps(wlb7(fact)).encode() for fact in FACTS]
    if ids:
        records += [value for path in sorted(SAMPLE.iterdir()) for value in values(path)]
    archive = tmp_path / "in.ndjson"
    archive.write_bytes(b"".join(value + b"\n" for value in records if value))
    options = ("--enrich", ",".join(map(str, ids))) if ids else ()
    replayed = run_replay(tmp_path / "out", archive, options=("--rules", str(rules), *options))
    packed, enrich = compile_rules([rules]).pack(), frozenset(ids) | {1}
    plan = Plan(terminates=True, rules=packed, enrich=enrich, enriched=frozenset(ids))
    of = steps(rules=True, enrich=Enrichment(enrich, bool(ids), EventTime.UTC_TIME, packed))
    random.Random(7).shuffle(records)  # noqa: S311 - an order, no secret
    streamed = run_stream(tmp_path / "stream", {"winlogbeat": records}, of=of, plan=plan)
    assert streamed.keys() == replayed.keys()
    for name in ("alerts", "sysmon_enriched", "sysmon_join", "sysmon_unmatched"):
        assert comparable(streamed.get(name, [])) == comparable(replayed.get(name, [])), name
    assert LOADED in {row["rule_id"] for row in streamed["alerts"]}
    if ids:
        assert {row["context"] for row in streamed["sysmon_enriched"]} == {"full", "no_parent", "missing"}


def test_seeded_creates_are_context_and_parents(tmp_path: Path) -> None:
    creates = run_replay(tmp_path / "out", write(tmp_path, create(1), create(2)))["sysmon_process_create"]
    topics: dict[str, list[bytes | None]] = {
        "winlogbeat": [json.dumps(wlb7(event(7, 2, **LIBRARY))).encode(), json.dumps(wlb7(create(3))).encode()],
        "SEEDS": [json.dumps(row | {"schema_version": 1}).encode() for row in creates],
    }
    ids = frozenset({1, 7})
    streamed = run_stream(
        tmp_path / "stream",
        topics,
        of=steps(enrich=Enrichment(ids, rows=True)),
        plan=Plan(terminates=True, enrich=ids, enriched=ids),
        seeds=Seeds("SEEDS", is_folder=False, started=milliseconds() + MINUTE),
    )
    columns = ("event_id", "context", "grandparent_process_path")
    assert shown(streamed["sysmon_enriched"], *columns) == [(1, "full", "C:\\p1.exe"), (7, "full", "C:\\p0.exe")]


def write(folder: Path, *facts: object) -> Path:
    path = folder / "seeds.ndjson"
    path.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))  # type: ignore[arg-type]
    return path


def test_ancestry_is_replays_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["stream", "--input_topic", "x", "--enrich", "1", "--ancestry", "3"])
    assert "--ancestry" in capsys.readouterr().err
