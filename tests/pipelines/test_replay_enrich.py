"""--enrich and --ancestry on a replay through main(argv): rows, and what rules find in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from tests.conftest import Rows, run_replay
from tests.events import CREATE, CREATE_DATA, Fact, nxlog, wlb7

GUIDS = [f"0a1b2c3d-1111-4222-8333-00000000000{n}" for n in range(5)]
CHILD = "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b21"
LOADED = "5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b22"
RULES = f"""title: Shell Of A Document
id: {CHILD}
logsource: {{category: process_creation, product: windows}}
detection:
    selection:
        GrandParentImage|endswith: '\\p0.exe'
    condition: selection
---
title: Library Of A Process That Nobody Started
id: {LOADED}
logsource: {{category: image_load, product: windows}}
detection:
    selection:
        ImageLoaded|endswith: '.dll'
    filter:
        ParentImage|endswith: '\\p0.exe'
    condition: selection and not filter
"""


def create(number: int, **data: Any) -> Fact:
    """Process `number`, a child of the one before."""
    own = {"ProcessGuid": f"{{{GUIDS[number].upper()}}}", "Image": f"C:\\p{number}.exe", "CommandLine": f"p{number}"}
    parent = {"ParentProcessGuid": "", "ParentImage": "", "ParentCommandLine": ""}
    if number:
        parent = {
            "ParentProcessGuid": f"{{{GUIDS[number - 1]}}}",
            "ParentImage": f"C:\\p{number - 1}.exe",
            "ParentCommandLine": f"p{number - 1}",
        }
    more = {"OriginalFileName": f"P{number}.EXE", "UtcTime": f"2026-03-04 05:0{number}:00.000"}
    return CREATE._replace(data=CREATE_DATA | own | parent | more | data, record_id=number)


def event(event_id: int, process: int | None, **data: Any) -> Fact:
    name = {8: "SourceProcessGuid", 10: "SourceProcessGUID"}.get(event_id, "ProcessGuid")
    own = {} if process is None else {name: f"{{{GUIDS[process]}}}"}
    return CREATE._replace(event_id=event_id, data={"UtcTime": "2026-03-04 05:06:07.089"} | own | data)


LOAD = {"ImageLoaded": "C:\\x.dll", "Hashes": "SHA1=1"}
FACTS = [
    event(7, 3, **LOAD),
    event(7, 4, **LOAD, Signed=True),
    event(8, 2, SourceImage="C:\\own.exe", TargetImage="C:\\t.exe"),
    event(10, 1, TargetImage="C:\\t.exe"),
    event(22, None, QueryName="example.com"),
    *(create(number) for number in (3, 1, 0, 2)),
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps((wlb7, nxlog)[n % 2](fact)) + "\n" for n, fact in enumerate(FACTS)))
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


def shown(rows: Rows, *columns: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[column] for column in columns) for row in rows)


def test_events_have_their_process_and_the_grandparent(tmp_path: Path, archive: Path) -> None:
    rows = run_replay(tmp_path / "out", archive, options=("--enrich", "1,7,8,10,22"))["sysmon_enriched"]
    columns = ("event_id", "process_command_line", "context", "parent_process_path", "grandparent_process_path")
    none = "None"
    assert sorted(tuple(none if row[c] is None else row[c] for c in columns) for row in rows) == [
        (1, "p0", "no_parent", none, none),
        (1, "p1", "full", "C:\\p0.exe", none),
        (1, "p2", "full", "C:\\p1.exe", "C:\\p0.exe"),
        (1, "p3", "full", "C:\\p2.exe", "C:\\p1.exe"),
        (7, none, "missing", none, none),
        (7, "p3", "full", "C:\\p2.exe", "C:\\p1.exe"),
        (8, "p2", "full", "C:\\p1.exe", "C:\\p0.exe"),
        (10, "p1", "full", "C:\\p0.exe", none),
        (22, none, "missing", none, none),
    ]
    by_id = {row["event_id"]: row for row in rows if row["context"] != "missing"}
    assert by_id[7]["event"]["ImageLoaded"] == "C:\\x.dll"
    assert (by_id[7]["hashes"], by_id[7]["event"]["Hashes"]) == ("SHA256=00FF", "SHA1=1")
    assert (by_id[7]["original_file_name"], by_id[7]["user_account"]) == ("P3.EXE", "LAB\\ada")
    assert (by_id[8]["process_path"], by_id[10]["process_path"]) == ("C:\\own.exe", "C:\\p1.exe")
    assert {row["ancestor_process_guids"] == [] for row in rows} == {True}


def test_what_has_no_context_is_counted(tmp_path: Path, archive: Path) -> None:
    run_replay(tmp_path / "out", archive, options=("--enrich", "1,7,22"))
    tallies = json.loads((tmp_path / "out" / "_SUCCESS").read_text())["summary"]["tallies"]
    assert tallies == {"context_missing": 2, "parent_missing": 1}


def test_ancestors_are_listed_when_asked_for(tmp_path: Path, archive: Path) -> None:
    rows = run_replay(tmp_path / "out", archive, options=("--enrich", "1,7", "--ancestry", "2"))["sysmon_enriched"]
    rows = [row for row in rows if row["process_command_line"] == "p3"]
    assert shown(rows, "event_id", "ancestor_process_guids", "ancestor_process_paths") == [
        (event_id, [GUIDS[2], GUIDS[1]], ["C:\\p2.exe", "C:\\p1.exe"]) for event_id in (1, 7)
    ]
    whole = run_replay(tmp_path / "whole", archive, options=("--enrich", "7", "--ancestry", "64"))["sysmon_enriched"]
    assert sorted(row["ancestor_process_command_lines"] for row in whole) == [[], ["p2", "p1", "p0"]]


@pytest.mark.parametrize("written", ["parquet", "avro"])
def test_rows_are_the_same_in_every_format(tmp_path: Path, archive: Path, written: str) -> None:
    options = ("--enrich", "1,7,8", "--ancestry", "3")
    plain = run_replay(tmp_path / "jsonl", archive, options=options)["sysmon_enriched"]
    other = run_replay(tmp_path / written, archive, options=(*options, "--format", written))["sysmon_enriched"]
    for row in plain:
        row["event"] = {name: str(value) for name, value in row["event"].items()}  # as text maps are there
    assert sorted(other, key=str) == sorted(plain, key=str)


def test_a_rule_on_the_grandparent_needs_no_option_and_gives_no_rows(
    tmp_path: Path, archive: Path, rules: Path
) -> None:
    found = run_replay(tmp_path / "out", archive, options=("--rules", str(rules)))
    assert "sysmon_enriched" not in found
    alerts = {row["rule_id"]: row for row in found["alerts"] if row["rule_id"] == CHILD}
    assert alerts[CHILD]["event"]["CommandLine"] == "p2"
    assert alerts[CHILD]["matched"]["GrandParentImage"] == "C:\\p0.exe"
    creates = {row["process_command_line"]: row["event_uid"] for row in found["sysmon_process_create"]}
    assert alerts[CHILD]["contributing"] == [creates["p2"]]
    assert len([row for row in found["alerts"] if row["rule_id"] == CHILD]) == 1


def test_what_is_excluded_by_the_context_is_excluded_and_without_one_it_is_not(tmp_path: Path, rules: Path) -> None:
    facts = [event(7, 1, **LOAD), event(7, 2, **LOAD), event(7, 4, **LOAD), create(1), create(2)]
    archive = tmp_path / "in.ndjson"
    archive.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))
    for options, expected in (((), [1, 2, 4]), (("--enrich", "7"), [2, 4])):
        found = run_replay(tmp_path / f"out{len(options)}", archive, options=("--rules", str(rules), *options))
        fired = [row["event"]["ProcessGuid"].strip("{}") for row in found["alerts"] if row["rule_id"] == LOADED]
        assert sorted(fired) == [GUIDS[n] for n in expected]


@pytest.mark.parametrize(("options", "rows"), [(("--dedupe",), 1), ((), 2)])
def test_copies_are_told_apart_before(tmp_path: Path, rules: Path, options: tuple[str, ...], rows: int) -> None:
    facts = [event(7, 2, **LOAD)] * 2 + [create(1), create(2)] * 2
    archive = tmp_path / "in.ndjson"
    archive.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))
    found = run_replay(
        tmp_path / "out", archive, options=("--enrich", "7", "--rules", str(rules), "--without", "alerts", *options)
    )
    assert "alerts" not in found
    assert [row["context"] for row in found["sysmon_enriched"]] == ["full"] * rows


def test_events_outside_of_the_span_are_no_rows_but_their_creates_are_context(tmp_path: Path, archive: Path) -> None:
    options = ("--enrich", "1,7", "--since", "2026-03-04T05:06:00Z")
    found = run_replay(tmp_path / "out", archive, options=options)
    assert shown(found["sysmon_enriched"], "event_id", "context") == [(7, "full"), (7, "missing")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--enrich", "6"), "--enrich 6: no Sysmon event of that id names a process; these do: 1, 2, 3, 5, 7"),
        (("--enrich", "3,x"), "--enrich x"),
        (("--ancestry", "2"), "--ancestry: say with --enrich"),
        (("--enrich", "1", "--ancestry", "65"), "--ancestry 65: write a number up to 64"),
        (("--streams", "sysmon_enriched"), "name the events that are enriched with --enrich"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, archive: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert main(["replay", "--input", str(archive), "--output", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err


def test_correlations_count_what_deferred_rules_find(tmp_path: Path, archive: Path, rules: Path) -> None:
    rules.write_text(
        RULES
        + f"""---
