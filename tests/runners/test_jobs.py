"""`huntbeam jobs` without a Flink: what it is asked for, and checkpoints that are found without it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.flink_rest import FlinkRest, FlinkUnusable, UnknownJob
from huntbeam.runners.retained import last_checkpoint, local_folder, retained

OLD, NEW, OTHER = "0c8bf4c3" * 4, "0c8b0000" * 4, "ffff0000" * 4


class Flink(ThreadingHTTPServer):
    """Answers of Flink's REST interface, by path; what was posted."""

    answers: dict[str, Any]
    posted: list[tuple[str, Any]]


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Flink)
        found = self.server.answers.get(self.path)
        self.send_response(404 if found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def do_POST(self) -> None:
        assert isinstance(self.server, Flink)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, json.loads(body)))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def flink() -> Iterator[Flink]:
    """A Flink that knows one job, and says nothing of its checkpoints' folder."""
    job = {"jid": OTHER, "name": "huntbeam-stream", "state": "RUNNING", "start-time": 1}
    last = {"external_path": f"file:/c/{OTHER}/chk-3", "latest_ack_timestamp": 5}
    with Flink(("127.0.0.1", 0), Answer) as server:
        server.answers = {
            "/jobs/overview": {"jobs": [job]},
            f"/jobs/{OTHER}/checkpoints": {"latest": {"completed": last}, "counts": {"completed": 3}},
            "/jobmanager/config": [{"key": "rest.port", "value": "1"}],
        }
        server.posted = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(flink: Flink) -> str:
    return f"http://127.0.0.1:{flink.server_address[1]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints of two jobs: OLD's last whole one is chk-10, written at 1,000 s; NEW's is chk-2, at 2,000 s."""
    made = tmp_path / "checkpoints"
    for jid, number, written in ((OLD, 9, 3_000), (OLD, 10, 1_000), (OLD, 11, None), (NEW, 2, 2_000)):
        checkpoint = made / jid / f"chk-{number}"
        checkpoint.mkdir(parents=True)
        if written is None:  # Flink was killed while it wrote
            (checkpoint / "._metadata.inprogress.1").touch()
        else:
            (checkpoint / "_metadata").touch()
            os.utime(checkpoint / "_metadata", (written, written))
    (made / OLD / "shared").mkdir()
    (made / OLD / "chk-x").mkdir()
    (made / OLD / "chk-x" / "_metadata").touch()
    (made / OTHER).mkdir()
    (made / "no-job" / "chk-1").mkdir(parents=True)
    (made / "no-job" / "chk-1" / "_metadata").touch()
    return made


class TestFolder:
    def test_the_highest_number_that_is_whole_counts(self, folder: Path) -> None:
        assert [(one.jid, one.folder.name, one.completed) for one in retained(folder)] == [
            (NEW, "chk-2", 2_000),
            (OLD, "chk-10", 1_000),
        ]

    @pytest.mark.parametrize("named", [OLD, OLD[:5]])
    def test_a_job_by_its_id_or_the_beginning_of_it(self, folder: Path, named: str) -> None:
        assert last_checkpoint(str(folder), named).folder == folder / OLD / "chk-10"

    def test_a_beginning_of_several(self, folder: Path) -> None:
        with pytest.raises(
            FlinkUnusable, match=f"several jobs .* begins with 0c8b: .*{NEW} .1970-01-01T00:33:20Z., {OLD}"
        ):
            last_checkpoint(folder.as_uri(), "0c8b")

    @pytest.mark.parametrize("named", [OTHER, "huntbeam-stream", ""])
    def test_of_none_the_jobs_that_are_there_are_named(self, folder: Path, named: str) -> None:
        with pytest.raises(FlinkUnusable, match=f"no job with a checkpoint in .*{NEW} .*{OLD}"):
            last_checkpoint(str(folder), named)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FlinkUnusable, match="check its id, or give another folder with --checkpoints"):
            last_checkpoint(str(tmp_path), OLD)

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FlinkUnusable, match=r"there is no folder .*/nowhere: give .*--checkpoints"):
            last_checkpoint(str(tmp_path / "nowhere"), OLD)

    def test_paths_and_uris(self, tmp_path: Path) -> None:
        assert local_folder(str(tmp_path)) == tmp_path
        assert local_folder((tmp_path / "a b").as_uri()) == tmp_path / "a b"
        assert local_folder(f"file:{tmp_path}") == tmp_path  # as Flink writes it itself
        with pytest.raises(FlinkUnusable, match="s3://bucket/c cannot be looked into from here: give --savepoint"):
            local_folder("s3://bucket/c")


