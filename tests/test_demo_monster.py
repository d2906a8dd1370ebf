"""`make demo-monster` where it cannot run; tests/e2e has it where it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_synthesize import load


def test_without_java_it_says_what_is_missing_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    demo = load("demo_monster")
    assert demo.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("make demo-monster is skipped: Java is missing")
