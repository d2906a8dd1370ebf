"""--suppress on a replay through main(argv)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from huntbeam.runners.cli import main
from tests.pipelines.test_replay_correlations import THREE, correlation, failure, login, replay


def short(rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return sorted((row["rule_title"], row["time"], row["suppressed_count"]) for row in rows)


def test_one_alert_a_rule_and_host_in_a_while(tmp_path: Path) -> None:
    facts = [login(n) for n in (9, 2, 30, 31, 59)] + [login(3)._replace(host="ws-7.LAB.example")]
    facts += [login(4)._replace(host="ws-8"), login(5)._replace(time="yesterday")]
    found = replay(tmp_path, facts, options=("--suppress", "30s"))
    minute = "2026-03-04T05:06:"
    assert {(row["host"], row["time"], row["suppressed_count"]) for row in found["alerts"]} == {
        ("WS-7.lab.example", f"{minute}02.000Z", 2),
        ("WS-7.lab.example", f"{minute}30.000Z", 2),
        ("ws-8", f"{minute}04.000Z", 0),
        ("WS-7.lab.example", None, 0),
    }
    assert {row["time"] for row in found["suppressed"]} == {f"{minute}{s}.000Z" for s in ("03", "09", "31", "59")}
    assert {row["suppressed_count"] for row in found["suppressed"]} == {0}
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text())["rows"]["suppressed"] == 4


def test_of_a_correlation_by_its_group(tmp_path: Path) -> None:
    failures = [failure(n + again, user) for user in ("ada", "grace") for again in (0, 20, 40) for n in (1, 2, 3)]
    (folder := tmp_path / "plain").mkdir()
    assert len(replay(folder, failures, correlation(THREE))["alerts"]) == 6
    found = replay(tmp_path, failures, correlation(THREE), options=("--suppress", "1h"))
    assert short(found["alerts"]) == [("Correlation asked", "2026-03-04T05:06:03.000Z", 2)] * 2
    assert len(found["suppressed"]) == 4
    assert {row["rule_type"] for row in found["suppressed"]} == {"event_count"}


def test_it_is_off_by_default_and_asks_for_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "suppressed" not in replay(tmp_path, [login(1), login(2)])
    argv = ["replay", "--input", str(tmp_path / "in.ndjson"), "--output", str(tmp_path / "other")]
    assert main([*argv, "--suppress", "1h"]) == 2
    assert "without --rules there are no alerts" in capsys.readouterr().err
    assert main([*argv, "--rules", str(tmp_path / "rules"), "--suppress", "often"]) == 2
    assert "--suppress: 'often' is no duration" in capsys.readouterr().err
