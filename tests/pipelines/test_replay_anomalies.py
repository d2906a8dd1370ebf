"""Anomaly rules on a replay through main(argv)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from huntbeam.runners.cli import main
from tests.conftest import run_replay
from tests.events import CONNECT, CONNECT_DATA, wlb7

RULES = """\
kind: beacon
id: 7b0f6a0e-0f0b-4f0e-8f55-0c5f2d1d0a01
name: Regular Connects
severity: medium
tags: [attack.t1071]
---
kind: threshold
id: 7b0f6a0e-0f0b-4f0e-8f55-0c5f2d1d0a02
name: Many Connects To One Place
severity: low
counter: network_destination
above: 4
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A connect every four minutes for an hour, and five at once to another place."""
    times = [f"2026-03-04 05:{minute:02}:00.000" for minute in range(0, 60, 4)]
    data = [CONNECT_DATA | {"UtcTime": time} for time in times]
    data += [CONNECT_DATA | {"UtcTime": times[0], "DestinationIp": "198.51.100.9", "SourcePort": n} for n in range(5)]
    records = [wlb7(CONNECT._replace(data=one, record_id=number)) for number, one in enumerate(data)]
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_what_stands_out_is_a_row_of_anomalies(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    found = run_replay(tmp_path / "out", archive, options=("--anomaly_rules", str(tmp_path / "rules.yml")))
    rows = {row["kind"]: row for row in found["anomalies"]}
    assert len(found["anomalies"]) == 2
    assert (rows["beacon"]["title"], rows["beacon"]["key"]["dst_ip_addr"]) == ("Regular Connects", "198.51.100.4")
    assert (rows["threshold"]["value"], rows["threshold"]["key"]["dst_ip_addr"]) == (5, "198.51.100.9")
    assert not any(row["retracted"] for row in rows.values())


def test_windows_are_counted_for_rules_though_the_stream_is_not_wanted(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    options = ("--anomaly_rules", str(tmp_path / "rules.yml"), "--without", "window_counts")
    found = run_replay(tmp_path / "out", archive, options=options)
    assert "window_counts" not in found
    assert len(found["anomalies"]) == 2


def test_a_rule_that_cannot_be_used_ends_the_run_before_it_begins(
    tmp_path: Path, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.yml").write_text(RULES.replace("network_destination", "no_such_counter"))
    argv = ["replay", "--input", str(archive), "--output", str(tmp_path / "out"), "--quiet"]
    assert main([*argv, "--anomaly_rules", str(tmp_path / "rules.yml")]) == 2
    assert "there is no counter no_such_counter" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
