"""Sigma rules on a replay through main(argv): the alerts, their columns, and what happens to rules that cannot run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from huntbeam.runners.cli import main
from huntbeam.schemas import uid
from tests.conftest import ROOT, read_rows, run_replay
from tests.events import CREATE, CREATE_DATA, SECURITY, Fact, nxlog, wlb6, wlb7, wlb8

RULE_ID = "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b11"
CONSOLE = f"""title: Shell With A Hidden Window
id: {RULE_ID}
status: test
level: high
author: the tests
references:
    - https://example.com/hidden
tags:
    - attack.execution
    - attack.t1059.001
logsource:
    category: process_creation
    product: windows
detection:
    selection:
        CommandLine|contains: ' -W HIDDEN'
    condition: selection
"""
CLEARED = """title: Log Cleared
id: 5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b12
logsource:
    product: windows
    service: security
detection:
    selection:
        EventID: 1102
    condition: selection
"""
BROKEN = """title: Nothing To Look For
id: 5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b13
logsource:
    product: windows
    category: process_creation
detection:
    selection:
        Image|nosuchmodifier: a
    condition: selection
"""
SYSMON_1 = CREATE._replace(data=CREATE_DATA | {"CommandLine": "powershell.exe -w hidden"})
SECURITY_4688 = Fact(
    4688,
    {
        "SubjectUserName": "ada",
        "SubjectDomainName": "LAB",
        "NewProcessName": "C:\\Windows\\powershell.exe",
        "CommandLine": "powershell.exe -W HIDDEN",
    },
    provider=SECURITY,
    channel="Security",
    record_id=78,
)
SECURITY_1102 = Fact(1102, {}, provider="Microsoft-Windows-Eventlog", channel="Security")
SECURITY_4624 = Fact(4624, {"TargetUserName": "ada"}, provider=SECURITY, channel="Security")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "console.yml").write_text(CONSOLE)
    (folder / "cleared.yml").write_text(CLEARED)
    return folder


def archive(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_one_rule_meets_sysmon_1_and_security_4688_in_every_shape(tmp_path: Path, rules: Path) -> None:
    facts = (SYSMON_1, SECURITY_4688, CREATE, SECURITY_4624)
    records = [shape(fact) for shape in (wlb6, wlb7, wlb8, nxlog) for fact in facts]
    found = run_replay(tmp_path / "out", archive(tmp_path / "in.ndjson", *records), options=("--rules", str(rules)))
    assert len(found["alerts"]) == 8
    assert {(row["rule_id"], row["process_path"]) for row in found["alerts"]} == {
        (RULE_ID, "C:\\Tools\\näh.exe"),
        (RULE_ID, "C:\\Windows\\powershell.exe"),
    }
    assert found["dead_letters"] == []
    assert len(found["sysmon_process_create"]) == 8


def test_an_alert_has_its_event_and_its_rule(tmp_path: Path, rules: Path) -> None:
    found = run_replay(
        tmp_path / "out", archive(tmp_path / "in.ndjson", wlb7(SYSMON_1)), options=("--rules", str(rules))
    )
    (alert,), (create,) = found["alerts"], found["sysmon_process_create"]
    assert len(alert.pop("ruleset")) == 32
    assert alert.pop("event") == SYSMON_1.data
    assert alert == {
        "time": "2026-03-04T05:06:07.089Z",
        "event_uid": uid.alert(RULE_ID, create["event_uid"]),
        "revision": 0,
        "retracted": False,
        "host": "WS-7.lab.example",
        "user_account": "LAB\\ada",
        "process_path": "C:\\Tools\\näh.exe",
        "record_id": "77",
        "rule_id": RULE_ID,
        "rule_title": "Shell With A Hidden Window",
        "rule_level": "high",
        "rule_type": "rule",
        "tags": ["attack.execution", "attack.t1059.001"],
        "attack": ["T1059.001"],
        "author": "the tests",
        "references": ["https://example.com/hidden"],
        "matched": {
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "EventID": 1,
            "CommandLine": "powershell.exe -w hidden",
        },
        "contributing": [create["event_uid"]],
        "contributing_count": 1,
        "first_seen": "2026-03-04T05:06:07.089Z",
        "last_seen": "2026-03-04T05:06:07.089Z",
        "truncated": False,
        "suppressed_count": 0,
    }


def test_events_that_only_rules_look_at_are_no_dead_letters_though_they_have_no_data(
    tmp_path: Path, rules: Path
) -> None:
    source = archive(tmp_path / "in.ndjson", wlb7(SECURITY_1102), wlb7(SECURITY_4624))
    found = run_replay(tmp_path / "out", source, options=("--rules", str(rules)))
    assert [(row["rule_title"], row["time"]) for row in found["alerts"]] == [
        ("Log Cleared", "2026-03-04T05:06:07.100Z")
    ]
    assert found["dead_letters"] == []


def test_without_rules_there_is_no_stream_of_alerts(tmp_path: Path) -> None:
    assert "alerts" not in run_replay(tmp_path / "out", archive(tmp_path / "in.ndjson", wlb7(SYSMON_1)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--host", "other-*"), 0),
        (("--host", "ws-*"), 2),
        (("--since", "2026-03-04T05:06:07.095Z"), 1),
        (("--dedupe",), 2),
        ((), 3),
    ],
)
def test_alerts_are_narrowed_and_told_apart_as_rows_are(
    tmp_path: Path, rules: Path, options: tuple[str, ...], expected: int
) -> None:
    records = [wlb7(SYSMON_1), wlb7(SYSMON_1), wlb7(SECURITY_4688)]
    if "--host" in options:
        records = records[1:]
    source = archive(tmp_path / "in.ndjson", *records)
    found = run_replay(tmp_path / "out", source, options=("--rules", str(rules), *options))
    assert len(found["alerts"]) == expected


@pytest.mark.parametrize("written", ["parquet", "avro"])
def test_alerts_are_the_same_in_every_format(tmp_path: Path, rules: Path, written: str) -> None:
    source = archive(tmp_path / "in.ndjson", wlb7(SYSMON_1), wlb8(SECURITY_4688))
    plain = run_replay(tmp_path / "jsonl", source, options=("--rules", str(rules)))["alerts"]
    other = run_replay(tmp_path / written, source, options=("--rules", str(rules), "--format", written))["alerts"]
    for row in plain:
        row["matched"] = {name: str(value) for name, value in row["matched"].items()}  # as text maps are there
    assert sorted(other, key=lambda row: row["event_uid"]) == sorted(plain, key=lambda row: row["event_uid"])


def test_a_rule_that_cannot_run_is_said_and_stops_the_run_only_if_strict(
    tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (rules / "broken.yml").write_text(BROKEN)
    source = archive(tmp_path / "in.ndjson", wlb7(SYSMON_1))
    argv = ["replay", "--input", str(source), "--output", str(tmp_path / "out"), "--rules", str(rules)]
    assert main(argv) == 0
    said = capsys.readouterr().err
    assert "2 rules (" in said
    assert "1 rules cannot run" in said
    assert "broken.yml:1" in said
    assert len(read_rows(tmp_path / "out", "alerts")) == 1
    assert main([*argv, "--overwrite", "--strict"]) == 2
    assert "broken.yml:1" in capsys.readouterr().err


def test_rules_that_are_not_there_end_the_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = archive(tmp_path / "in.ndjson", wlb7(SYSMON_1))
    argv = ["replay", "--input", str(source), "--output", str(tmp_path / "out")]
    assert main([*argv, "--rules", str(tmp_path / "missing")]) == 2
    (tmp_path / "empty").mkdir()
    assert main([*argv, "--rules", str(tmp_path / "empty")]) == 2
    assert "there is no rule that can run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_end_of_a_run_lists_its_alerts(tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    title = 'title: "Shell \\x1b[31m[red]"'
    (rules / "console.yml").write_text(CONSOLE.replace("title: Shell With A Hidden Window", title))
    source = archive(tmp_path / "in.ndjson", wlb7(SYSMON_1), wlb7(SYSMON_1), wlb7(SECURITY_1102))
    argv = ["replay", "--input", str(source), "--output", str(tmp_path / "out"), "--rules", str(rules)]
    assert main([*argv, "--dedupe"]) == 0
    said = capsys.readouterr().err
    assert "\x1b" not in said
    kept = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["summary"]["alerts"]
    cleared = {"rule_id": f"{RULE_ID[:-1]}2", "title": "Log Cleared", "level": None, "alerts": 1}
    assert kept == {
        "levels": {"high": 1, "none": 1},
        "rules": [{"rule_id": RULE_ID, "title": "Shell \x1b[31m[red]", "level": "high", "alerts": 1}, cleared],
        "other_rules": 0,
    }
    for text in ("Shell \N{REPLACEMENT CHARACTER}[31m[red]", "Log Cleared", "high"):
        assert text in said


def test_a_rule_cache_gives_the_same_alerts(tmp_path: Path, rules: Path) -> None:
    source, cache = archive(tmp_path / "in.ndjson", wlb7(SYSMON_1)), tmp_path / "cache"
    options = ("--rules", str(rules), "--rule_cache", str(cache))
    first = run_replay(tmp_path / "first", source, options=options)["alerts"]
    assert len(list(cache.iterdir())) == 1
    assert run_replay(tmp_path / "second", source, options=options)["alerts"] == first


def test_every_recorded_file_fires_its_rule(shared: Path, tmp_path: Path) -> None:
    rules = shared / "sigma" / "sigmahq-windows-rules.tar.gz"
    source = shared / "sigma" / "regression.wlb8.ndjson"
    records = [json.loads(line) for line in source.read_bytes().splitlines()]
    cases = [json.loads(line) for line in (shared / "sigma" / "regression.expected.jsonl").read_bytes().splitlines()]
    found = run_replay(tmp_path / "out", source, options=("--rules", str(rules)))
    fired = {(row["host"], row["record_id"], row["rule_id"]) for row in found["alerts"]}
    by_file: dict[tuple[str, str], bool] = {}
    for case in cases:
        winlog = records[case["line"] - 1]["winlog"]
        for rule in case["rule_ids"]:
            place = case["file"], rule
            hit = (winlog["computer_name"], str(winlog["record_id"]), rule) in fired
            by_file[place] = by_file.get(place, False) or hit
    assert len(cases) == 83
    assert all(by_file.values()), [place for place, hit in by_file.items() if not hit]


def test_the_documentations_placeholders_work(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    section = text[text.index("## Placeholders") :]
    rule, values = (block.partition("```")[0] for block in section.split("```yaml\n")[1:3])
    (tmp_path / "admin.yml").write_text(rule)
    (tmp_path / "values.yml").write_text(values)
    users = ("LAB\\adm_ada", "lab\\ROOT", "LAB\\ada", "adm_ada")
    records = [
        wlb7(CREATE._replace(data=CREATE_DATA | {"User": user, "Image": "C:\\x\\powershell.exe"})) for user in users
    ]
    source = archive(tmp_path / "in.ndjson", *records)
    options = ("--rules", str(tmp_path / "admin.yml"), "--pipeline", str(tmp_path / "values.yml"))
    found = run_replay(tmp_path / "out", source, options=options)
    assert [row["user_account"] for row in found["alerts"]] == list(users[:2])


def test_a_catastrophic_pattern_does_not_hold_a_run_up(tmp_path: Path) -> None:
    """An engine that tries again and again would not end within the age of the universe."""
    (tmp_path / "rule.yml").write_text(
        CONSOLE.replace("CommandLine|contains: ' -W HIDDEN'", "CommandLine|re: '^(a+)+$'")
    )
    lines = ["a" * 30_000 + "!", "a" * 30_000]
    records = [wlb8(CREATE._replace(data=CREATE_DATA | {"CommandLine": one})) for one in lines]
    found = run_replay(
        tmp_path / "out", archive(tmp_path / "in.ndjson", *records), options=("--rules", str(tmp_path / "rule.yml"))
    )
    assert [row["event"]["CommandLine"] for row in found["alerts"]] == lines[1:]


def test_our_own_rules_give_all_recorded_verdicts(shared: Path, tmp_path: Path) -> None:
    """Seed 003's rule twice: as ksqlDB's LIKE, which is strict about case, and as Sigma, which is not."""
    folder = shared / "data" / "derived"
    verdicts = [json.loads(line) for line in (folder / "av_rule_cases.expected.jsonl").read_bytes().splitlines()]
    found = run_replay(tmp_path / "out", folder / "av_rule_cases.wlb8.ndjson", options=("--rules", "builtin:windows"))
    ours = [row for row in found["alerts"] if row["rule_title"].startswith("Security Products Enumerated")]
    fired = {(row["record_id"], "Case Sensitive" in row["rule_title"]) for row in ours}
    assert len(verdicts) == 30
    assert fired == {
        (str(verdict["record_id"]), strict)
        for verdict in verdicts
        for strict in (True, False)
        if verdict["strict_ksql" if strict else "nocase_sigma"]
    }


class TestRulesCommand:
    def test_check_says_what_runs_where_and_what_does_not(
        self, rules: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (rules / "broken.yml").write_text(BROKEN)
        assert main(["rules", "check", str(rules)]) == 0
        said = capsys.readouterr().out
        assert "2 rules run, 0 correlations, 1 cannot run" in said
        assert "broken.yml:1" in said
        assert "Sysmon 1" in said
        assert main(["rules", "check", str(rules), "--strict"]) == 1

    def test_explain_shows_every_leaf_with_its_truth(
        self, tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = archive(tmp_path / "in.ndjson", wlb7(SYSMON_1), wlb7(CREATE), "no event")
        assert main(["rules", "explain", RULE_ID, str(source), "--rules", str(rules)]) == 0
        said = capsys.readouterr().out.splitlines()
        assert [line for line in said if line[0] != " "] == ["1: matches", "2: does not match", said[-1]]
        assert '+ CommandLine contains " -w hidden"' in [line.strip() for line in said]
        assert '- CommandLine contains " -w hidden"' in [line.strip() for line in said]
        assert main(["rules", "explain", "nobody", str(source), "--rules", str(rules)]) == 2
