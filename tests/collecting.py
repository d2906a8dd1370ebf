"""A running `huntbeam collect` for tests: its process, what it counts, and ways to send to it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.ports import free_port

PATIENCE = 60.0  # seconds; a busy machine is no bug


class Collector:
    """The process, and its status file."""

    def __init__(self, process: subprocess.Popen[str], port: int, status: Path) -> None:
        self.process, self.port, self._status = process, port, status

    @property
    def counts(self) -> dict[str, int]:
        """What it counts; empty before it listens."""
        with suppress(FileNotFoundError):
            found: dict[str, int] = json.loads(self._status.read_text())
            return found
        return {}

    def until(self, **wanted: int) -> None:
        """Waits until it counts this."""
        self.until_so(lambda: wanted.items() <= self.counts.items())

    def until_so(self, is_so: Callable[[], bool]) -> None:
        """Waits until it is so."""
        until = time.monotonic() + PATIENCE
        while not is_so():
            assert self.process.poll() is None, "it has ended"
            assert time.monotonic() < until, self.counts
            time.sleep(0.05)

    def datagrams(self, *sent: bytes) -> None:
        """Sends datagrams."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
            for datagram in sent:
                to.sendto(datagram, ("127.0.0.1", self.port))

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Asks it to stop and gives what it said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, said
        return said


@contextmanager
def collecting(kafka: str, folder: Path, *more: str) -> Iterator[Collector]:
    """A collector that listens; its spool is `folder`/spool, and it does not outlive the test."""
    port, status = free_port(), folder / "status.json"
    status.unlink(missing_ok=True)
    argv = ["collect", "--syslog", str(port), "--spool", str(folder / "spool"), "--status", str(status)]
    process = subprocess.Popen(
        [sys.executable, "-m", "huntbeam.runners.cli", *argv, "--bootstrap_servers", kafka, *more],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            collector = Collector(process, port, status)
            collector.until_so(lambda: bool(collector.counts))
            yield collector
        finally:
            process.kill()
