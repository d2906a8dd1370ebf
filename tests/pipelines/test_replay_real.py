"""Replay on recorded data, against results that an independent program made."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import SHARED, Rows, run_replay

FILES = sorted(
    p
    for folder in ("wlb6", "wlb7", "wlb8", "flat_nxlog", "flat_timecreated", "array_xml")
    for p in (SHARED / "data" / folder).glob("*.gz")
)
STREAMS = {
    "sysmon_process_create": "process_create",
    "sysmon_network_connect": "network_connect",
    "sysmon_join": "sysmon_join",
}
OURS = ("event_uid", "clock_skew_ms", "event_time_source")


def expected_rows(shared: Path, stem: str, name: str) -> Rows:
    path = shared / "data" / "expected" / stem / f"{name}.jsonl"
    text = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    return [json.loads(line) for line in text.splitlines()]


def multiset(rows: Rows) -> Counter[str]:
    return Counter(json.dumps({k: v for k, v in row.items() if k not in OURS}, sort_keys=True) for row in rows)


def counted(rows: Rows, counter: str) -> Rows:
    """Window rows in the shape of the expected results."""
    flat: Rows = []
    for row in rows:
        if row["counter"] != counter:
            continue
        flat.append({"window_start": row["window_start"], **row["key"], "n": row["count"]})
        if counter == "network_destination":
            port = row["key"]["dst_port"]
            flat[-1] |= {"dst_port": port if port is None else int(port), "n_src_ports": row["distinct"]["src_port"]}
            flat[-1] |= {"first_seen": row["first_seen"], "last_seen": row["last_seen"]}
    return flat


def stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".ndjson").removesuffix(".json")


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "avro"])
@pytest.mark.parametrize("name", [stem(p) for p in FILES])
def test_each_file_alone_gives_the_expected_rows(shared: Path, tmp_path: Path, name: str, file_format: str) -> None:
    path = next(p for p in FILES if stem(p) == name)
    rows = run_replay(tmp_path / "out", path, options=("--format", file_format))
    for stream, expected in STREAMS.items():
        assert multiset(rows[stream]) == multiset(expected_rows(shared, name, expected)), stream
    assert multiset(counted(rows["window_counts"], "network_destination")) == multiset(
        expected_rows(shared, name, "window_dst")
    )
    assert multiset(counted(rows["window_counts"], "process_image")) == multiset(
        expected_rows(shared, name, "window_image")
    )
    assert [r["error_class"] for r in rows["dead_letters"]] == []


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "avro"])
def test_all_files_as_one_archive(shared: Path, tmp_path: Path, file_format: str) -> None:
    rows = run_replay(tmp_path / "out", *FILES, options=("--format", file_format))
    counts = json.loads((shared / "data" / "expected" / "all_counts.json").read_bytes())
    assert len(rows["sysmon_process_create"]) == counts["process_create"] == 102
    assert len(rows["sysmon_network_connect"]) == counts["network_connect"] == 658
    assert len(rows["sysmon_join"]) == counts["sysmon_join"] == 78
    assert len(rows["sysmon_unmatched"]) == 658 - 78
    assert len(counted(rows["window_counts"], "network_destination")) == counts["windows_dst"] == 285
    assert len(counted(rows["window_counts"], "process_image")) == counts["windows_image"] == 87
    for stream, expected in list(STREAMS.items())[:2]:
        alone = [row for path in FILES for row in expected_rows(shared, stem(path), expected)]
        assert multiset(rows[stream]) == multiset(alone), stream
    later = [r for r in rows["sysmon_join"] if r["process_create_time"] > r["event_date_creation"]]
    assert len(later) == counts["join_create_later"] == 31
    events = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["summary"]["events"]
    assert sum(n for *_, n in events) == 42_758
