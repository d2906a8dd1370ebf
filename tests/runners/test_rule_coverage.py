"""`huntbeam rules coverage` and `check`, through main(argv)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.navigator import layer, rows
from huntbeam.runners.rule_facts import Fact

TEMPLATE = """\
title: Rule {0}
id: 5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b1{0}
tags: [{1}]
logsource: {{category: process_creation, product: windows}}
detection:
    selection: {2}
    condition: selection
level: {3}
"""
RULES = "---\n".join(
    TEMPLATE.format(number, *rest)
    for number, rest in enumerate(
        [
            ("attack.execution, attack.t1059.001", "{CommandLine|contains: a}", "high"),
            ("attack.execution, attack.t1059.001, attack.t1047", "{Hashes|contains: b}", "low"),
            ("cve.2024.1", "[{CommandLine: x}, {OriginalFileName: y}]", "low"),
        ]
    )
)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "rules.yml").write_text(RULES)
    return tmp_path


def fact(*tags: str, level: str = "low", alerts: bool = True) -> Fact:
    return Fact("id", None, "A rule", "", "rule", "f", 1, level, tags, (), alerts)


@pytest.mark.parametrize(
    ("tags", "places"),
    [
        (("attack.execution", "attack.t1059.001"), [("execution", "T1059.001")]),
        (("attack.lateral_movement", "attack.T1021"), [("lateral-movement", "T1021")]),
        (
            ("attack.persistence", "attack.privilege-escalation", "attack.t1543"),
            [("persistence", "T1543"), ("privilege-escalation", "T1543")],
        ),
        (
            ("attack.execution", "attack.t1059", "attack.t1047", "attack.impact", "attack.t1486"),
            [("execution", "T1059"), ("execution", "T1047"), ("impact", "T1486")],
        ),
        (("attack.t1059", "attack.impact"), [("-", "T1059"), ("impact", "-")]),
        (("attack.s0029", "attack.g0016", "car.2016"), [("-", "-")]),
        ((), [("-", "-")]),
    ],
    ids=str,
)
def test_techniques_stand_under_the_tactics_before_them(tags: tuple[str, ...], places: list[tuple[str, str]]) -> None:
    assert fact(*tags).places == places


def test_rules_are_counted_by_place_and_level() -> None:
    found = rows([fact("attack.t1059"), fact("attack.t1059", level="high"), fact("attack.t1059", alerts=False)])
    assert found == [("-", "T1059", {"low": 1, "high": 1})]


def test_a_layer_is_what_the_navigator_reads(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "coverage", str(mine / "rules.yml"), "-o", str(mine / "layer.json")]) == 0
    made = json.loads((mine / "layer.json").read_text())
    assert (made["versions"]["layer"], made["domain"]) == ("4.5", "enterprise-attack")
    assert {one["techniqueID"]: (one["score"], one["comment"]) for one in made["techniques"]} == {
        "T1047": (1, "Rule 1 (low)"),
        "T1059.001": (2, "Rule 0 (high)\nRule 1 (low)"),
    }
    assert made["gradient"]["minValue"] < made["gradient"]["maxValue"] == 2
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[0][:4] == ["tactic", "technique", "rules", "critical"]
    assert table[1:] == [
        ["-", "-", "1", "0", "0", "0", "1", "0"],
        ["execution", "T1047", "1", "0", "0", "0", "1", "0"],
        ["execution", "T1059.001", "2", "0", "1", "0", "1", "0"],
    ]


def test_a_gradient_has_two_ends_without_rules_and_with_one_each() -> None:
    for facts in ([], [fact("attack.t1059")]):
        gradient = layer(facts, "x")["gradient"]
        assert gradient["minValue"] < gradient["maxValue"]


def test_what_cannot_be_written_is_said(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "coverage", str(mine), "-o", str(mine / "none" / "x.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def checked(capsys: pytest.CaptureFixture[str], *argv: Any) -> dict[str, Any]:
    assert main(["rules", "check", *map(str, argv), "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_check_says_what_each_source_has_and_what_is_not_tried_there(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = checked(capsys, mine)
    assert found["coverage"] == [
        {"events": "Sysmon 1", "rules": 3, "without_fields": 0, "cannot_run": 0, "anomaly_rules": 0},
        {"events": "Security 4688", "rules": 2, "without_fields": 1, "cannot_run": 1, "anomaly_rules": 0},
    ]
    assert found["log_sources"] == [
        {"log_source": "process_creation", "rules": 3, "events": {"Sysmon 1": 3, "Security 4688": 2}}
    ]
    assert {(note["error_class"], note["source"]) for note in found["notes"]} == {
        ("FieldsMissing", "Security 4688"),
        ("WithoutFields", "Security 4688"),
    }
    assert main(["rules", "check", str(mine)]) == 0
    out = capsys.readouterr().out
    assert "process_creation      3  Sysmon 1 (3), Security 4688 (2)" in out
    assert "1  cannot run on Security 4688 because its events have no Hashes" in out
    assert "3 rules run, 0 correlations, 0 cannot run\n" in out


def test_check_knows_anomaly_rules_and_correlations(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "builtin:")
    assert (found["errors"], found["anomaly_rules"], found["correlations"]) == ([], 6, 10)
    by_name = {one["events"]: one for one in found["coverage"]}
    assert by_name["Sysmon 3"]["anomaly_rules"] == 4
    assert main(["rules", "check", "builtin:"]) == 0
    assert "19 rules run, 10 correlations, 0 cannot run; 6 anomaly rules\n" in capsys.readouterr().out


def test_a_long_table_is_cut_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "---\n".join(
        f"title: R{n}\nlogsource: {{product: windows, service: security}}\n"
        f"detection: {{s: {{EventID: {5000 + n}}}, condition: s}}\n"
        for n in range(40)
    )
    (tmp_path / "rules.yml").write_text(text)
    assert main(["rules", "check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "16 more (--format json)" in out
    assert "security       40  Security 5000 (1), Security 5001 (1), Security 5002 (1), 37 more" in out
