"""What each option of `huntbeam replay` does, and how it says what is wrong, through the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from huntbeam.schemas.clock import instant, millis
from huntbeam.transforms.read import expand, spans
from tests.conftest import ROOT, Rows, run_replay
from tests.events import CONNECT, CONNECT_DATA, CREATE, CREATE_DATA, SHAPES, SYSMON, Fact, line, wlb8
from tests.processes import Living, living, needs_proc

HUNTBEAM = Path(sys.executable).with_name("huntbeam")
SEED_COLUMNS = """
    event_date_creation process_guid process_id process_path file_version file_description file_company
    process_command_line process_current_directory user_account user_logon_guid user_logon_id user_session_id
    process_integrity_level hashes parent_process_guid parent_process_id parent_process_path
    parent_process_command_line network_protocol network_connection_initiated src_is_ipv6 src_ip_addr src_host_name
    src_port src_port_name dst_is_ipv6 dst_ip_addr dst_host_name dst_port dst_port_name event_id source_name log_name
"""


def guid(number: int) -> str:
    return f"{{0a1b2c3d-{number:04x}-4222-8333-0123456789ab}}"


def create(number: int, at: str = "2026-03-04 05:06:07.000", host: str = "WS-7") -> bytes:
    return line(Fact(1, CREATE_DATA | {"ProcessGuid": guid(number), "UtcTime": at}, host=host, record_id=number))


def connect(number: int, at: str = "2026-03-04 05:06:08.000", host: str = "WS-7", **data: Any) -> bytes:
    return line(
        Fact(3, CONNECT_DATA | {"ProcessGuid": guid(number), "UtcTime": at} | data, host=host, record_id=number)
    )


def archive(folder: Path, *lines: bytes, name: str = "a.ndjson") -> Path:
    path = folder / name
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return path


def uids(rows: Rows) -> Counter[str]:
    return Counter(row["event_uid"] for row in rows)


def fails(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str]:
    """The exit code and the one line on standard error."""
    code = main(["replay", *map(str, argv)])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("huntbeam: ")
    assert said.err.count("\n") == 1, said.err
    assert "Traceback" not in said.err
    return code, said.err.strip()


# Steps ------------------------------------------------------------------------------------------------------------


def test_the_kinds_of_join(tmp_path: Path) -> None:
    zero = connect(4, ProcessGuid="{00000000-0000-0000-0000-000000000000}")
    path = archive(tmp_path, connect(1), create(1), connect(2), create(3), zero)
    rows = {kind: run_replay(tmp_path / kind, path, options=("--join", kind)) for kind in ("inner", "left", "full")}
    assert uids(run_replay(tmp_path / "default", path)["sysmon_join"]) == uids(rows["inner"]["sysmon_join"])
    assert {kind: len(found["sysmon_join"]) for kind, found in rows.items()} == {"inner": 1, "left": 3, "full": 4}
    for found in rows.values():
        assert Counter(row["reason"] for row in found["sysmon_unmatched"]) == {"no_create": 1, "zero_guid": 1}
        for stream in ("sysmon_process_create", "sysmon_network_connect", "sysmon_unmatched", "window_counts"):
            assert uids(found[stream]) == uids(rows["inner"][stream])
    alone = [row for row in rows["left"]["sysmon_join"] if row["process_command_line"] is None]
    assert [row["dst_port"] for row in alone] == [443, 443]
    (idle,) = (row for row in rows["full"]["sysmon_join"] if row["dst_port"] is None)
    assert (idle["process_guid"], idle["process_command_line"]) == (guid(3).strip("{}"), CREATE_DATA["CommandLine"])


def test_dedupe_puts_further_copies_out_and_counts_once(tmp_path: Path) -> None:
    first = archive(tmp_path, create(1), connect(1), connect(2), b"torn", name="a.ndjson")
    again = archive(tmp_path, connect(1), create(1), b"torn", connect(1), name="b.ndjson")
    rows = run_replay(tmp_path / "out", first, again, options=("--dedupe",))
    plain = run_replay(tmp_path / "plain", first, again)
    assert "duplicates" not in plain
    for stream in ("sysmon_process_create", "sysmon_network_connect", "sysmon_join", "sysmon_unmatched"):
        assert uids(rows[stream]) == dict.fromkeys(uids(plain[stream]), 1)
    assert sorted((row["event_id"], Path(row["source"]).name, row["position"]) for row in rows["duplicates"]) == [
        (1, "b.ndjson", len(connect(1)) + 1),
        (3, "b.ndjson", 0),
        (3, "b.ndjson", len(connect(1)) + 1 + len(create(1)) + 1 + len(b"torn") + 1),
    ]
    assert sum(row["count"] for row in rows["window_counts"]) == 3
    assert sum(row["count"] for row in plain["window_counts"]) == 6
    assert len(rows["dead_letters"]) == len(plain["dead_letters"]) == 2  # lines are no events


def test_all_sysmon_events_on_demand_in_the_34_columns_of_the_seeds(tmp_path: Path) -> None:
    facts = [CREATE, CONNECT, *(Fact(n, CREATE_DATA) for n in (5, 7, 22, 255)), Fact(4688, {"a": "b"}, provider="S")]
    path = archive(tmp_path, *map(line, facts), line(Fact(10, CREATE_DATA), wlb8))
    rows = run_replay(tmp_path / "out", path, options=("--streams", "sysmon_events"))
    assert sorted(row["event_id"] for row in rows["sysmon_events"]) == [1, 3, 5, 7, 10, 22, 255]
    for row in rows["sysmon_events"]:
        assert list(row)[:34] == SEED_COLUMNS.split()
        assert row["source_name"] == SYSMON
    by_id = {row["event_id"]: row for row in rows["sysmon_events"]}
    for stream, event_id in (("sysmon_process_create", 1), ("sysmon_network_connect", 3)):
        (row,) = rows[stream]
        assert row.items() <= by_id[event_id].items()
    assert "sysmon_events" not in run_replay(tmp_path / "plain", path)
    assert uids(run_replay(tmp_path / "named", path, options=("--streams", "sysmon_join"))["sysmon_join"]) == uids(
        rows["sysmon_join"]
    )
    assert not (tmp_path / "named" / "sysmon_events").exists()


def test_the_size_of_the_windows(tmp_path: Path) -> None:
    times = ["2026-03-04 05:59:59.999", "2026-03-04 06:00:00.000", "2026-03-04 06:59:59.999"]
    path = archive(tmp_path, *(create(1, at) for at in times))
    for size, counts in (("1h", [1, 2]), ("5m", [1, 1, 1]), ("1d", [3]), ("500ms", [1, 1, 1])):
        rows = run_replay(tmp_path / size, path, options=("--window", size))["window_counts"]
        assert [row["count"] for row in sorted(rows, key=lambda row: row["window_start"])] == counts
    assert (rows[0]["counter"], rows[0]["generation"], rows[0]["late_count"]) == ("process_image", None, 0)
    hour = run_replay(tmp_path / "hour", path, options=("--window", "1h"))["window_counts"]
    assert {(row["window_start"], row["window_end"]) for row in hour} == {
        ("2026-03-04T05:00:00.000Z", "2026-03-04T06:00:00.000Z"),
        ("2026-03-04T06:00:00.000Z", "2026-03-04T07:00:00.000Z"),
    }


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "avro"])
def test_times_at_both_ends_of_time_stop_nothing(tmp_path: Path, file_format: str) -> None:
    """A clock can say anything, and a window can be as long as one likes."""
    times = ["0001-01-01 00:00:00.000", "9999-12-31 23:59:59.999"]
    path = archive(tmp_path, *(create(n, at) for n, at in enumerate(times)))
    for size in ("5m", "999999999d"):
        output = tmp_path / size
        run_replay_unread(output, path, "--format", file_format, "--window", size)
        assert json.loads((output / "_SUCCESS").read_bytes())["rows"]["window_counts"] == 2


def run_replay_unread(output: Path, path: Path, *options: str) -> None:
    """A replay whose rows no Python datetime could hold, perhaps."""
    assert main(["replay", "--input", str(path), "--output", str(output), "--quiet", *options]) == 0


def test_event_time_names_the_clock(tmp_path: Path) -> None:
    own = CONNECT.time
    path = archive(tmp_path, connect(1, "2026-02-20 00:00:00.000"))
    for mode, expected, source in (
        ("utc_time", "2026-02-20T00:00:00.000Z", "utc_time"),
        ("timestamp", own, "timestamp"),
        ("auto", own, "timestamp"),
    ):
        (row,) = run_replay(tmp_path / mode, path, options=("--event_time", mode))["sysmon_network_connect"]
        assert (row["event_date_creation"], row["event_time_source"]) == (expected, source)
        assert row["clock_skew_ms"] == millis("2026-02-20T00:00:00.000Z") - millis(own)


# Narrowing --------------------------------------------------------------------------------------------------------


def test_since_until_and_host_narrow_and_earlier_creates_still_join(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        create(1, "2026-03-03 23:00:00.000"),
        connect(1, "2026-03-03 23:30:00.000"),
        connect(1, "2026-03-04 00:00:00.000"),
        connect(1, "2026-03-04 23:59:59.999"),
        connect(1, "2026-03-05 00:00:00.000"),
        create(2, "2026-03-04 12:00:00.000", host="SRV-1"),
        connect(2, "2026-03-04 12:00:00.000", host="srv-1"),
    )
    rows = run_replay(tmp_path / "day", path, options=("--since", "2026-03-04", "--until", "2026-03-05"))
    times = sorted(row["event_date_creation"] for row in rows["sysmon_network_connect"])
    assert times == [f"2026-03-04T{t}Z" for t in ("00:00:00.000", "12:00:00.000", "23:59:59.999")]
    assert [row["host"] for row in rows["sysmon_process_create"]] == ["SRV-1"]
    assert len(rows["sysmon_join"]) == 3  # one create is from the day before
    assert len(rows["sysmon_unmatched"]) == 0
    assert sum(row["count"] for row in rows["window_counts"]) == 4
    full = run_replay(tmp_path / "full", path, options=("--since", "2026-03-06", "--join", "full", "--dedupe"))
    assert (full["sysmon_join"], full["duplicates"]) == ([], [])  # creates outside the span are no output at all
    hosts = run_replay(tmp_path / "host", path, options=("--host", "srv-*", "--host", "nobody"))
    assert [row["host"] for row in hosts["sysmon_process_create"] + hosts["sysmon_network_connect"]] == [
        "SRV-1",
        "srv-1",
    ]
    zoned = ("--since", "2026-03-05T01:59:59.999+02:00", "--until", "2026-03-05T02:00:00+02:00")
    rows = run_replay(tmp_path / "zoned", path, options=zoned)
    assert [row["event_date_creation"] for row in rows["sysmon_network_connect"]] == ["2026-03-04T23:59:59.999Z"]
    tallies = json.loads((tmp_path / "host" / "_SUCCESS").read_bytes())["summary"]["tallies"]
    assert tallies == {"outside_host": 5}


# Counters ---------------------------------------------------------------------------------------------------------

COUNTERS = """
[[counter]]
name = "admin_ports"
event_id = 3
key = ["host", "user_account"]
distinct = ["dst_ip_addr", "dst_port"]
where = { dst_port = [445, "3389"], network_protocol = ["tcp"] }

