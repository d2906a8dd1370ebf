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
    summary({"sysmon_join": 1234}, pairs, {"blank_lines": 3}, "out", 1.25)
    said = capsys.readouterr().err
    assert "[red]\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}[/red]" in said
    assert "[b]1[/b]" in said
    assert "\x1b" not in said
    for text in ("9 more", "1,234", "(blank lines)", "29", "1.2 s"):
        assert text in said


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
