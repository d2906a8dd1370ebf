"""The generator's answers agree with an independent recount, and the shipped samples are what it makes today."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import sys
from collections import Counter
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "samples"
SHAPES = ("wlb6", "wlb7", "wlb8", "nxlog", "timecreated", "array", "mixed")
SYSMON = "Microsoft-Windows-Sysmon"
ZERO = "00000000-0000-0000-0000-000000000000"
INVENTED = [ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "2001:db8::/32")]


def load(name: str) -> ModuleType:
    """A script of benchmarks/, by its path."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


synthesize = load("synthesize")
story = load("story")


def make(path: Path, **options: Any) -> dict[str, Any]:
    settings = {"events": 6_000, "hosts": 30, "share": 0.3, "drift_hosts": 2, "repeats": 0.02, "dirty": 24, "blank": 3}
    answer: dict[str, Any] = synthesize.synthesize(path, synthesize.Options(**(settings | options)))
    return answer


# --------------------------------------------------------------------------------------------------- the recount


def contents(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def records(path: Path) -> list[Any]:
    """The JSON values of an archive; None stands for a line that holds none, blank lines are left out."""
    raw = contents(path)
    if raw.startswith(b"["):
        values: list[Any] = json.loads(raw)
        return values
    found: list[Any] = []
    for line in raw.split(b"\n"):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append(None)
    return found


def event(record: Any) -> tuple[str, int, str, dict[str, Any]] | None:
    """Provider, id, host and event data, or None for what is no usable event."""
    if not isinstance(record, dict):
        return None
    if "winlog" in record:
        w = record["winlog"]
        found = w["provider_name"], int(w["event_id"]), w["computer_name"], w["event_data"]
    elif "source_name" in record:
        found = record["source_name"], int(record["event_id"]), record["computer_name"], record["event_data"]
    else:
        provider = record.get("SourceName") or record["Provider"]
        found = provider, int(record["EventID"]), record.get("Hostname") or record["Computer"], record
    provider, event_id, _, data = found
    return None if provider == SYSMON and event_id in (1, 3) and not data.get("ProcessGuid") else found


def window(data: dict[str, Any]) -> int | None:
    try:
        return int((datetime.fromisoformat(data["UtcTime"]) - datetime(1970, 1, 1)).total_seconds() // 300)
    except (KeyError, ValueError):
        return None


def recount(paths: list[Path]) -> dict[str, Any]:
    by_id: Counter[tuple[str, int]] = Counter()
    creates: list[tuple[str, str]] = []
    connects: list[tuple[str, str]] = []
    images, destinations = set(), set()
    dead = 0
    for record in (r for path in paths for r in records(path)):
        found = event(record)
        if found is None:
            dead += 1
            continue
        provider, event_id, host, data = found
        by_id[provider, event_id] += 1
        if provider != SYSMON or event_id not in (1, 3):
            continue
        start, key = window(data), (host.lower(), data["ProcessGuid"].strip("{}").lower())
        if event_id == 1:
            creates.append(key)
            images.add((start, host.lower(), data["Image"]))
        else:
            connects.append(key)
            if start is not None:
                to = data["DestinationIp"], data["DestinationPort"]
                destinations.add((start, host.lower(), data["User"], data["Image"], *to))
    zero = sum(guid == ZERO for _, guid in connects)
    created = set(creates)
    join = sum(key[1] != ZERO and key in created for key in connects)
    return {
        "events": sum(by_id.values()),
        "bytes": sum(len(contents(path)) for path in paths),
        "by_id": [[p, i, n] for (p, i), n in sorted(by_id.items())],
        "process_create": len(creates),
        "network_connect": len(connects),
        "join": join,
        "unmatched": {"no_create": len(connects) - zero - join, "zero_guid": zero},
        "window_counts": {"network_destination": len(destinations), "process_image": len(images)},
        "dead_letters": dead,
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_the_answer_is_what_a_recount_finds(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    answer = make(path, shape=shape)
    counted = recount([path])
    assert {name: answer[name] for name in counted} == counted
    assert answer["dead_letters"] == 24
    assert answer["events"] == 6_000 + answer["repeats"]
    assert answer["join"] > 500
    assert answer["unmatched"]["no_create"] > 50
    assert answer["unmatched"]["zero_guid"] > 0
    assert json.loads((tmp_path / "a.answer.json").read_text()) == answer


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_seeds_give_equal_bytes(shape: str, tmp_path: Path) -> None:
    options = {"shape": shape, "events": 1_500}
    make(tmp_path / "a.ndjson", **options)
    make(tmp_path / "b.ndjson.gz", **options)
    make(tmp_path / "c.ndjson", **options, seed=8)
    assert contents(tmp_path / "a.ndjson") == contents(tmp_path / "b.ndjson.gz")
    assert contents(tmp_path / "a.ndjson") != contents(tmp_path / "c.ndjson")


def test_gzip_headers_hold_no_time_and_no_name(tmp_path: Path) -> None:
    make(tmp_path / "first.ndjson.gz", events=300, dirty=0)
    make(tmp_path / "second.ndjson.gz", events=300, dirty=0)
    assert (tmp_path / "first.ndjson.gz").read_bytes() == (tmp_path / "second.ndjson.gz").read_bytes()


# ------------------------------------------------------------------------------------------------------ the shapes


def usable(path: Path) -> list[dict[str, Any]]:
    return [r for r in records(path) if event(r) is not None]


def test_winlogbeat_6_has_a_number_for_the_event_and_text_for_the_record(tmp_path: Path) -> None:
    make(tmp_path / "a.ndjson", shape="wlb6")
    for record in usable(tmp_path / "a.ndjson"):
        assert type(record["event_id"]) is int
        assert type(record["record_number"]) is str
        assert record["host"]["name"] == record["beat"]["hostname"] != record["computer_name"]
        assert "" not in record["event_data"].values()


@pytest.mark.parametrize(("shape", "kind"), [("wlb7", int), ("wlb8", str)])
def test_later_winlogbeats_differ_in_the_type_of_the_event_id(shape: str, kind: type, tmp_path: Path) -> None:
    make(tmp_path / "a.ndjson", shape=shape)
    for record in usable(tmp_path / "a.ndjson"):
        assert type(record["winlog"]["event_id"]) is type(record["event"]["code"]) is kind
        assert type(record["winlog"]["record_id"]) is int
        assert (record["host"]["name"] == record["winlog"]["computer_name"]) is (shape == "wlb8")


def test_nxlog_has_the_service_pid_and_at_times_no_other(tmp_path: Path) -> None:
    make(tmp_path / "a.ndjson", shape="nxlog")
    creates = [r for r in usable(tmp_path / "a.ndjson") if r["SourceName"] == SYSMON and r["EventID"] == 1]
    without = [r for r in creates if "ProcessId" not in r]
    assert 0.1 < len(without) / len(creates) < 0.3
    assert all(re.search(r"\r\nProcessId: \d+\r\n", r["Message"]) for r in without)
    assert all(type(r["ProcessID"]) is int for r in creates)


def test_timecreated_lines_end_in_crlf_and_carry_local_time(tmp_path: Path) -> None:
    make(tmp_path / "a.ndjson", shape="timecreated")
    raw = contents(tmp_path / "a.ndjson")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    found = usable(tmp_path / "a.ndjson")
    assert any("@timestamp" not in r and re.fullmatch(r"\d{4}-\d\d-\d\d [\d:.]{12}", r["TimeCreated"]) for r in found)
    assert any(type(r["EventID"]) is str for r in found)
    create = next(r for r in found if r["EventID"] == 1 and "@timestamp" in r)
    local = datetime.fromisoformat(create["@timestamp"].rstrip("Z")) - datetime.fromisoformat(create["UtcTime"])
    assert round(local.total_seconds() / 3600) == -4


def test_an_array_is_one_json_value_with_event_data_as_xml(tmp_path: Path) -> None:
    make(tmp_path / "a.json", shape="array")
    assert b"\n" not in contents(tmp_path / "a.json")
    found = usable(tmp_path / "a.json")
    assert all(r["EventData"].startswith("<EventData xmlns=") for r in found)
    assert all(type(r["EventRecordID"]) is str for r in found)


def test_the_traps_of_real_archives_are_in(tmp_path: Path) -> None:
    make(tmp_path / "a.ndjson", events=20_000)
    found = [e for e in map(event, records(tmp_path / "a.ndjson")) if e and e[0] == SYSMON and e[1] in (1, 3)]
    guids = [data["ProcessGuid"] for *_, data in found]
    assert {g.startswith("{") for g in guids} == {True, False}
    assert any(g != g.lower() for g in guids)
    assert len({host.lower() for _, _, host, _ in found}) < len({host for _, _, host, _ in found})
    first: dict[str, int] = {}
    created: dict[str, int] = {}
    for n, (_, event_id, _, data) in enumerate(found):
        (created if event_id == 1 else first).setdefault(data["ProcessGuid"].strip("{}").lower(), n)
    assert sum(created.get(guid, -1) > n for guid, n in first.items()) > 20  # connects before their create
    days = {data["UtcTime"][:10] for _, event_id, _, data in found if event_id == 3 and "UtcTime" in data}
    assert len(days - {"2024-03-04", "2024-03-05", "not set"}) > 0  # drifted clocks


def test_lines_are_as_long_as_real_ones_and_the_share_is_kept(tmp_path: Path) -> None:
    answer = make(tmp_path / "a.ndjson", share=0.05, dirty=0, repeats=0.0, blank=0)
    assert 1_600 < answer["bytes"] / answer["events"] < 2_400
    sysmon = sum(n for p, i, n in answer["by_id"] if p == SYSMON and i in (1, 3, 5))
    assert sysmon == pytest.approx(0.05 * 6_000, abs=2)


# ----------------------------------------------------------------------------------------------------- the samples


def sample_files(folder: Path) -> list[Path]:
    return sorted((folder / "logs").iterdir())


def test_the_shipped_samples_are_what_the_story_makes_today(tmp_path: Path) -> None:
    story.write_story(tmp_path)
    made = {path.name: contents(path) for path in sample_files(tmp_path)}
    assert {path.name: contents(path) for path in sample_files(SAMPLES)} == made
    assert (SAMPLES / "answer.json").read_bytes() == (tmp_path / "answer.json").read_bytes()
    assert set(made) == set(story.FILES)


def test_the_samples_answer_is_what_a_recount_of_all_four_finds() -> None:
    answer = json.loads((SAMPLES / "answer.json").read_text())
    counted = recount(sample_files(SAMPLES))
    assert {name: answer[name] for name in counted} == counted
    assert answer["repeats"] == answer["dead_letters"] == 8


def test_some_connects_join_creates_of_another_file_only() -> None:
    alone = sum(recount([path])["join"] for path in sample_files(SAMPLES))
    assert alone < recount(sample_files(SAMPLES))["join"]


def test_samples_are_small_and_name_nobody_real() -> None:
    assert sum(path.stat().st_size for path in sample_files(SAMPLES)) < 450_000
    found = [e for path in sample_files(SAMPLES) for e in map(event, records(path)) if e]
    assert all(host.endswith(".corp.example") for _, _, host, _ in found)
    connects = [data for provider, event_id, _, data in found if provider == SYSMON and event_id == 3]
    for address in {data[name] for data in connects for name in ("SourceIp", "DestinationIp")}:
        assert any(ip_address(address) in network for network in INVENTED), address
    text = b"".join(contents(path) for path in sample_files(SAMPLES))
    assert set(re.findall(rb"[\w-]+\.(?:com|net|org|local|io)\b", text)) == set()


def test_the_story_is_told() -> None:
    found = [e for path in sample_files(SAMPLES) for e in map(event, records(path)) if e]
    creates = [data for provider, event_id, _, data in found if provider == SYSMON and event_id == 1]
    parents = {
        (Path(d["ParentImage"].replace("\\", "/")).name, Path(d["Image"].replace("\\", "/")).name) for d in creates
    }
    assert {("OUTLOOK.EXE", "WINWORD.EXE"), ("WINWORD.EXE", "powershell.exe")} <= parents
    assert {host[:6] for provider, event_id, host, _ in found if event_id == 7045} == {"SRV-01", "SRV-02", "SRV-03"}
    ports = {data["DestinationPort"] for p, i, host, data in found if (p, i) == (SYSMON, 3) and host[:7] == "WS-0002"}
    assert {"443", "445", "5985"} <= ports
