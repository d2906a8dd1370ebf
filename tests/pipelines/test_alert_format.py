"""--alert_format ecs, through main(argv)."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from huntbeam.runners.cli import main
from huntbeam.schemas.alert import Alert
from huntbeam.schemas.ecs import as_columns
from tests.pipelines.test_replay_correlations import THREE, correlation, failure, login, replay, tool

FACTS = [*(failure(n) for n in (1, 2, 3, 21, 22, 23)), login(4), login(5), tool(6)]
OPTIONS = ("--suppress", "1h")


def test_alerts_and_suppressed_are_documents_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = replay(tmp_path / "a", FACTS, correlation(THREE), options=OPTIONS)
    found = replay(tmp_path / "b", FACTS, correlation(THREE), options=(*OPTIONS, "--alert_format", "ecs"))
    for stream, rows in plain.items():
        if stream not in ("alerts", "suppressed"):
            assert found[stream] == rows
            continue
        assert rows
        assert all(row["event"]["kind"] == "signal" and row["@timestamp"] for row in found[stream])
        back = [msgspec.convert(as_columns(row), Alert) for row in found[stream]]
        assert [msgspec.to_builtins(row) for row in sorted(back, key=lambda r: r.event_uid)] == sorted(
            rows, key=lambda row: str(row["event_uid"])
        )


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("replay", "--input", "-", "--output", "x", "--format", "parquet"), "--format parquet has typed columns"),
        (("replay", "--input", "-", "--output", "x", "--format", "avro"), "--format avro has typed columns"),
        (("stream", "--input_topic", "t", "--encoding", "avro"), "--encoding avro has typed columns"),
    ],
    ids=["parquet", "avro", "avro topic"],
)
def test_typed_columns_are_refused(command: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--alert_format", "ecs", "--rules", "rules"]) == 2
    assert said in json.dumps(capsys.readouterr().err)
