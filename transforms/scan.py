"""Scan: reads spans and digests them, in worker processes of this machine or in the calling one. Beam-free.

A worker is this module run by the same interpreter: spans come in on its standard input, frames of msgpack go out on
its standard output. It starts in a tenth of a second, since it loads no Beam, and ends when its input does.
"""

from __future__ import annotations

import gc
import logging
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from queue import Full, Queue
from threading import Event, Lock, Thread
from typing import IO

import msgspec

from huntbeam.transforms.digest import Digested, Plan
from huntbeam.transforms.digests import AnyPlan, digest_of, lines_only
from huntbeam.transforms.read import STDIN, Span, read

ROWS = 2_000  # rows a frame at the most, so that neither side holds much
BYTES = 64 << 20  # bytes read a frame at the most, so that progress is seen
SMALL = 32 << 20  # below this much input a second process costs more than it brings
QUEUE = 64  # frames waiting to be taken

_LENGTH = struct.Struct("<Q")
_encode = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(Digested).decode


class Task(msgspec.Struct, frozen=True):
    """What a worker is asked to do. The plan, whose rules are some megabytes, comes with the first task alone."""

    span: Span
    plan: AnyPlan | None = None


class WorkerError(RuntimeError):
    """A worker process ended before its work did."""


def digest_span(span: Span, plan: AnyPlan) -> Iterator[Digested]:
    """One span, digested piece by piece."""
    digest = digest_of(plan)
    taken = 0
    for item in read(span, lines_only=lines_only(plan)):
        digest.feed(item, span.path, span.index)
        taken += item.consumed
        if digest.size() >= ROWS or taken >= BYTES:
            yield digest.take()
            taken = 0
    yield digest.take()


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
        self._tasks = iter(spans)
        self._lock = Lock()
        self._frames: Queue[bytes | BaseException | None] = Queue(QUEUE)
        self._stopped = Event()
        self._threads = [Thread(target=self._drive, daemon=True, name=f"scan-{n}") for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[Digested]:
        for digested in self._parallel() if self._threads else self._alone():
            if self._progress:
                self._progress(digested)
            yield digested

    def _alone(self) -> Iterator[Digested]:
        for span in self._spans:
            yield from digest_span(span, self._plan)

    def _parallel(self) -> Iterator[Digested]:
        running = len(self._threads)
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

    def _drive(self) -> None:
        """Feeds one worker and passes on its frames."""
        try:
            command = [sys.executable, "-m", "huntbeam.transforms.scan"]
            # A session of its own: Ctrl-C in a terminal is for the process that asked, which then ends its workers.
            with subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            ) as worker:
                try:
                    self._converse(worker)
                finally:
                    if self._stopped.is_set():
                        worker.kill()
            self._put(None)
        except BaseException as error:  # the iterating thread raises it
            self._put(error)

    def _converse(self, worker: subprocess.Popen[bytes]) -> None:
        assert worker.stdin is not None and worker.stdout is not None  # noqa: S101 - both are pipes
        plan: AnyPlan | None = self._plan
        while (span := self._next()) is not None:
            _send(worker.stdin, _encode(Task(span, plan)))
            plan = None
            while frame := _receive(worker.stdout):
                if not self._put(frame):
                    return
            if frame is None:
                raise WorkerError(
                    f"a reading process ended with exit code {worker.wait()} in {span.path}; "
                    "--workers 0 reads in one process, which takes less memory"
                )
        worker.stdin.close()

    def _next(self) -> Span | None:
        with self._lock:
            return None if self._stopped.is_set() else next(self._tasks, None)

    def _put(self, frame: bytes | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._frames.put(frame, timeout=0.2)
            except Full:
                continue
            return True
        return False


_prepared: dict[str, Scanner] = {}


def prepare(ticket: str, scanner: Scanner) -> None:
    """Leaves a scanner for a step of this process that will ask for it: reading begins while the graph is built."""
    _prepared[ticket] = scanner


def claim(ticket: str) -> Scanner:
    """The scanner left under a ticket, once."""
    return _prepared.pop(ticket)


def _send(pipe: IO[bytes], frame: bytes) -> None:
    pipe.write(_LENGTH.pack(len(frame)))
    pipe.write(frame)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    """A frame, empty at the end of a task; None when the other side is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(head)[0]
    frame = pipe.read(length)
    return frame if len(frame) == length else None


def work(requests: IO[bytes], answers: IO[bytes]) -> None:
    """A worker's life: a task in, its frames and an empty one out."""
    gc.disable()  # rows refer to nothing that refers back
    decode = msgspec.msgpack.Decoder(Task).decode
    plan: AnyPlan = Plan()
    while request := _receive(requests):
        task = decode(request)
        plan = task.plan or plan
        for digested in digest_span(task.span, plan):
            _send(answers, _encode(digested))
        _send(answers, b"")


if __name__ == "__main__":
    logging.disable()  # what goes wrong is said by the process that asked
    try:
        work(sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # the one who asked is gone, and with it any use for a message
