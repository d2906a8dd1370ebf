"""The image: the command line in it, a pool of workers in it, and what starts a worker the way Dataflow does."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from huntbeam.runners.stack.stack import Stack
from huntbeam.runners.stack.state import answers
from huntbeam.schemas import streams
from tests.conftest import ROOT, Rows, read_rows, run_replay
from tests.e2e.image import ENTRYPOINT, Image
from tests.e2e.jobs import QUICK, SHORT, eventually, streaming
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LOGS = ROOT / "samples" / "logs"
ONE = LOGS / "winlogbeat7.ndjson"


def test_it_is_nobodys_root_and_starts_the_command_line(image: Image) -> None:
    assert image.inspect("{{.OCIv1.Config.User}}") == "1000"
    assert image.inspect("{{.OCIv1.Config.Entrypoint}}") == f"[{ENTRYPOINT}]"
    with image.container() as container:
        assert container.run("id", "-u").strip() == "1000"
        assert container.run(ENTRYPOINT, "--version").startswith("huntbeam ")
        files = container.run("find", "/opt/huntbeam", "-path", "*huntbeam/tests*").split()
        assert files == []


def test_a_replay_in_it_gives_the_rows_of_one_outside(image: Image, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    output.chmod(0o777)  # whoever the image's user is here
    with image.container() as container:
        volumes = {LOGS: str(LOGS), output: "/out"}  # dead letters name their source
        container.run(ENTRYPOINT, "replay", "--input", str(LOGS), "--output", "/out/replay", "--quiet", volumes=volumes)
    outside = run_replay(tmp_path / "outside", LOGS)
    assert sorted(outside) == sorted(folder.name for folder in (output / "replay").iterdir() if folder.is_dir())
    for stream in outside:
        assert by_uid(read_rows(output / "replay", stream)) == by_uid(outside[stream])


def test_flinks_python_runs_in_its_pool(image: Image, stack: Stack, tmp_path: Path) -> None:
    wanted = {row["event_uid"] for row in run_replay(tmp_path / "out", ONE)[streams.JOIN]}
    port = free_port()
    with image.container() as container, container.running(ENTRYPOINT, "workers", "--port", str(port)) as pool:
        eventually(lambda: answers(port))
        with streaming(stack.addresses(), *SHORT, *QUICK, "--worker_pool", f"127.0.0.1:{port}") as (job, feeder):
            feeder.send(ONE.read_bytes().splitlines())
            job.await_rows(streams.JOIN, len(wanted))
            workers = [p for p in psutil.Process(pool.pid).children(recursive=True) if "SdkHarness" in str(p.cmdline())]
            assert workers
            assert all(Path(f"/proc/{worker.pid}/root").readlink() != Path("/") for worker in workers)


def test_a_runner_starts_its_workers_by_beams_starter(image: Image, stack: Stack, tmp_path: Path) -> None:
    """As Dataflow does it: the entry point is given --id, --provision_endpoint and the like."""
    wanted = {row["event_uid"] for row in run_replay(tmp_path / "out", ONE)[streams.JOIN]}
    with image.container() as container:
        start = tmp_path / "start"
        words = [*container.command(ENTRYPOINT), '"$@"']
        start.write_text(f"#!/bin/sh\nexport BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs\nexec {' '.join(words)}\n")
        start.chmod(0o755)
        process = ("--", "--environment_type=PROCESS", f"--environment_config={json.dumps({'command': str(start)})}")
        with streaming(stack.addresses(), *SHORT, *QUICK, *process) as (job, feeder):
            feeder.send(ONE.read_bytes().splitlines())
            job.await_rows(streams.JOIN, len(wanted))


def by_uid(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: (row["event_uid"], json.dumps(row, sort_keys=True, default=str)))
