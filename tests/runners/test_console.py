"""What a person sees: progress and summary, and nothing of an attacker's markup."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from huntbeam.runners import console
from huntbeam.runners.console import Progress, summary
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.report import AlertCount, ReportPart
from tests.conftest import ROOT

SAMPLE = ROOT / "samples" / "logs"


def batch(events: int, consumed: int) -> Digested:
    return Digested(pairs=[("p", 1, events)], consumed=consumed)


def test_without_a_terminal_progress_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "EVERY", 0.0)
    progress = Progress(total=4_000_000, quiet=False)
    progress.update(batch(1000, 1_000_000))
    progress.update(batch(500, 1_000_000))
    progress.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("huntbeam: 1.0 MB of 4.0 MB, 1,000 events, ")
    assert second.startswith("huntbeam: 2.0 MB of 4.0 MB, 1,500 events, ")
    assert second.endswith(" s left")


def test_lines_are_not_said_too_often_and_never_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        progress = Progress(total=10, quiet=quiet)
        progress.update(batch(1, 1))
        progress.close()
        assert progress.events == 1
    assert capsys.readouterr().err == ""


def test_the_summary_shows_what_was_read_and_written_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "[red]\x1b[31m\x07[/red]"
    pairs = [(hostile, "[b]1[/b]", 9), *((f"provider {n}", n, 1) for n in range(20))]
    summary({"sysmon_join": 1234}, ReportPart(tallies={"blank_lines": 3}, events=pairs), "out", 1.25)
    said = capsys.readouterr().err
    assert "[red]\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}[/red]" in said
    assert "[b]1[/b]" in said
    assert "\x1b" not in said
    for text in ("9 more", "1,234", "(blank lines)", "29", "1.2 s"):
        assert text in said


def test_the_summary_lists_alerts_by_level_and_rule(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = AlertCount("0", "[red]\x1b[31m\x07" + "x" * 200, "critical", 7)
    others = [AlertCount(str(n), f"rule {n}", "low" if n % 2 else None, 100 + n) for n in range(1, 30)]
    summary({"alerts": 1}, ReportPart(alerts=[*others, hostile]), "out", 1.25)
    said = capsys.readouterr().err
    assert "[red]\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}xxx" in said
    assert "\x1b" not in said
    lines = said[said.index("level") :].splitlines()
    cells = [[cell.strip() for cell in row.split("\N{BOX DRAWINGS LIGHT VERTICAL}")[1:-1]] for row in lines]
    found = [row for row in cells if len(row) == 3]
    assert found[0][0] == "critical"
    assert ["low", "rule 29", "129"] in found
    shown = sum(range(109, 130, 2))  # beside the critical one, the 11 of level low with most alerts
    assert ["", "18 more rules", f"{sum(count.alerts for count in others) - shown:,}"] in found
    low, unknown = sum(range(101, 130, 2)), sum(range(102, 130, 2))
    assert found[-3:] == [["critical", "all", "7"], ["low", "all", f"{low:,}"], ["-", "all", f"{unknown:,}"]]


def test_on_a_terminal_progress_is_a_bar_with_bytes_rate_and_time(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "huntbeam.runners.cli",
        "replay",
        "--input",
        str(SAMPLE),
        "--output",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stderr=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"}) as replay:
        os.close(theirs)
        said = b""
        while piece := read(ours):
            said += piece
    os.close(ours)
    assert replay.returncode == 0
    for text in (b"events/s", b"kB", b"0:00:00", b"sysmon_join"):
        assert text in said


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says so when the other side is closed
        return b""