[[counter]]
name = "loads"
event_id = 7
key = ["process_path"]
"""


@pytest.mark.parametrize("streams", [(), ("--streams", "sysmon_events")])
def test_own_counters_count_beside_the_built_in_ones(tmp_path: Path, streams: tuple[str, ...]) -> None:
    (tmp_path / "counters.toml").write_text(COUNTERS)
    ports = ["445", "3389", 3389, "443", "-"]
    lines = [connect(n, DestinationPort=port, DestinationIp=f"10.0.0.{n % 2}") for n, port in enumerate(ports)]
    lines.append(connect(9, DestinationPort="445", Protocol="udp"))
    lines += [line(Fact(7, CREATE_DATA | {"Image": image})) for image in ("a.exe", "a.exe", "b.exe")]
    options = ("--counters", str(tmp_path / "counters.toml"), *streams)
    rows = run_replay(tmp_path / "out", archive(tmp_path, *lines), options=options)["window_counts"]
    by_counter = Counter(row["counter"] for row in rows)
    assert set(by_counter) == {"admin_ports", "loads", "network_destination"}
    (admin,) = (row for row in rows if row["counter"] == "admin_ports")
    assert (admin["count"], admin["distinct"]) == (3, {"dst_ip_addr": 2, "dst_port": 2})
    assert admin["key"] == {"host": "WS-7", "user_account": "LAB\\ada"}
    loads = {row["key"]["process_path"]: row["count"] for row in rows if row["counter"] == "loads"}
    assert loads == {"a.exe": 2, "b.exe": 1}


GOOD = '[[counter]]\nname = "x"\nevent_id = 3\nkey = ["host"]\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[counter]", "is no TOML"),
        ("", "missing required field `counter`"),
        ("counter = 7", "Expected `array`"),
        (GOOD.replace("name", "nam"), "Object contains unknown field `nam`"),
        (GOOD.replace('"x"', '""'), "a counter has no name; give it one"),
        (GOOD.replace("3", '"3"'), "Expected `int | array`, got `str` - at `$.counter[0].event_id`"),
        (GOOD.replace('["host"]', '"host"'), "Expected `array`, got `str` - at `$.counter[0].key`"),
        (GOOD.replace('["host"]', "[]"), "counter x has no key columns; name at least one"),
        (GOOD.replace('["host"]', '["host", "host"]'), "counter x: key names a column twice; once is enough"),
        (GOOD + 'distinct = ["src_port", "src_port"]', "counter x: distinct names a column twice"),
        (GOOD.replace("host", "hosts"), "event 3 has no column hosts; it has process_guid, process_id"),
        (GOOD.replace("host", "event_date_creation"), "event 3 has no column event_date_creation; it has"),
        (GOOD.replace("host", "process_command_line"), "event 3 has no column process_command_line; it has"),
        (GOOD + 'distinct = ["port"]', "event 3 has no column port; it has"),
        (GOOD + 'where = { port = ["1"] }', "event 3 has no column port; it has"),
        (GOOD + "where = { dst_port = 1 }", "Expected `array`"),
        (GOOD + GOOD, "the name x is taken; choose another"),
        (GOOD.replace('"x"', '"process_image"'), "the name process_image is taken; choose another"),
        ('[[counter]]\nname = "\udce9"', "is no TOML"),
    ],
)
def test_what_is_wrong_with_a_counter_is_said_with_the_file_and_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    path = tmp_path / "counters.toml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    source = archive(tmp_path, line(CONNECT))
    code, message = fails(capsys, "--input", source, "--output", tmp_path / "out", "--counters", path)
    assert code == 2
    assert f"--counters {path}" in message
    assert said in message
    assert not (tmp_path / "out").exists()


def test_a_counters_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, why in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        code, message = fails(capsys, "--input", "x", "--output", tmp_path / "out", "--counters", path)
        assert (code, message) == (2, f"huntbeam: --counters {path} cannot be read ({why}): check the path")


# The same rows, whatever the format, the container and the number of processes ------------------------------------


def mixed_lines() -> list[bytes]:
    lines = []
    for number in range(60):
        shape = list(SHAPES.values())[number % len(SHAPES)]
        data = CONNECT_DATA | {"ProcessGuid": guid(number % 7), "SourcePort": str(number)}
        at = instant(millis("2026-03-04T05:00:00.000Z") + number * 20_000)
        lines.append(line(Fact(3, data | {"UtcTime": at}, host="WS-7", record_id=number), shape))
        if number % 10 == 3:
            lines.append(create(number % 7))
        if number % 9 == 0:
            lines += [b"", b"{torn", line(Fact(4688, {"a": "b"}, provider="Security"))]
    return lines


def test_every_format_holds_the_same_rows(tmp_path: Path) -> None:
    path = archive(tmp_path, *mixed_lines())
    options = ("--dedupe", "--streams", "sysmon_events")
    found = {f: run_replay(tmp_path / f, path, options=("--format", f, *options)) for f in ("jsonl", "parquet", "avro")}
    jsonl = found["jsonl"]
    assert {len(jsonl[s]) > 0 for s in jsonl if s != "duplicates"} == {True}
    for row in jsonl["window_counts"]:
        row["key"] = {name: value if value is None else str(value) for name, value in row["key"].items()}
    for other in ("parquet", "avro"):
        assert set(found[other]) == set(jsonl)
        for stream, rows in jsonl.items():
            assert by_text(found[other][stream]) == by_text(rows), (other, stream)


def by_text(rows: Rows) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


@pytest.mark.parametrize("file_format", ["jsonl", "parquet", "avro"])
def test_each_stream_has_a_file_even_without_rows(tmp_path: Path, file_format: str) -> None:
    rows = run_replay(tmp_path / "out", archive(tmp_path, b""), options=("--format", file_format, "--dedupe"))
    assert set(rows) == {
        *("sysmon_process_create", "sysmon_network_connect", "sysmon_join", "sysmon_unmatched"),
        *("window_counts", "dead_letters", "duplicates"),
    }
    assert all(found == [] for found in rows.values())
    names = {path.name for path in (tmp_path / "out").glob("*/*")}
    assert names == {f"part-00000-of-00001.{file_format}"}


@pytest.mark.parametrize("options", [(), ("--dedupe",)])
def test_pieces_in_worker_processes_give_the_rows_of_the_whole_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    path = archive(tmp_path, *mixed_lines(), *mixed_lines())
    whole = run_replay(tmp_path / "whole", path, options=("--workers", "0", *options))
    monkeypatch.setattr("huntbeam.runners.direct.spans", partial(spans, piece=4_000))
    pieces = run_replay(tmp_path / "pieces", path, options=("--workers", "2", *options))
    assert len(whole["sysmon_join"]) > 50
    assert len(spans(expand([str(path)]), 4_000)) > 20
    assert {stream: by_text(rows) for stream, rows in pieces.items()} == {s: by_text(r) for s, r in whole.items()}
    summaries = [json.loads((tmp_path / name / "_SUCCESS").read_bytes()) for name in ("whole", "pieces")]
    for summary in summaries:
        del summary["summary"]["seconds"]
    assert summaries[0] == summaries[1]


def test_standard_input(tmp_path: Path) -> None:
    lines = b"\n".join(mixed_lines())
    path = archive(tmp_path, lines)
    expected = run_replay(tmp_path / "file", path)
    run = huntbeam("replay", "--input", "-", "--output", tmp_path / "out", "--quiet", given=lines + b"\n")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
    for stream in ("sysmon_network_connect", "sysmon_join", "window_counts"):
        found = b"".join(p.read_bytes() for p in (tmp_path / "out" / stream).iterdir())
        assert by_text([json.loads(one) for one in found.splitlines()]) == by_text(expected[stream])
    dead = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["rows"]["dead_letters"]
    assert dead == len(expected["dead_letters"]) > 0


def huntbeam(*argv: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(HUNTBEAM), *map(str, argv)], input=given, capture_output=True, timeout=60, check=False)


# The output folder ------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_with_results_is_refused_and_replaced_when_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    path = archive(tmp_path, create(1))
    argv = ("--input", path, "--output", output, "--quiet")
    run_replay(output, path, options=("--dedupe", "--format", "avro"))
    before = contents(output)
    code, message = fails(capsys, *argv)
    assert code == 2
    assert f"{output} is not empty" in message
    assert "--overwrite" in message
    assert contents(output) == before
    rows = run_replay(output, path, options=("--overwrite",))
    assert len(rows["sysmon_process_create"]) == 1
    assert {p.suffix for p in output.glob("*/*")} == {".jsonl"}
    assert not (output / "duplicates").exists()


def test_a_folder_with_foreign_files_is_never_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.doc").write_bytes(b"years of work")
    for more in ((), ("--overwrite",)):
        code, message = fails(capsys, "--input", archive(tmp_path, create(1)), "--output", output, *more)
        assert code == 2
        assert "thesis.doc" in message
    assert contents(output) == {"thesis.doc": b"years of work"}


def test_a_run_that_fails_leaves_the_folder_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    path = archive(tmp_path, create(1))
    run_replay(output, path)
    before = contents(output)
    capsys.readouterr()

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr("huntbeam.transforms.digest.Digest.feed", fail)
    code, message = fails(capsys, "--input", path, "--output", output, "--overwrite", "--quiet", "--workers", "0")
    assert code == 1
    assert "the disk is on fire" in message
    assert contents(output) == before
    assert not list(output.glob(".huntbeam-*"))


def test_a_run_that_fails_leaves_no_folder_where_there_was_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr("huntbeam.transforms.digest.Digest.feed", fail)
    source = archive(tmp_path, create(1))
    assert main(["replay", "--input", str(source), "--output", str(tmp_path / "out"), "--quiet"]) == 1
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_made_is_said_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = archive(tmp_path, create(1))
    code, message = fails(capsys, "--input", source, "--output", source)
    assert code == 2
    assert message.startswith(f"huntbeam: {source} cannot be used")
    assert message.endswith("choose another folder for --output")


# What is said -----------------------------------------------------------------------------------------------------


def test_quiet_says_nothing_and_otherwise_there_is_a_summary(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = archive(
        tmp_path, create(1), connect(1), b"", b"{torn", line(Fact(4688, {"a": "b"}, provider="Sec[red]urity"))
    )
    argv = ["replay", "--input", str(path), "--output"]
    assert main([*argv, str(tmp_path / "quiet"), "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert main([*argv, str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    for words in ("Sec[red]urity", "4688", "sysmon_join", "dead_letters", "blank lines", " s\n"):
        assert words in err
    assert "WARNING" not in err


def test_help_shows_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for words in ("examples:", "huntbeam replay --input logs/ --output out", "zcat", "gs://", "exit codes:"):
        assert words in said
    for code in (0, 1, 2, 130):
        assert f"\n  {code}  " in said
    for option in ("--since", "--dedupe", "--event_time", "--workers", "--counters", "--streams"):
        assert option in said


def test_the_counter_that_the_help_shows_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    said = capsys.readouterr().out
    shown = said[said.index("[[counter]]") : said.index("exit codes:")]
    (tmp_path / "shown.toml").write_text(shown)
    path = archive(tmp_path, connect(1, DestinationPort="445"), connect(2))
    rows = run_replay(tmp_path / "out", path, options=("--counters", str(tmp_path / "shown.toml")))["window_counts"]
    assert [row["count"] for row in rows if row["counter"] == "admin_ports_by_user"] == [1]


# What is wrong is one line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--window", "5"), "--window: '5' is no duration; write a number and ms, s, m, h or d, such as 5m"),
        (("--window", "0m"), "is no duration"),
        (("--since", "yesterday"), "--since yesterday: write a time such as 2026-11-20T08:00:00Z or a day"),
        (("--until", "2026-13-01"), "--until 2026-13-01: write a time such as"),
        (("--since", "2026-01-02", "--until", "2026-01-02"), "is not before --until 2026-01-02: nothing would be left"),
        (("--workers", "-1"), "--workers -1: write 0 or a number of processes"),
        (("--streams", "sysmon_event"), "there is no such stream; there is sysmon_events"),
        (("--streams", "duplicates"), "--dedupe"),
    ],
)
def test_an_option_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    path = archive(tmp_path, create(1))
    code, message = fails(capsys, "--input", path, "--output", tmp_path / "out", *options)
    assert code == 2
    assert said in message
    assert not (tmp_path / "out").exists()


def test_an_input_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    archive(tmp_path / "hidden", create(1), name=".secret")
    (tmp_path / "dead.json").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    good = archive(tmp_path, create(1))
    for name in ("none", "empty", "hidden", "dead.json", "pipe", "*.gz", "none/*.json"):
        pattern = tmp_path / name
        code, message = fails(capsys, "--input", good, "--input", pattern, "--output", tmp_path / "out")
        assert code == 2
        assert str(pattern) in message
        assert ": " in message.removeprefix("huntbeam: ")  # the fault, then the remedy
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["replay"],
        ["replay", "--input", "x"],
        ["replay", "--input", "x", "--output", "y", "--format", "csv"],
        ["replay", "--input", "x", "--output", "y", "--nonsense"],
        ["replay", "--input", "x", "--output", "y", "--workers", "many"],
        ["rewind"],
    ],
)
def test_a_command_line_that_cannot_be_read_ends_with_2(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith("huntbeam")
    assert "error: " in said.err.splitlines()[-1]


# Interrupted ------------------------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[int, bytes, Path, dict[str, bytes]]]:
    """A replay over earlier results, sent SIGINT in its middle: exit code, what it said, folder, what was there."""
    workers = request.param
    source = archive(tmp_path, *(connect(number) for number in range(20_000)))
    (tmp_path / "in").mkdir()
    for number in range(12):
        os.link(source, tmp_path / "in" / f"{number}.ndjson")
    output = tmp_path / "out"
    run_replay(output, archive(tmp_path, create(1), name="b.ndjson"))
    before = contents(output)
    command = [HUNTBEAM, "replay", "--input", tmp_path / "in", "--output", output, "--overwrite", "--workers", workers]
    deadline = time.monotonic() + 60
    with subprocess.Popen([*command, "--quiet"], stderr=subprocess.PIPE, start_new_session=True) as run:
        while not list(output.glob(".huntbeam-*/*/*")):
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGINT)
        try:
            _, said = run.communicate(timeout=30)
            yield run.returncode, said, output, before
            while of_session(run.pid) and time.monotonic() < deadline:
                time.sleep(0.05)  # a reading process ends when it is told to, which takes a moment
            assert of_session(run.pid) == []
        finally:
            if of_session(run.pid):
                os.killpg(run.pid, signal.SIGKILL)


def of_session(session: int) -> list[Living]:
    return [one for one in living() if one.session == session]


MANY = pytest.mark.parametrize("interrupted", ["0", "2"], indirect=True, ids=["alone", "workers"])


@needs_proc
@MANY
def test_interrupted_the_folder_is_as_it_was_and_no_process_is_left(
    interrupted: tuple[int, bytes, Path, dict[str, bytes]],
) -> None:
    code, said, output, before = interrupted
    assert code != 0
    assert said.count(b"\n") == 1
    assert contents(output) == before
    assert not list(output.glob(".huntbeam-*"))


@needs_proc
@MANY
def test_interrupted_the_exit_code_is_130(interrupted: tuple[int, bytes, Path, dict[str, bytes]]) -> None:
    code, said, *_ = interrupted
    assert code == 130
    assert said == b"huntbeam: interrupted; the output folder is as it was\n"


def test_the_console_script_is_there() -> None:
    run = huntbeam("--version")
    assert run.returncode == 0
    assert run.stdout.startswith(b"huntbeam 0.")
    assert f'version="{run.stdout.split()[1].decode()}"' in (ROOT / "setup.py").read_text(encoding="utf-8")


def test_without_leaves_streams_out_but_never_dead_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = ROOT / "samples" / "logs"
    rows = run_replay(tmp_path / "out", sample, options=("--without", "window_counts,sysmon_unmatched"))
    assert set(rows) == {"sysmon_process_create", "sysmon_network_connect", "sysmon_join", "dead_letters"}
    for wrong in ("dead_letters", "nonsense"):
        code, said = fails(capsys, "replay", "--input", sample, "--output", tmp_path / "no", "--without", wrong)
        assert code == 2
        assert wrong in said
