"""Rule 15: replay and stream give the same rows. Here the stream's graph runs in this process; e2e has the servers."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from huntbeam.pipelines.stream import Seeds
from huntbeam.schemas.clock import MINUTE
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.join import JoinKind
from tests.conftest import ROOT, Rows, run_replay
from tests.pipelines.streaming import comparable, milliseconds, run_stream, steps
from tests.pipelines.test_replay_real import FILES

SAMPLE = ROOT / "samples" / "logs"
STREAMS = ("sysmon_process_create", "sysmon_network_connect", "sysmon_join", "sysmon_unmatched", "window_counts")


def values(path: Path) -> list[bytes | None]:
    """The records of a file: its lines, or the elements of its array."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    if text.lstrip().startswith(b"["):
        return [json.dumps(element).encode() for element in json.loads(text)]
    return list(text.splitlines())


def assert_equal(replayed: dict[str, Rows], streamed: dict[str, Rows]) -> None:
    for stream in STREAMS:
        assert comparable(streamed[stream]) == comparable(replayed[stream]), stream


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_sample(tmp_path: Path, shuffled: bool) -> None:
    replayed = run_replay(tmp_path / "out", SAMPLE, options=("--window", "20s"))
    records = [value for path in sorted(SAMPLE.iterdir()) for value in values(path)]
    if shuffled:
        random.Random(3).shuffle(records)  # noqa: S311 - an order, no secret
    streamed = run_stream(tmp_path / "sample", {"winlogbeat": records[::2], "wineventlogs": records[1::2]})
    assert_equal(replayed, streamed)
    assert replayed["sysmon_join"]
    assert replayed["window_counts"]


def test_all_recorded_data(shared: Path, tmp_path: Path) -> None:
    replayed = run_replay(tmp_path / "out", *FILES, options=("--window", "20s"))
    records = [value for path in FILES for value in values(path)]
    random.Random(5).shuffle(records)  # noqa: S311 - an order, no secret
    streamed = run_stream(tmp_path / "recorded", {"winlogbeat": records}, every_ms=0)
    assert_equal(replayed, streamed)
    assert len(streamed["sysmon_join"]) == 78


def test_dead_letters_are_those_of_replay(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "dirty" / "dirty_mixed.ndjson"
    replayed = run_replay(tmp_path / "out", path)["dead_letters"]
    lines = path.read_bytes().split(b"\n")
    streamed = run_stream(tmp_path / "dirty", {"winlogbeat": [*lines, None]})["dead_letters"]
    assert {row["event_uid"] for row in streamed} == {row["event_uid"] for row in replayed}
    assert {row["source"] for row in streamed} == {"kafka:winlogbeat"}


def test_duplicates_are_told_apart(tmp_path: Path) -> None:
    records = [value for path in sorted(SAMPLE.iterdir()) for value in values(path)]
    streamed = run_stream(
        tmp_path / "copies",
        {"winlogbeat": records + records[:200]},
        of=steps(dedupe=True),
        plan=Plan(terminates=True, dedupe=True),
    )
    replayed = run_replay(tmp_path / "out", SAMPLE, options=("--window", "20s", "--dedupe"))
    assert_equal(replayed, streamed)
    assert len(streamed["duplicates"]) > len(replayed["duplicates"])


def test_left_and_full_joins(tmp_path: Path) -> None:
    records = [value for path in sorted(SAMPLE.iterdir()) for value in values(path)]
    for kind in (JoinKind.LEFT, JoinKind.FULL):
        replayed = run_replay(tmp_path / kind, SAMPLE, options=("--window", "20s", "--join", kind.value))
        assert_equal(replayed, run_stream(tmp_path / f"{kind}_stream", {"winlogbeat": records}, of=steps(join=kind)))


@pytest.mark.parametrize("is_folder", [False, True])
def test_seeded_creates_join_and_are_no_output(tmp_path: Path, is_folder: bool) -> None:
    replayed = run_replay(tmp_path / "out", SAMPLE)
    creates = replayed["sysmon_process_create"]
    creates_left_out = [
        value
        for path in sorted(SAMPLE.iterdir())
        for value in values(path)
        if value and not (b"CurrentDirectory" in value and b"ParentCommandLine" in value)
    ]
    topics: dict[str, list[bytes | None]] = {
        "winlogbeat": list(creates_left_out),
        "SEEDS": [json.dumps(row | {"schema_version": 1}).encode() for row in creates] + [b"no create"],
    }
    place = str(tmp_path / "out") if is_folder else "SEEDS"
    if is_folder:
        del topics["SEEDS"]
    streamed = run_stream(tmp_path / "seeds", topics, seeds=Seeds(place, is_folder, milliseconds() + MINUTE))
    assert streamed["sysmon_process_create"] == []
    joined = {row["event_uid"] for row in streamed["sysmon_join"]}
    assert joined == {row["event_uid"] for row in replayed["sysmon_join"]}
    assert [row["step"] for row in streamed["dead_letters"] if row["source"] == "kafka:SEEDS"] == ["read"] * (
        not is_folder
    )
