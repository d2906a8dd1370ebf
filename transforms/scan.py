"""Scan: reads spans and digests them, in worker processes of this machine or in the calling one. Beam-free."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Full, Queue
from threading import Event, Lock, Thread
from typing import IO

import msgspec

from huntbeam.transforms.digest import Digested
from huntbeam.transforms.digests import AnyPlan
from huntbeam.transforms.read import STDIN, Span
from huntbeam.transforms.scan_worker import Task, ask, digest_span, receive

SMALL = 32 << 20  # below this much input a second process costs more than it brings
QUEUE = 64  # frames waiting to be taken

_decode_frame = msgspec.msgpack.Decoder(Digested).decode


class WorkerError(RuntimeError):
    """A worker process ended before its work did."""


def workers_for(spans: Sequence[Span], wanted: int | None) -> int:
    """How many processes are worth it; 0 is the calling process alone."""
    if any(span.path == STDIN for span in spans):
        return 0
    if wanted is None:
        wanted = 0 if sum(span.size for span in spans) < SMALL else len(os.sched_getaffinity(0))
    return min(wanted, len(spans))


class Scanner:
    """Digests spans. With workers it begins at once and reads ahead, up to QUEUE frames, before anyone iterates."""

    def __init__(
        self, spans: Sequence[Span], plan: AnyPlan, workers: int, progress: Callable[[Digested], None] | None = None
    ) -> None:
        self._spans = spans
        self._plan = plan
        self._progress = progress
        self._unread = iter(spans)
        self._lock = Lock()
        self._frames: Queue[bytes | BaseException | None] = Queue(QUEUE)
        self._stopped = Event()
        self._workers = workers
        if workers:
            self._begin(self._lead)

    def __iter__(self) -> Iterator[Digested]:
        for digested in self._parallel() if self._workers else self._alone():
            if self._progress:
                self._progress(digested)
            yield digested

    def _alone(self) -> Iterator[Digested]:
        for span in self._spans:
            yield from digest_span(span, self._plan)

    def _parallel(self) -> Iterator[Digested]:
        running = self._workers
        while running:
            frame = self._frames.get()
            if frame is None:
                running -= 1
            elif isinstance(frame, BaseException):
                self.stop()
                raise frame
            else:
                yield _decode_frame(frame)

    def stop(self) -> None:
        """Ends the workers; what they have not read stays unread."""
        self._stopped.set()
        while not self._frames.empty():
            self._frames.get_nowait()

    def _begin(self, feed: Callable[..., None], *args: object) -> None:
        """Feeds a worker in a thread of its own; what goes wrong there the iterating thread raises."""

        def run() -> None:
            try:
                feed(*args)
                self._put(None)
            except BaseException as error:
                self._put(error)

        Thread(target=run, daemon=True, name="scan").start()

    def _lead(self) -> None:
        """Starts the first worker, which forks the others, and feeds it."""
        first = self._next(self._plan)
        pairs = [_pair() for _ in range(self._workers - 1)]
        ends = [theirs.fileno() for _, theirs in pairs]
        command = [sys.executable, "-m", "huntbeam.transforms.scan_worker", *map(str, ends)]
        # A session of its own: Ctrl-C in a terminal is for the process that asked, which then ends its workers.
        with subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=ends, start_new_session=True
        ) as worker:
            for ours, theirs in pairs:
                theirs.close()
                self._begin(self._follow, ours)
            assert worker.stdin is not None and worker.stdout is not None  # noqa: S101 - both are pipes
            try:
                self._converse(worker.stdin, worker.stdout, first)
            except WorkerError as error:
                raise WorkerError(f"{error} (exit code {worker.wait()})") from error
            finally:
                if self._stopped.is_set():
                    with suppress(ProcessLookupError):
                        os.killpg(worker.pid, signal.SIGKILL)

    def _follow(self, end: socket.socket) -> None:
        """Feeds a worker that is forked and has the plan then."""
        with end, end.makefile("wb") as requests, end.makefile("rb") as answers:
            self._converse(requests, answers, self._next())

    def _converse(self, requests: IO[bytes], answers: IO[bytes], task: Task | None) -> None:
        """Feeds one worker and passes on its frames."""
        while task is not None:
            try:
                ask(requests, task)
                while frame := receive(answers):
                    if not self._put(frame):
                        return
            except OSError:  # what was not written would be tried again when it is closed
                with suppress(OSError):
                    requests.close()
                frame = None
            if frame is None:
                raise WorkerError(
                    f"a reading process ended in {task.span.path}; "
                    "--workers 0 reads in one process, which takes less memory"
                )
            task = self._next()
        requests.close()

    def _next(self, plan: AnyPlan | None = None) -> Task | None:
        with self._lock:
            span = None if self._stopped.is_set() else next(self._unread, None)
        return None if span is None else Task(span, plan)

    def _put(self, frame: bytes | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._frames.put(frame, timeout=0.2)
            except Full:
                continue
            return True
        return False


def _pair() -> tuple[socket.socket, socket.socket]:
    """A socket for us, one for a worker. They wait, though Beam gives all sockets 60 s once it knows of a bucket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(True)
    theirs.setblocking(True)
    return ours, theirs


_prepared: dict[str, Scanner] = {}


def prepare(ticket: str, scanner: Scanner) -> None:
    """Leaves a scanner for a step of this process that will ask for it: reading begins while the graph is built."""
    _prepared[ticket] = scanner


def claim(ticket: str) -> Scanner:
    """The scanner left under a ticket, once."""
    return _prepared.pop(ticket)
