"""Sigma correlations on a replay through main(argv): golden rows of every type, aliases, chains and silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from huntbeam.schemas import uid
from tests.conftest import ROOT, Rows, run_replay
from tests.events import CREATE, CREATE_DATA, SECURITY, Fact, wlb7

IDS = {name: f"5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d2b{n:02}" for n, name in enumerate(("failure", "login", "tool", "sent"))}
CORRELATION = "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d3c01"


def base(name: str, selection: str, logsource: str = "{product: windows, service: security}") -> str:
    return f"""title: Base {name}
id: {IDS[name]}
name: {name}
logsource: {logsource}
detection: {{selection: {selection}, condition: selection}}
"""


BASES = (
    base("failure", "{EventID: 4625}"),
    base("login", "{EventID: 4624}"),
    base("tool", r"{Image|endswith: '\psexesvc.exe'}", "{product: windows, category: process_creation}"),
    base("sent", "{EventID: 5156}"),
)


def correlation(settings: str, name: str = "asked", rule_id: str = CORRELATION) -> str:
    return f"""title: Correlation {name}
id: {rule_id}
name: {name}
level: high
author: the tests
references: [https://example.com/c]
tags: [attack.credential-access, attack.t1110]
correlation: {settings}
"""


def at(seconds: float) -> str:
    return f"2026-03-04T05:06:{seconds:06.3f}Z"


def event(event_id: int, seconds: float, **data: Any) -> Fact:
    return Fact(event_id, data, provider=SECURITY, channel="Security", record_id=None, time=at(seconds))


def failure(seconds: float, user: str = "Ada", **data: Any) -> Fact:
    return event(4625, seconds, TargetUserName=user, **data)


def login(seconds: float, user: str = "ADA") -> Fact:
    return event(4624, seconds, TargetUserName=user)


def sent(seconds: float, number: Any) -> Fact:
    return event(5156, seconds, Bytes=number)


def tool(seconds: float) -> Fact:
    data = CREATE_DATA | {"Image": "C:\\Windows\\PSEXESVC.exe", "UtcTime": at(seconds)[:-1].replace("T", " ")}
    return CREATE._replace(data=data, time=at(seconds))


def replay(tmp_path: Path, facts: Sequence[Fact], *rules: str, options: tuple[str, ...] = ()) -> dict[str, Rows]:
    source, folder = tmp_path / "in.ndjson", tmp_path / "rules"
    source.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))
    folder.mkdir()
    (folder / "rules.yml").write_text("---\n".join((*rules, *BASES)))
    return run_replay(tmp_path / "out", source, options=("--rules", str(folder), *options))


def of(rows: Rows, title: str) -> Rows:
    return [row for row in rows if row["rule_title"] == title]


THREE = "{type: event_count, rules: [failure], group-by: [TargetUserName], timespan: 10s, condition: {gte: 3}}"


def test_an_alert_of_a_correlation_is_a_row_of_alerts(tmp_path: Path) -> None:
    facts = [failure(n) for n in (3, 1, 2, 14)] + [failure(2, "grace"), failure(3, "grace")]
    (row,) = replay(tmp_path, facts, correlation(THREE))["alerts"]
    assert len(row.pop("ruleset")) == 32
    contributing = row.pop("contributing")
    assert row == {
        "time": "2026-03-04T05:06:03.000Z",
        "event_uid": uid.correlation(CORRELATION, ["ada"], contributing[-1]),
        "revision": 0,
        "retracted": False,
        "host": None,
        "user_account": "ada",
        "process_path": None,
        "record_id": None,
        "rule_id": CORRELATION,
        "rule_title": "Correlation asked",
        "rule_level": "high",
        "rule_type": "event_count",
        "tags": ["attack.credential-access", "attack.t1110"],
        "attack": ["T1110"],
        "author": "the tests",
        "references": ["https://example.com/c"],
        "matched": {"TargetUserName": "ada"},
        "event": {},
        "contributing_count": 3,
        "first_seen": "2026-03-04T05:06:01.000Z",
        "last_seen": "2026-03-04T05:06:03.000Z",
        "truncated": False,
        "suppressed_count": 0,
    }
    assert len(set(contributing)) == 3


@pytest.mark.parametrize(
    ("settings", "facts", "first"),
    [
        (
            "{type: value_count, rules: [failure], timespan: 10s, condition: {field: TargetUserName, gte: 3}}",
            [failure(1), failure(2, "ADA"), failure(3, "grace"), failure(4, "alan")],
            [at(4)],
        ),
        (
            "{type: temporal, rules: [failure, tool], timespan: 10s, group-by: [Computer]}",
            [failure(9), tool(2), tool(25)],
            [at(9)],
        ),
        (
            "{type: temporal_ordered, rules: [failure, tool], timespan: 10s}",
            [failure(9), tool(2), tool(12), failure(30), tool(29)],
            [at(12)],
        ),
        (
            "{type: value_sum, rules: [sent], timespan: 10s, condition: {field: Bytes, gt: 1000}}",
            [sent(1, "600"), sent(2, 400), sent(3, "0x1"), sent(4, "-"), sent(30, 1000)],
            [at(3)],
        ),
        (
            "{type: value_avg, rules: [sent], timespan: 10s, condition: {field: Bytes, gte: 10}}",
            [sent(1, 1), sent(2, 19), sent(3, 9)],
            [at(2)],
        ),
        (
            "{type: value_percentile, rules: [sent], timespan: 10s, condition: {field: Bytes, percentile: 50, gte: 5}}",
            [sent(1, 1), sent(2, 5), sent(3, 6), sent(30, 2)],
            [at(3)],
        ),
    ],
    ids=["value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile"],
)
def test_every_type_of_the_specification(tmp_path: Path, settings: str, facts: list[Fact], first: list[str]) -> None:
    found = replay(tmp_path, facts, correlation(settings))["alerts"]
    assert [row["time"] for row in found] == first
    assert [row["rule_type"] for row in found] == [settings[len("{type: ") :].partition(",")[0]]


def test_an_alias_is_one_group_of_fields_with_several_names(tmp_path: Path) -> None:
    settings = """
    type: temporal
    rules: [failure, tool]
    group-by: [who]
    timespan: 10s
    aliases: {who: {failure: TargetUserName, tool: User}}
"""
    facts = [failure(1, "LAB\\ada"), failure(2, "grace"), tool(3)]
    (row,) = replay(tmp_path, facts, correlation(settings))["alerts"]
    assert (row["matched"], row["user_account"], row["time"]) == ({"who": "lab\\ada"}, "lab\\ada", at(3))


MANY = "{type: event_count, rules: [failure], group-by: [TargetUserName], timespan: 10s, condition: {gte: 3}"
THEN = "{type: temporal_ordered, rules: [many, login], group-by: [TargetUserName], timespan: 30s"


@pytest.mark.parametrize(("generate", "titles"), [("false", set()), ("true", {"Correlation many", "Base login"})])
def test_a_chain_of_correlations_and_its_silence(tmp_path: Path, generate: str, titles: set[str]) -> None:
    rules = (
        correlation(f"{THEN}, generate: {generate}}}"),
        correlation(f"{MANY}}}", "many", "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d3c02"),
    )
    facts = [*(failure(n) for n in (1, 2, 3)), login(20), login(21, "grace")]
    found = replay(tmp_path, facts, *rules)["alerts"]
    (row,) = of(found, "Correlation asked")
    assert (row["time"], row["first_seen"], row["contributing_count"]) == (at(20), at(3), 2)
    assert row["contributing"][0] == uid.correlation(
        "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d3c02", ["ada"], _event_uid(facts[2])
    )
    assert {one["rule_title"] for one in found} - {"Correlation asked"} == titles


def _event_uid(fact: Fact) -> str:
    fields = {name: str(value) for name, value in fact.data.items()}
    return uid.event(fact.host, fact.provider, fact.channel, fact.event_id, None, fact.time, fields)


def test_one_group_has_processes_of_sysmon_and_of_the_security_log(tmp_path: Path) -> None:
    """Image is NewProcessName in 4688: correlations read fields as rules do."""
    audit = event(4688, 5, NewProcessName="C:\\Windows\\psexesvc.exe", CommandLine="x")
    settings = "{type: event_count, rules: [tool], group-by: [Image], timespan: 10s, condition: {gte: 2}}"
    (row,) = replay(tmp_path, [tool(2), audit], correlation(settings))["alerts"]
    assert (row["matched"], row["process_path"]) == (
        {"Image": "c:\\windows\\psexesvc.exe"},
        "c:\\windows\\psexesvc.exe",
    )


def test_an_event_without_a_time_is_no_hit_and_is_counted(tmp_path: Path) -> None:
    facts = [failure(1), failure(2), failure(3)._replace(time="yesterday")]
    assert replay(tmp_path, facts, correlation(THREE))["alerts"] == []
    summary = json.loads((tmp_path / "out" / "_SUCCESS").read_text())["summary"]
    assert summary["tallies"]["no_time_to_correlate"] == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), 1), (("--dedupe",), 1), (("--since", at(2)), 0), (("--host", "other"), 0)],
    ids=["plain", "dedupe", "since", "host"],
)
def test_repeated_events_count_once_and_what_is_left_out_not_at_all(
    tmp_path: Path, options: tuple[str, ...], expected: int
) -> None:
    facts = [failure(1), failure(1), failure(2), failure(3), failure(3)]
    found = replay(tmp_path, facts, correlation(THREE), options=options)["alerts"]
    assert [row["contributing_count"] for row in found] == [3] * expected


@pytest.mark.parametrize("written", ["parquet", "avro"])
def test_alerts_of_correlations_are_the_same_in_every_format(tmp_path: Path, written: str) -> None:
    facts = [failure(n) for n in (1, 2, 3)]
    (tmp_path / "a").mkdir()
    (plain,) = replay(tmp_path / "a", facts, correlation(THREE))["alerts"]
    (tmp_path / "b").mkdir()
    assert replay(tmp_path / "b", facts, correlation(THREE), options=("--format", written))["alerts"] == [plain]


def test_a_correlation_that_cannot_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from huntbeam.runners.cli import main

    broken = correlation("{type: temporal, rules: [failure, gone], timespan: 10s}")
    long = correlation(THREE.replace("10s", "9y"), "long", "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d3c03")
    (tmp_path / "rules.yml").write_text("---\n".join((broken, long, *BASES)))
    assert main(["rules", "check", str(tmp_path / "rules.yml"), "--strict"]) == 1
    said = capsys.readouterr().out
    assert "4 rules run, 0 correlations, 2 cannot run" in said
    assert "rules.yml:1: " in said
    assert "it refers to gone, which is no rule that can be used" in said
    assert "is longer than a year; choose a shorter one" in said


def test_the_example_of_the_docs_works(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "rules.md").read_text()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "rules.yml").write_text(text.split("```yaml\n")[1].split("```")[0])
    facts = [*(failure(n) for n in range(10)), login(30)]
    (tmp_path / "in.ndjson").write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))
    options = ("--rules", str(tmp_path / "docs"), "--strict")
    found = run_replay(tmp_path / "out", tmp_path / "in.ndjson", options=options)["alerts"]
    assert [row["rule_title"] for row in found] == ["Many Failed Logons Then A Success"]
