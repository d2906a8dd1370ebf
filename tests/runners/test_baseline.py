"""`huntbeam baseline` and what is rare by it, through main(argv)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from huntbeam.runners.cli import main
from tests.conftest import run_replay
from tests.events import CREATE, CREATE_DATA, wlb7

RARE = """\
kind: rare
id: 2b5b9d5e-9c5f-4f0e-8f55-0c5f2d1d0a01
name: A Rare Program
severity: low
counter: process_image
"""


def written(path: Path, images: list[tuple[str, str]]) -> Path:
    """Creates of some programs on some hosts."""
    facts = [
        CREATE._replace(host=host, data=CREATE_DATA | {"Image": image}, record_id=number)
        for number, (host, image) in enumerate(images)
    ]
    path.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in facts))
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rare.yml"
    path.write_text(RARE)
    return path


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    return written(tmp_path / "usual.ndjson", [("ws-1", "C:\\usual.exe"), ("ws-2", "C:\\USUAL.exe")])


def test_a_program_that_the_baseline_does_not_have_is_rare(tmp_path: Path, rules: Path, usual: Path) -> None:
    for file_format in ("jsonl", "parquet", "avro"):
        run_replay(tmp_path / file_format, usual, options=("--format", file_format))
        assert (
            main(["baseline", str(tmp_path / file_format), "-o", str(tmp_path / f"{file_format}.base"), "--quiet"]) == 0
        )
    made = {(tmp_path / f"{file_format}.base").read_bytes() for file_format in ("jsonl", "parquet", "avro")}
    assert len(made) == 1
    today = written(tmp_path / "today.ndjson", [("ws-3", "C:\\usual.exe"), ("ws-3", "C:\\new.exe")])
    options = ("--anomaly_rules", str(rules), "--baseline", str(tmp_path / "parquet.base"))
    (row,) = run_replay(tmp_path / "out", today, options=options)["anomalies"]
    assert (row["kind"], row["key"]["process_path"], row["value"]) == ("rare", "C:\\new.exe", 0)


def test_without_a_baseline_the_rule_does_not_run_and_says_so(
    tmp_path: Path, rules: Path, usual: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["replay", "--input", str(usual), "--output", str(tmp_path / "out"), "--anomaly_rules", str(rules)]
    assert main(argv) == 0
    assert "rule 'A Rare Program' does not run: it is judged against a baseline" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"{}\n", "is no baseline"), (b"PAR1", "is no baseline")]
)
def test_a_baseline_that_cannot_be_used_ends_the_run_before_it_begins(
    tmp_path: Path, rules: Path, usual: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    base = tmp_path / "base"
    if content is not None:
        base.write_bytes(content)
    argv = ["replay", "--input", str(usual), "--output", str(tmp_path / "out"), "--quiet", "--baseline", str(base)]
    assert main([*argv, "--anomaly_rules", str(rules)]) == 2
    error = capsys.readouterr().err
    assert str(base) in error
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_no_counts_is_refused_and_the_file_stays(
    tmp_path: Path, usual: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_replay(tmp_path / "out", usual)
    base = tmp_path / "base"
    base.write_text("as it was")
    assert main(["baseline", str(tmp_path / "out" / "sysmon_process_create"), "-o", str(base)]) == 2
    assert "holds rows that are no window_counts" in capsys.readouterr().err
    assert main(["baseline", str(tmp_path / "missing"), "-o", str(base)]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert base.read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
