"""Replay on dirty data: each line and each file gets the verdict that was written down for it by hand."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from huntbeam.schemas import uid
from huntbeam.schemas.clock import HOUR, EventTime
from huntbeam.schemas.dead_letter import RAW_LIMIT
from huntbeam.schemas.winlog import parse_record
from huntbeam.transforms.rekey import read_event
from tests.conftest import SHARED, Rows, run_replay
from tests.pipelines.test_replay_real import FILES

BOM = b"\xef\xbb\xbf"
WHOLE_FILES = [p.name for p in sorted((SHARED / "data" / "dirty").glob("*")) if not p.name.startswith("dirty_mixed")]
COMPLETE = [name for name in WHOLE_FILES if name not in ("whole_files.json", "truncated.ndjson.gz")]


class Line(NamedTuple):
    """A line of the mixed file with its verdict."""

    number: int
    offset: int
    raw: bytes
    kind: str
    expect: str
    joins_line_1: bool

    def uid(self) -> str:
        return read_event(parse_record(self.raw), EventTime.UTC_TIME).event_uid


def mixed(shared: Path) -> list[Line]:
    folder = shared / "data" / "dirty"
    manifest = [json.loads(one) for one in (folder / "dirty_mixed.manifest.jsonl").read_bytes().splitlines()]
    lines = []
    offset = 0
    content = (folder / "dirty_mixed.ndjson").read_bytes().split(b"\n")
    for verdict, raw in zip(manifest, content, strict=True):
        bom = len(BOM) if raw.startswith(BOM) else 0
        lines.append(
            Line(verdict["line"], offset + bom, raw[bom:], verdict["kind"], verdict["expect"], verdict["joins_line_1"])
        )
        offset += len(raw) + 1
    assert len(lines) == 40
    return lines


def replay_mixed(shared: Path, output: Path, *options: str) -> tuple[dict[str, Rows], dict[str, Any]]:
    rows = run_replay(output, shared / "data" / "dirty" / "dirty_mixed.ndjson", options=options)
    summary: dict[str, Any] = json.loads((output / "_SUCCESS").read_bytes())["summary"]
    return rows, summary


def accepted(rows: dict[str, Rows]) -> Rows:
    return rows["sysmon_process_create"] + rows["sysmon_network_connect"]


def test_every_line_gets_its_verdict(shared: Path, tmp_path: Path) -> None:
    lines = mixed(shared)
    rows, summary = replay_mixed(shared, tmp_path / "out")
    dead = {row["position"]: row for row in rows["dead_letters"]}
    assert len(dead) == len(rows["dead_letters"])
    refused = {one.number for one in lines if one.offset in dead}
    skipped = {one.number for one in lines if one.expect == "skip"}
    assert set(dead) <= {one.offset for one in lines}
    for one in lines:
        if one.expect == "reject_or_deadletter":
            assert one.number in refused, one.kind
        elif one.expect != "accept_or_deadletter":
            assert one.number not in refused, one.kind
        if one.number in refused:
            assert b64decode(dead[one.offset]["raw_b64"]) == one.raw
    assert summary["tallies"]["blank_lines"] == len(skipped) == 2
    rest = [one for one in lines if one.number not in refused | skipped]
    assert Counter(row["event_uid"] for row in accepted(rows)) == Counter(one.uid() for one in rest)
    assert sum(n for *_, n in summary["events"]) == len(rest) == 40 - len(refused) - len(skipped)


def test_what_may_be_either_is_accepted_but_for_names_in_another_case(shared: Path, tmp_path: Path) -> None:
    rows, _ = replay_mixed(shared, tmp_path / "out")
    dead = {row["position"] for row in rows["dead_letters"]}
    either = [one for one in mixed(shared) if one.expect == "accept_or_deadletter"]
    assert [one.kind for one in either if one.offset in dead] == ["mixed_case_keys"]


def test_the_lines_that_join_line_1_do(shared: Path, tmp_path: Path) -> None:
    lines = mixed(shared)
    rows, _ = replay_mixed(shared, tmp_path / "out")
    create = next(row for row in rows["sysmon_process_create"] if row["event_uid"] == lines[0].uid())
    joins = Counter(
        row["event_uid"]
        for row in rows["sysmon_join"]
        if (row["host"].lower(), row["process_guid"]) == (create["host"].lower(), create["process_guid"])
    )
    copies = Counter(uid.joined(one.uid()) for one in lines if "accept" in one.expect and one.kind != "mixed_case_keys")
    joining = [one for one in lines if one.joins_line_1]
    assert len(joining) == 11
    for one in joining:
        assert joins[uid.joined(one.uid())] == copies[uid.joined(one.uid())], one.kind
    unmatched = {row["event_uid"]: row["reason"] for row in rows["sysmon_unmatched"]}
    for one in lines:
        if one.expect == "accept_no_join":
            assert uid.joined(one.uid()) not in joins
            assert unmatched[uid.unmatched(one.uid())] == ("zero_guid" if one.kind == "zero_guid" else "no_create")
    assert len(rows["sysmon_join"]) + len(rows["sysmon_unmatched"]) == len(rows["sysmon_network_connect"])


@pytest.mark.parametrize(("mode", "source"), [("utc_time", None), ("auto", "timestamp")])
def test_without_utc_time_a_line_is_accepted_and_falls_back_when_asked(
    shared: Path, tmp_path: Path, mode: str, source: str | None
) -> None:
    rows, summary = replay_mixed(shared, tmp_path / "out", "--event_time", mode)
    fallback = [one for one in mixed(shared) if one.expect == "accept_fallback"]
    assert len(fallback) == 2
    for one in fallback:
        (row,) = (r for r in accepted(rows) if r["event_uid"] == one.uid())
        assert row["event_date_creation"] == (json.loads(one.raw)["@timestamp"] if source else None)
        assert row["event_time_source"] == source
        joined = {r["event_uid"]: r for r in rows["sysmon_join"]}
        assert joined[uid.joined(one.uid())]["event_date_creation"] == row["event_date_creation"]
    assert summary["tallies"].get("no_event_time", 0) == (0 if source else 2)
    counted = sum(r["count"] for r in rows["window_counts"])
    assert counted == len(accepted(rows)) - summary["tallies"].get("no_event_time", 0)


def test_repeated_lines_are_duplicates_when_asked(shared: Path, tmp_path: Path) -> None:
    """The exact repeat, and two lines that differ from an earlier one outside of what makes an event."""
    lines = mixed(shared)
    plain, _ = replay_mixed(shared, tmp_path / "plain")
    rows, _ = replay_mixed(shared, tmp_path / "deduped", "--dedupe")
    uids = {one.kind: one.uid() for one in lines if one.kind in ("bom_then_process_create", "network_connect_joins")}
    at = {one.offset: one.kind for one in lines}
    assert {at[row["position"]]: row["event_uid"] for row in rows["duplicates"]} == {
        "exact_duplicate": uids["network_connect_joins"],
        "duplicate_key": uids["network_connect_joins"],
        "lone_surrogate": uids["bom_then_process_create"],
    }
    assert len(rows["duplicates"]) == 3
    assert Counter(r["event_uid"] for r in accepted(rows)) == {r["event_uid"]: 1 for r in accepted(plain)}
    assert len(accepted(plain)) - len(accepted(rows)) == 3
    assert len(plain["sysmon_join"]) - len(rows["sysmon_join"]) == 2


def test_the_values_that_lines_were_made_for(shared: Path, tmp_path: Path) -> None:
    rows, _ = replay_mixed(shared, tmp_path / "out")
    by_uid = {row["event_uid"]: row for row in accepted(rows)}
    of = {one.kind: by_uid[one.uid()] for one in mixed(shared) if one.expect == "accept"}
    assert of["hex_pid"]["process_id"] == 0x18F8
    assert of["guid_upper_case"]["process_guid"] == of["guid_without_braces"]["process_guid"]
    assert of["guid_upper_case"]["process_guid"] == of["network_connect_joins"]["process_guid"]
    assert of["host_case"]["host"] == of["network_connect_joins"]["host"].lower() != of["network_connect_joins"]["host"]
    for name in ("src_port", "dst_port", "process_id", "network_connection_initiated", "src_is_ipv6"):
        assert of["types_swapped"][name] == of["network_connect_joins"][name], name
    assert None in (of["port_dash"]["src_port"], of["port_dash"]["dst_port"])
    assert len(of["huge_command_line"]["process_command_line"]) > RAW_LIMIT
    assert not of["unicode_path"]["process_path"].isascii()
    assert of["future_time"]["event_date_creation"] > "2030"


def test_no_row_is_without_an_id_and_nothing_is_a_fault_of_ours(shared: Path, tmp_path: Path) -> None:
    rows, _ = replay_mixed(shared, tmp_path / "out", "--streams", "sysmon_events", "--dedupe")
    assert all(len(row["event_uid"]) == 32 for stream in rows.values() for row in stream)
    assert {row["error_class"] for row in rows["dead_letters"]} == {
        "InvalidJson",
        "NotAnObject",
        "NoEventData",
        "NoProcessGuid",
        "UnknownShape",
    }
    assert Counter(r["event_uid"] for r in rows["sysmon_events"]) == Counter(r["event_uid"] for r in accepted(rows))


# Whole files: the number is that of the events in them ------------------------------------------------------------


@pytest.mark.parametrize("name", COMPLETE)
def test_each_whole_file_has_its_events(shared: Path, tmp_path: Path, name: str) -> None:
    counts = json.loads((shared / "data" / "dirty" / "whole_files.json").read_bytes())
    assert set(counts) == set(WHOLE_FILES) - {"whole_files.json"}
    rows = run_replay(tmp_path / "out", shared / "data" / "dirty" / name)
    summary = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["summary"]
    assert sum(n for *_, n in summary["events"]) == counts[name]
    assert rows["dead_letters"] == []


def test_a_truncated_file_gives_what_it_holds_and_one_dead_letter(shared: Path, tmp_path: Path) -> None:
    rows = run_replay(tmp_path / "out", shared / "data" / "dirty" / "truncated.ndjson.gz")
    events = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["summary"]["events"]
    assert 0 < sum(n for *_, n in events) < 60
    (letter,) = rows["dead_letters"]
    assert (letter["step"], letter["error_class"]) == ("read", "TruncatedGzip")
    assert b64decode(letter["raw_b64"]).startswith(b"{")  # the torn line, not the compressed bytes


def test_the_same_events_in_every_wrapping_are_the_same_rows(shared: Path, tmp_path: Path) -> None:
    """Four of the files hold the same 60 events."""
    found = {}
    for name in ("utf16le_bom_crlf.json", "gzip_named.json", "two_members.ndjson.gz", "cr_only.ndjson"):
        rows = run_replay(tmp_path / name, shared / "data" / "dirty" / name)
        found[name] = sorted(row["event_uid"] for row in accepted(rows))
    assert len(set(map(tuple, found.values()))) == 1
    assert len(found["cr_only.ndjson"]) == 16


# Clocks -----------------------------------------------------------------------------------------------------------


def test_auto_follows_drift_and_no_zone_error(shared: Path, tmp_path: Path) -> None:
    """155 connects of 760 rows drifted; 43 (24 creates, 19 connects) stand in records whose own time is local."""
    rows = run_replay(tmp_path / "out", *FILES, options=("--event_time", "auto"))
    assert len(accepted(rows)) == 760
    drifted = [row for row in accepted(rows) if row["event_time_source"] == "timestamp"]
    assert Counter(row["event_id"] for row in drifted) == {3: 155}
    far = [row for row in accepted(rows) if abs(row["clock_skew_ms"]) > HOUR and row not in drifted]
    assert Counter(row["event_id"] for row in far) == {1: 24, 3: 19}
    assert {row["event_time_source"] for row in far} == {"utc_time"}
    default = run_replay(tmp_path / "default", *FILES)
    times = {row["event_uid"]: row["event_date_creation"] for row in accepted(default)}
    assert {row["event_uid"] for row in accepted(rows) if row["event_date_creation"] != times[row["event_uid"]]} == {
        row["event_uid"] for row in drifted
    }
    assert all(row["event_time_source"] == "utc_time" for row in accepted(default))
    assert len(rows["sysmon_join"]) == len(default["sysmon_join"]) == 78  # the join knows no clocks
