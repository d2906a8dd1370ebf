"""Buckets and objects that are not there or not to be seen: one sentence and exit code 2, whatever the option."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from huntbeam.runners.cli import main
from tests.conftest import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("bucket")]

SAMPLE = ROOT / "samples" / "logs"
OPTIONS = ("--input", "--output", "--rules", "--pipeline", "--counters", "--anomaly_rules", "--baseline", "--geoip")


class _Forbids(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        """As Google's storage refuses."""
        body = b'{"error": {"code": 403, "message": "hunter does not have storage.objects.get access"}}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names of its base

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture
def forbidden(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket that no one may look into."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forbids)
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield "gs://forbidden"
    server.shutdown()
    thread.join()
    server.server_close()


def refusal(capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, place: str) -> str:
    needs = {"--baseline": ["--anomaly_rules", "builtin:"], "--pipeline": ["--rules", "builtin:"]}
    argv = {"--input": str(SAMPLE), "--output": str(tmp_path / "out")} | {option: place}
    words = [word for pair in argv.items() for word in pair]
    assert main(["replay", "--quiet", *needs.get(option, []), *words]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert not (tmp_path / "out").exists()
    return said


@pytest.mark.parametrize("option", OPTIONS)
def test_a_bucket_that_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str) -> None:
    assert "gs://no-such-bucket/a" in refusal(capsys, tmp_path, option, "gs://no-such-bucket/a")


@pytest.mark.parametrize("option", [one for one in OPTIONS if one != "--output"])
def test_an_object_that_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, bucket: str, option: str
) -> None:
    assert f"{bucket}/nothing" in refusal(capsys, tmp_path, option, f"{bucket}/nothing")


@pytest.mark.parametrize("option", OPTIONS)
def test_a_bucket_that_is_forbidden(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, forbidden: str, option: str
) -> None:
    said = refusal(capsys, tmp_path, option, f"{forbidden}/a")
    assert f"{forbidden}/a" in said
    assert "Forbidden" in said or "403" in said
