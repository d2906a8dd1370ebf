"""`make demo-monster` on real servers: it ends by itself, and nothing of it runs on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from huntbeam.runners.stack.stack import Stack
from tests.conftest import ROOT
from tests.e2e.stack import need_stack

HOME = ROOT / "out" / "demo-monster"
PATIENCE = 300.0  # seconds


@contextmanager
def demo(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    need_stack("opensearch")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks/demo_monster.py")], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        Stack(HOME).down(delete=True)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_it_shows_every_document_and_stops_what_it_started(tmp_path: Path) -> None:
    with demo(tmp_path / "log") as process:
        code = process.wait(PATIENCE)
        said = (tmp_path / "log").read_text()
        assert code == 0, said
        assert not HOME.exists()
    assert "5,200 documents of 5,200 records" in said
    assert "not signed" in said


@pytest.mark.full
@pytest.mark.timeout(600)
def test_interrupted_it_stops_what_it_started(tmp_path: Path) -> None:
    with demo(tmp_path / "log") as process:
        until = time.monotonic() + PATIENCE
        while "huntbeam monster" not in (said := (tmp_path / "log").read_text()):
            assert process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 130
        assert not HOME.exists()