class TestCommand:
    def test_flink_is_asked_first(self, flink: Flink, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "checkpoint", "huntbeam-stream", "--flink_rest", url(flink)]) == 0
        assert capsys.readouterr().out == f"file:/c/{OTHER}/chk-3\n"

    @pytest.mark.parametrize("key", ["state.checkpoints.dir", "execution.checkpointing.dir"])
    def test_a_job_that_it_has_forgotten(
        self, flink: Flink, folder: Path, key: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        flink.answers["/jobmanager/config"].append({"key": key, "value": folder.as_uri()})
        assert main(["jobs", "checkpoint", OLD[:8], "--flink_rest", url(flink)]) == 0
        said = capsys.readouterr()
        assert said.out == f"{(folder / OLD / 'chk-10').as_uri()}\n"
        assert said.err == (
            f"huntbeam: Flink has forgotten the job {OLD}; its last checkpoint is of 1970-01-01T00:16:40Z\n"
        )

    def test_a_job_that_nobody_knows(self, flink: Flink, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "checkpoint", "other", "--flink_rest", url(flink)]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert "Flink knows no job called other: `huntbeam jobs list` shows" in said.err
        with pytest.raises(UnknownJob):
            FlinkRest(url(flink)).find(OLD)

    def test_a_folder_is_looked_into_without_flink(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        argv = ["jobs", "checkpoint", NEW, "--flink_rest", "http://127.0.0.1:1", "--checkpoints", str(folder)]
        assert main(argv) == 0
        assert capsys.readouterr().out == f"{(folder / NEW / 'chk-2').as_uri()}\n"

    def test_several_of_a_name(self, flink: Flink, capsys: pytest.CaptureFixture[str]) -> None:
        jobs = flink.answers["/jobs/overview"]["jobs"]
        jobs.append(jobs[0] | {"jid": OLD})
        assert main(["jobs", "checkpoint", "huntbeam-stream", "--flink_rest", url(flink)]) == 2
        assert (
            "several jobs are called huntbeam-stream: `huntbeam jobs list` shows their ids" in capsys.readouterr().err
        )


class TestStop:
    @pytest.mark.parametrize("folder", [None, "/savepoints"])
    def test_the_savepoint_is_made_while_the_sources_run(
        self, flink: Flink, folder: str | None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (job,) = flink.answers["/jobs/overview"]["jobs"]
        made = {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/savepoints/savepoint-ffff00-1"}}
        flink.answers[f"/jobs/{OTHER}/savepoints"] = {"request-id": "a1"}
        flink.answers[f"/jobs/{OTHER}/savepoints/a1"] = made
        ended = threading.Timer(0.5, lambda: job.update(state="CANCELED"))  # a moment after its savepoint
        ended.start()
        where = [] if folder is None else ["--savepoint", folder]
        assert main(["jobs", "stop", "huntbeam-stream", *where, "--flink_rest", url(flink)]) == 0
        assert job["state"] == "CANCELED"
        assert capsys.readouterr().out == "file:/savepoints/savepoint-ffff00-1\n"
        asked = {"cancel-job": True} | ({} if folder is None else {"target-directory": folder})
        assert flink.posted == [(f"/jobs/{OTHER}/savepoints", asked)]
        ended.join()