title: Libraries Of Unknown Processes
id: 5e9a1a70-4a0e-4d7a-9d4e-0f3c5a7d1b23
correlation:
    type: event_count
    rules: ["{LOADED}"]
    group-by: [Computer]
    timespan: 1h
    condition: {{gte: 2}}
"""
    )
    found = run_replay(tmp_path / "out", archive, options=("--rules", str(rules), "--enrich", "7"))
    (alert,) = [row for row in found["alerts"] if row["rule_type"] != "rule"]
    assert alert["contributing"] == sorted(row["event_uid"] for row in found["sysmon_enriched"])


def test_samples_of_deferred_rules_are_tried(tmp_path: Path, rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules.write_text(RULES.split("---")[0])
    for name, facts in (("fires", (create(1), create(2))), ("silent", (create(2), create(3)))):
        sample = tmp_path / f"rules.{name}.ndjson"
        sample.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))
    assert main(["rules", "test", str(rules), "--strict"]) == 0
    assert "1 rules tried on 2 samples: 0 failed" in capsys.readouterr().out


def test_check_says_which_rules_need_it(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules.write_text(RULES.replace("    condition: selection and not filter", "    condition: selection and filter"))
    assert main(["rules", "check", str(rules), "--strict"]) == 1
    assert "needs --enrich 7: ParentImage" in capsys.readouterr().out
    assert main(["rules", "check", str(rules), "--strict", "--enrich", "7"]) == 0
    assert "2 rules run, 0 correlations, 0 cannot run" in capsys.readouterr().out


def test_a_rule_that_needs_it_ends_a_strict_run(
    tmp_path: Path, archive: Path, rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules.write_text(RULES.replace("    condition: selection and not filter", "    condition: selection and filter"))
    argv = ["replay", "--input", str(archive), "--output", str(tmp_path / "out"), "--rules", str(rules), "--strict"]
    assert main(argv) == 2
    assert "needs --enrich 7" in capsys.readouterr().err


def test_all_recorded_events_are_rows_and_joins_have_the_same_context(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "wlb8" / "covenant_dcom_registerxll_2020-09-18145959.wlb8.ndjson.gz"
    found = run_replay(
        tmp_path / "out", source, options=("--enrich", "1,3,7,8,10,11,12,13,22", "--streams", "sysmon_events")
    )
    wanted = {row["event_uid"] for row in found["sysmon_events"] if row["event_id"] in (1, 3, 7, 8, 10, 11, 12, 13, 22)}
    assert {row["event_uid"] for row in found["sysmon_enriched"]} == wanted
    connects = [row for row in found["sysmon_enriched"] if row["event_id"] == 3]
    joined = [row for row in connects if row["context"] != "missing"]
    same = [c for c in found["sysmon_join"][0] if c in joined[0] and c != "event_uid"] if joined else []
    assert shown(joined, *same) == shown(found["sysmon_join"], *same)
    assert len(connects) - len(joined) == len(found["sysmon_unmatched"])
