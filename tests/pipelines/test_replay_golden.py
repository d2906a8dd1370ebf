"""Replay of a small archive made by hand, against golden files of every stream, dead letters included.

The archive (tests/golden/replay/input) has 29 lines and elements in eight shapes: creates and connects that join across
drift and host case, a repeat, a zero GUID, a record without its time, and what cannot be used. After a wanted change of
results write the golden files anew, from the checkout, and read the difference:

    python -m tests.pipelines.test_replay_golden
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.conftest import ROOT, run_replay

GOLDEN = ROOT / "tests" / "golden" / "replay"
CASES: dict[str, tuple[str, ...]] = {
    "default": (),
    "everything": (
        "--dedupe",
        "--event_time",
        "auto",
        "--join",
        "full",
        "--streams",
        "sysmon_events",
        "--window",
        "1h",
    ),
    "narrowed": ("--since", "2026-03-04T05:06:08.200Z", "--until", "2026-03-04T05:20:01.500Z", "--host", "ws-*"),
}


def results(case: str, output: Path) -> dict[str, str]:
    """The text of each golden file. Sources in it are relative: this runs in the folder of the archive."""
    rows = run_replay(output, "input", options=CASES[case])
    files = {}
    for stream, found in rows.items():
        found.sort(key=lambda row: (row["event_uid"], row.get("source", ""), row.get("position") or 0))
        files[f"{stream}.jsonl"] = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
    success: dict[str, Any] = json.loads((output / "_SUCCESS").read_bytes())
    del success["summary"]["seconds"]
    return files | {"success.json": json.dumps(success, indent=1) + "\n"}


@pytest.mark.parametrize("case", CASES)
def test_the_results_are_the_golden_ones(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    found = results(case, tmp_path / "out")
    golden = {path.name: path.read_text(encoding="utf-8") for path in (GOLDEN / case).iterdir()}
    assert set(found) == set(golden)
    for name, text in golden.items():
        assert found[name].splitlines() == text.splitlines(), name


def update() -> None:
    """Writes the golden files anew."""
    os.chdir(GOLDEN)
    for case in CASES:
        folder = GOLDEN / case
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        with TemporaryDirectory() as aside:
            for name, text in results(case, Path(aside) / "out").items():
                (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    update()
