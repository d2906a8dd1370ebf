"""GeoIP files in gs://, on an emulator: the rows of local files, in replay, monster and stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from apache_beam.io.filesystems import FileSystems

from huntbeam.runners.cli import main
from huntbeam.runners.stack.stack import Stack
from huntbeam.runners.stack.state import answers
from huntbeam.runners.worker_pool import end
from tests import mmdb
from tests.conftest import Rows, read_rows, run_replay
from tests.e2e.jobs import SHORT, Feeder, eventually, make_topic, streaming
from tests.e2e.jobs import huntbeam as user
from tests.e2e.topics import received
from tests.events import CONNECT, CONNECT_DATA, CREATE, wlb7
from tests.monster import generator
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ADDRESSES = (mmdb.IN_SEOUL, mmdb.IN_BERLIN, mmdb.NOWHERE, "10.0.0.9")
EVENTS = [CREATE] + [
    CONNECT._replace(data=CONNECT_DATA | {"DestinationIp": address}, record_id=number)
    for number, address in enumerate(ADDRESSES)
]
LINES = [json.dumps(wlb7(event)).encode() for event in EVENTS]


@pytest.fixture
def places(bucket: str, tmp_path: Path) -> dict[str, tuple[str, ...]]:
    """The option for two files here, and in a folder of the bucket of its own: a process keeps what it fetched."""
    here = [mmdb.nested(tmp_path / "city.mmdb"), mmdb.flat(tmp_path / "more.mmdb")]
    there = [f"{bucket}/{uuid4().hex}/{Path(path).name}" for path in here]
    for path, to in zip(here, there, strict=True):
        with FileSystems.create(to, compression_type="uncompressed") as file:
            file.write(Path(path).read_bytes())
    return {
        name: tuple(word for path in paths for word in ("--geoip", path))
        for name, paths in (("here", here), ("there", there))
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "in.ndjson"
    path.write_bytes(b"\n".join(LINES))
    return path


def by_uid(rows: Rows) -> dict[str, dict[str, object]]:
    return {row["event_uid"]: row for row in rows}


def places_of(rows: Rows) -> dict[str, object]:
    return {row["dst_ip_addr"]: row.get("dst_geo") for row in rows}


def test_a_replay_gives_the_rows_of_local_files(
    places: dict[str, tuple[str, ...]], archive: Path, tmp_path: Path
) -> None:
    """As a user runs it, without credentials; no copy of a file stays behind."""
    local = run_replay(tmp_path / "local", archive, options=places["here"])
    assert places_of(local["sysmon_join"])[mmdb.IN_SEOUL] == mmdb.SEOUL_GEO
    (tmp_path / "temp").mkdir()
    command = [sys.executable, "-m", "huntbeam.runners.cli", "replay", "--quiet", "--workers", "2"]
    command += ["--input", str(archive), "--output", str(tmp_path / "out"), *places["there"]]
    environment = os.environ | {"NO_GCE_CHECK": "true", "TMPDIR": str(tmp_path / "temp")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: by_uid(read_rows(tmp_path / "out", name)) for name in local} == {
        name: by_uid(rows) for name, rows in local.items()
    }
    assert list((tmp_path / "temp").glob("huntbeam-*")) == []


def test_documents_of_monster_agent_are_those_of_local_files(
    places: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    made = [record.line.replace(b"203.0.113.10", mmdb.IN_SEOUL.encode()) for record in generator.records(208)]
    (tmp_path / "in.tsv").write_bytes(b"\n".join(made))
    found = {}
    for name, options in places.items():
        argv = ["monster", "--quiet", "--input", str(tmp_path / "in.tsv"), "--output", str(tmp_path / name)]
        assert main([*argv, *options]) == 0
        found[name] = by_uid(read_rows(tmp_path / name, "monster_events"))
    assert any(row.get("DestinationGeoip") == mmdb.SEOUL_GEO for row in found["here"].values())
    assert found["there"] == found["here"]


def test_a_stream_on_flink_says_the_same_in_a_pool_of_workers(
    places: dict[str, tuple[str, ...]], archive: Path, tmp_path: Path, stack: Stack
) -> None:
    wanted = places_of(run_replay(tmp_path / "local", archive, options=places["here"])["sysmon_join"])
    with (
        pool() as workers,
        streaming(stack.addresses(), *SHORT, *places["there"], "--worker_pool", workers) as (job, feeder),
    ):
        feeder.send(LINES)
        job.await_rows("sysmon_join", len(ADDRESSES))
        assert places_of(job.rows("sysmon_join")) == wanted


@pytest.mark.full
def test_a_stream_without_java_says_the_same(
    places: dict[str, tuple[str, ...]], archive: Path, tmp_path: Path, stack: Stack, kafka: str
) -> None:
    wanted = places_of(run_replay(tmp_path / "local", archive, options=places["here"])["sysmon_join"])
    prefix = f"g_{uuid4().hex[:8]}_"
    topic = make_topic(kafka, f"{prefix}in")
    Feeder(kafka, topic).send(LINES)
    user(
        stack.addresses(),
        "stream",
        "--on",
        "direct",
        "--input_topic",
        topic,
        "--topic_prefix",
        prefix,
        *places["there"],
    )
    rows = [json.loads(message.value() or b"") for message in received(kafka, f"{prefix}SYSMON_JOIN")]
    assert places_of(rows) == wanted


@contextmanager
def pool() -> Iterator[str]:
    """Workers that are asked for by a user whose bucket is the emulator's."""
    port = free_port()
    command = [sys.executable, "-m", "huntbeam.runners.cli", "workers", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"NO_GCE_CHECK": "true"})
    try:
        eventually(lambda: answers(port))
        yield f"127.0.0.1:{port}"
    finally:
        end(process)
