"""Rules in gs://, on an emulator: the same rule set as from local files."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from apache_beam.io.filesystems import FileSystems

from huntbeam.runners.cli import main
from huntbeam.transforms.sigma.cache import compiled
from huntbeam.transforms.sigma.documents import documents
from huntbeam.transforms.sigma.plan import RuleError
from huntbeam.transforms.sigma.rule_files import Limits, stamp
from tests.conftest import ROOT, read_rows, run_replay
from tests.transforms.sigma.rules import rule

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("bucket")]

SAMPLE = ROOT / "samples" / "logs"
FILES = {
    "rules/a.yml": rule({"Image|endswith": ".exe"}, {"product": "windows", "category": "process_creation"}),
    "rules/deep/b.yaml": rule({"User|expand": "%who%"}, {"product": "windows", "category": "process_creation"}),
    "rules/readme.md": "no rule",
}
PIPELINE = "vars: {who: ['*']}"


def put(path: str, content: bytes) -> None:
    with FileSystems.create(path, compression_type="uncompressed") as file:
        file.write(content)


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue())


@pytest.fixture(autouse=True)
def files(bucket: str, tmp_path: Path) -> dict[str, bytes]:
    """The rules in a local folder and in the bucket, there also as archives."""
    found = {name: yaml.safe_dump(one).encode() for name, one in FILES.items()}
    for name, content in found.items():
        put(f"{bucket}/{name}", content)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    put(f"{bucket}/rules.zip", zipped(found))
    put(f"{bucket}/rules.tar.gz", tarred(found))
    put(f"{bucket}/who.yml", PIPELINE.encode())
    (tmp_path / "who.yml").write_text(PIPELINE)
    return found


@pytest.mark.parametrize("name", ["rules", "rules/", "rules.zip", "rules.tar.gz", "rules/*.y*ml"])
def test_rules_of_a_bucket_are_those_of_a_folder(bucket: str, tmp_path: Path, name: str) -> None:
    local = compiled([tmp_path / "rules"], [tmp_path / "who.yml"])
    remote = compiled([f"{bucket}/{name}"], [f"{bucket}/who.yml"])
    deep = [] if "*" in name else [f"{bucket}/rules/deep/b.yaml"]
    assert len(remote.rules) == (2 if deep else 1)
    assert all(one.file.startswith(bucket) for one in remote.rules)
    if deep:
        assert remote.digest == local.digest


@pytest.mark.full
def test_a_replay_with_rules_and_values_of_a_bucket(bucket: str, tmp_path: Path) -> None:
    """As a user runs it, without credentials; reading processes do the matching."""
    options = ("--rules", str(tmp_path / "rules"), "--pipeline", str(tmp_path / "who.yml"))
    local = run_replay(tmp_path / "local", SAMPLE, options=options)["alerts"]
    assert {row["rule_id"] for row in local} == {one["id"] for one in FILES.values() if isinstance(one, dict)}
    command = [sys.executable, "-m", "huntbeam.runners.cli", "replay", "--quiet", "--workers", "2", "--input"]
    command += [str(SAMPLE), "--output", str(tmp_path / "out"), "--rules", f"{bucket}/rules"]
    command += ["--pipeline", f"{bucket}/who.yml", "--rule_cache", str(tmp_path / "cache")]
    done = subprocess.run(
        command, env=os.environ | {"NO_GCE_CHECK": "true"}, capture_output=True, text=True, timeout=150
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(map(json.dumps, read_rows(tmp_path / "out", "alerts"))) == sorted(map(json.dumps, local))


def test_rules_check_reads_a_bucket(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "check", f"{bucket}/rules", "--pipeline", f"{bucket}/who.yml"]) == 0
    assert "2 rules run, 0 correlations, 0 cannot run" in capsys.readouterr().out


def test_what_is_not_there_is_one_sentence(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for missing in ("gs://no-such-bucket/rules", f"{bucket}/nothing", f"{bucket}/nothing.zip"):
        for argv in (
            ["rules", "check", missing],
            ["rules", "check", f"{bucket}/rules", "--pipeline", missing],
            ["replay", "--quiet", "--input", str(SAMPLE), "--output", str(tmp_path / "out"), "--rules", missing],
        ):
            assert main(argv) == 2
            (said,) = capsys.readouterr().err.splitlines()
            assert missing in said
    assert not (tmp_path / "out").exists()


def test_sizes_are_bounded_as_those_of_local_files(bucket: str, tmp_path: Path) -> None:
    put(f"{bucket}/big.yml", b"#" * 200)
    put(f"{bucket}/torn.zip", b"PK\x03\x04")
    small = Limits(file_bytes=100, archive_bytes=100)
    for name, reason in (
        ("big.yml", "larger than 100 bytes"),
        ("rules.zip", "larger than 100 bytes"),
        ("torn.zip", "cannot be read"),
    ):
        (error,) = documents([f"{bucket}/{name}"], small)
        assert isinstance(error, RuleError)
        assert reason in error.reason


def test_a_change_in_a_bucket_is_seen(bucket: str, files: dict[str, bytes]) -> None:
    before = stamp([f"{bucket}/rules"])
    assert stamp([f"{bucket}/rules"]) == before
    put(f"{bucket}/rules/readme.md", b"still no rule")
    assert stamp([f"{bucket}/rules"]) == before
    put(f"{bucket}/rules/c.yml", files["rules/a.yml"])
    assert stamp([f"{bucket}/rules"]) != before


ANOMALIES = """\
kind: threshold
id: 7b0f6a0e-0f0b-4f0e-8f55-0c5f2d1d0a02
name: Busy Host
severity: low
counter: connects_by_host
above: 1
"""
COUNTERS = """\
[[counter]]
name = "connects_by_host"
event_id = 3
key = ["host"]
"""


def test_counters_and_anomaly_rules_of_a_bucket(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(ANOMALIES)
    (tmp_path / "counters.toml").write_text(COUNTERS)
    for name in ("rules.yml", "counters.toml"):
        put(f"{bucket}/{name}", (tmp_path / name).read_bytes())
    found = []
    for place in (str(tmp_path), bucket):
        options = ("--anomaly_rules", f"{place}/rules.yml", "--counters", f"{place}/counters.toml")
        found.append(run_replay(tmp_path / f"out{len(found)}", SAMPLE, options=options)["anomalies"])
    assert found[0]
    assert sorted(map(repr, found[0])) == sorted(map(repr, found[1]))


@pytest.mark.parametrize("option", ["--counters", "--anomaly_rules", "--baseline", "--rules"])
def test_what_is_not_in_the_bucket_is_one_sentence(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    argv = ["replay", "--quiet", "--input", str(SAMPLE), "--output", str(tmp_path / "out")]
    more = ["--anomaly_rules", "builtin:"] if option == "--baseline" else []
    assert main([*argv, *more, option, f"{bucket}/nothing.yml"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{bucket}/nothing.yml" in said
