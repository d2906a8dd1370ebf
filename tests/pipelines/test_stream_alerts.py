"""Sigma rules in the stream's graph: several topics, and rules that change between two bundles."""

from __future__ import annotations

import json
import random
from pathlib import Path

import apache_beam as beam
import yaml

from huntbeam.pipelines.stream import Stream, stream
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.sigma.cache import compiled
from huntbeam.transforms.sigma.plan import RuleSet
from tests.events import CREATE, CREATE_DATA, line, wlb7, wlb8
from tests.pipelines.streaming import ListEnds, run_stream, sinks, steps
from tests.transforms.sigma.rules import PROCESS, rule, ruleset

RULE = rule({"CommandLine|contains": "hidden"}, PROCESS)
RECORDS = [line(CREATE._replace(data=CREATE_DATA | {"CommandLine": f"{n} -w hidden"}), wlb8) for n in range(3)]


def graph_bytes(topics: list[str], rules: bytes) -> int:
    of, pipeline = steps(rules=True), beam.Pipeline()
    stream(pipeline, Stream(topics, Plan(rules=rules), of, sinks(of)), ListEnds("x", {topic: [] for topic in topics}))
    return len(pipeline.to_runner_api().SerializeToString())


def test_rules_are_in_the_graph_once_whatever_the_number_of_topics() -> None:
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=500_000))  # noqa: S311  # no secret
    packed = RuleSet(noise, (), ()).pack()
    bare, one, three = (graph_bytes(*asked) for asked in ((["a"], b""), (["a"], packed), (["a", "b", "c"], packed)))
    assert one - bare > 200_000
    assert three - one < 100_000


def test_alerts_and_dead_letters_of_several_topics(tmp_path: Path) -> None:
    topics = {"first": [RECORDS[0], b"{", None], "second": [RECORDS[1], b"}"], "third": RECORDS[2:]}
    found = run_stream(
        tmp_path / "out", topics, of=steps(rules=True), plan=Plan(rules=ruleset(RULE).pack(), terminates=True)
    )
    assert sorted(row["event"]["CommandLine"] for row in found["alerts"]) == [f"{n} -w hidden" for n in range(3)]
    assert sorted(row["source"] for row in found["dead_letters"]) == ["kafka:first", "kafka:second"]
    assert len(found["sysmon_process_create"]) == 3


def test_one_topic_and_several_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "rule.yml").write_text(yaml.safe_dump(RULE))
    plan = Plan(rules=compiled([tmp_path / "rule.yml"]).pack(), terminates=True)
    records = [*RECORDS, line(CREATE, wlb7)]
    one = run_stream(tmp_path / "one", {"a": records}, of=steps(rules=True), plan=plan)
    two = run_stream(tmp_path / "two", {"a": records[:2], "b": records[2:]}, of=steps(rules=True), plan=plan)
    for name in ("alerts", "sysmon_process_create"):
        assert sorted(map(json.dumps, one[name])) == sorted(map(json.dumps, two[name])) != []
