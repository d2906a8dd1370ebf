"""Replay from and to gs://, on an emulator: the same rows as from and to local folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems

from huntbeam.runners.cli import main
from tests.conftest import ROOT, read_rows, run_replay

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("bucket")]

SAMPLE = ROOT / "samples" / "logs"


@pytest.fixture(autouse=True)
def logs(bucket: str) -> str:
    """The sample, in the bucket."""
    for path in SAMPLE.iterdir():
        with FileSystems.create(f"{bucket}/logs/{path.name}", compression_type="uncompressed") as file:
            file.write(path.read_bytes())
    return f"{bucket}/logs"


def download(folder: str, to: Path) -> Path:
    for file in FileSystems.match([f"{folder}/**"])[0].metadata_list:
        path = to / file.path.removeprefix(f"{folder}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileSystems.open(file.path, compression_type="uncompressed") as remote:
            path.write_bytes(remote.read())
    return to


def without_source(rows: list[dict[str, object]]) -> list[str]:
    return sorted(repr({k: v for k, v in row.items() if k != "source"}) for row in rows)


@pytest.mark.parametrize("pattern", ["logs", "logs/", "logs/*", "logs/winlogbeat?.ndjson*"])
def test_from_and_to_a_bucket(bucket: str, tmp_path: Path, pattern: str) -> None:
    names = "winlogbeat*" if "?" in pattern else "*"
    local = run_replay(tmp_path / "local", *sorted(SAMPLE.glob(names)))
    argv = ["replay", "--quiet", "--workers", "0", "--input", f"{bucket}/{pattern}", "--output", f"{bucket}/out"]
    assert main(argv) == 0
    remote = download(f"{bucket}/out", tmp_path / "remote")
    assert (remote / "_SUCCESS").is_file()
    for stream, rows in local.items():
        assert without_source(read_rows(remote, stream)) == without_source(rows), stream


def test_reading_processes_read_a_bucket(bucket: str, tmp_path: Path) -> None:
    """As a user runs it, without credentials."""
    local = run_replay(tmp_path / "local", SAMPLE)
    command = [sys.executable, "-m", "huntbeam.runners.cli", "replay", "--quiet", "--workers", "2"]
    command += ["--input", f"{bucket}/logs", "--output", str(tmp_path / "out")]
    done = subprocess.run(
        command, env=os.environ | {"NO_GCE_CHECK": "true"}, capture_output=True, text=True, timeout=150
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert without_source(read_rows(tmp_path / "out", "sysmon_join")) == without_source(local["sysmon_join"])


def test_a_bucket_that_is_missing_is_one_sentence(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for pattern in ("gs://no-such-bucket/logs", f"{bucket}/nothing/*"):
        assert main(["replay", "--quiet", "--input", pattern, "--output", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert pattern in said[0]
    assert not (tmp_path / "out").exists()
