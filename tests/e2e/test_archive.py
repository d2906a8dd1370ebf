"""`huntbeam archive` on a real broker, killed in the middle."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.topic_rows import Encoding, RowEncoder
from tests.conftest import read_rows
from tests.e2e.topics import (
    Record,
    committed,
    ends,
    finished,
    killed,
    running,
    send,
    topics,
    with_repeats,
)

pytestmark = pytest.mark.e2e

TIME = "2026-03-04T05:06:07.089Z"
EMPTY: dict[Kind, Any] = {Kind.TEXT: "", Kind.INTEGER: 0, Kind.INSTANT: TIME}
ENCODERS = {(stream, encoding): RowEncoder(stream, encoding) for stream in STREAMS for encoding in Encoding}


def join(number: int, encoding: Encoding = Encoding.JSON, **values: Any) -> Record:
    record = STREAMS["sysmon_join"]
    plain = {c.name: None if c.nullable else EMPTY[c.kind] for c in columns(record)}
    row = record(**plain | {"event_uid": f"{number:032x}", "process_guid": f"p{number % 99}"} | values)
    key, value = ENCODERS["sysmon_join", encoding].encode(row)
    return Record(value, key if number % 2 else None)


def window(count: int, generation: int = 0) -> Record:
    row = WindowCount("c", TIME, TIME, {"host": "h"}, count, {}, False, TIME, TIME, generation, 0, "f" * 32)
    return Record(ENCODERS["window_counts", Encoding.JSON].encode(row)[1], b"w")


def uids(output: Path, stream: str = "sysmon_join") -> Counter[str]:
    return Counter(row["event_uid"] for row in read_rows(output, stream))


def parts(output: Path) -> list[Path]:
    return sorted(output.glob("sysmon_join/part-*"))


def test_killed_and_started_again_each_row_has_landed_once(kafka: str, tmp_path: Path) -> None:
    numbers = with_repeats(50_000)
    with topics(kafka, "SYSMON_JOIN") as (topic,):
        send(kafka, topic, (join(number, user_account="x" * 100) for number in numbers))
        command = ["archive", "--output", str(tmp_path), "--topic", f"{topic}=sysmon_join", "--quiet"]
        command += ["--roll_rows", "400", "--group_id", topic]
        for least in (5, 25, 45):
            killed(kafka, command, lambda least=least: len(parts(tmp_path)) > least)
        assert finished(kafka, *command) == ""
        assert uids(tmp_path) == Counter(f"{number:032x}" for number in set(numbers))
        assert committed(kafka, topic, topic) == ends(kafka, topic)
        before = parts(tmp_path)
        again = finished(kafka, *command[:-2], "--group_id", f"{topic}_lost")  # as if nothing had been committed
        assert again == ""
        assert parts(tmp_path) == before


@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "avro"])
def test_what_lands_and_what_is_said(kafka: str, tmp_path: Path, file_format: str) -> None:
    with topics(kafka, "SYSMON_JOIN", "WINDOW_COUNTS", made=2) as (joins, windows):
        prefix = joins.removesuffix("SYSMON_JOIN")
        odd = [Record(value, b"k") for value in (None, b"{", b"[]", b'{"event_uid": 1}', b"\xc3\x01torn")]
        send(kafka, joins, [join(1), join(2, Encoding.AVRO), join(1), join(2), *odd])
        send(kafka, windows, [window(2), window(1), window(5), window(5), window(1, generation=1)])
        command = ("archive", "--output", str(tmp_path), "--topic_prefix", prefix, "--format", file_format)
        said = finished(kafka, *command)
        assert "14 records read, 5 rows landed in " in said
        assert "4 repeats left out, 4 undecodable, 1 without a value" in said
        assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith((".", "_"))) == [
            "sysmon_join",
            "undecodable",
            "window_counts",
        ]
        assert set(uids(tmp_path).values()) == {1}
        assert {row["event_uid"][-1] for row in read_rows(tmp_path, "sysmon_join")} == {"1", "2"}
        rows = read_rows(tmp_path, "window_counts")
        assert sorted((row["generation"], row["count"]) for row in rows) == [(0, 2), (0, 5), (1, 1)]
        letters = read_rows(tmp_path, "undecodable")
        assert Counter(letter["error_class"] for letter in letters) == {
            "InvalidJson": 1,
            "NotAnObject": 1,
            "NotARow": 1,
            "UnknownSchema": 1,
        }
        assert {(letter["source"], letter["partition"] in range(3)) for letter in letters} == {(f"kafka:{joins}", True)}
        send(kafka, joins, [join(2), join(3)])
        assert "2 records read, 1 rows landed in 1 files, 1 repeats left out" in finished(kafka, *command)
        assert all(re.fullmatch(rf"part-\d-\d{{20}}-\d{{20}}\.{file_format}", path.name) for path in parts(tmp_path))


def test_asked_to_stop_it_lands_what_it_read_and_commits(kafka: str, tmp_path: Path) -> None:
    with topics(kafka, "SYSMON_JOIN") as (topic,):
        send(kafka, topic, (join(number) for number in range(1_000)))
        command = ("archive", "--output", str(tmp_path), "--topic", f"{topic}=sysmon_join", "--group_id", topic)
        with running(kafka, *command, "--follow", "--roll_interval", "1h") as process:
            assert process.stderr
            line = process.stderr.readline()
            assert "1,000 records read, 0 rows landed" in line
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
            assert (process.returncode, said.count("\n")) == (0, 1), said
            assert "1,000 rows landed in 3 files" in said
        assert committed(kafka, topic, topic) == ends(kafka, topic)
        assert len(uids(tmp_path)) == 1_000


def test_a_topic_that_was_made_again_is_not_taken_for_the_old_one(
    kafka: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for expected in (0, 2):
        with topics(kafka, "x") as (topic,):
            archive = tmp_path / "_archive.json"
            if archive.exists():
                ours = json.loads(archive.read_bytes())
                archive.write_text(json.dumps({"sysmon_join": ours["sysmon_join"] | {"topic": topic}}))
            argv = ["archive", "--output", str(tmp_path), "--topic", f"{topic}=sysmon_join", "--quiet"]
            assert main([*argv, "--bootstrap_servers", kafka]) == expected
    assert "was deleted and made again" in capsys.readouterr().err


def test_a_topic_or_a_broker_that_is_not_there_is_one_sentence(
    kafka: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    for more, said in (
        (["--topic", "t_nowhere=sysmon_join", "--bootstrap_servers", kafka], "there is no topic t_nowhere"),
        (["--topic_prefix", "t_nowhere_", "--bootstrap_servers", kafka], "check --topic_prefix"),
        (["--bootstrap_servers", "127.0.0.1:1"], "no Kafka broker answers"),
    ):
        assert main(["archive", "--output", str(output), *more]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert said in err
    assert not output.exists()
