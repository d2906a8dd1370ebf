"""A reading process: spans come in on its standard input, frames of msgpack go out on its standard output. Beam-free.

It starts in a tenth of a second, since it loads no Beam, and ends when its input does. Where several are wanted the
first forks the others once it has met most kinds of events: what thousands of rules ask of each kind, a quarter of a
second of work and 60 MB, they have then.
"""

from __future__ import annotations

import gc
import logging
import os
import struct
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import msgspec

from huntbeam.transforms.digest import Digested, Plan
from huntbeam.transforms.digests import AnyPlan, digest_of, lines_only
from huntbeam.transforms.files import is_remote
from huntbeam.transforms.read import Span, read

ROWS = 2_000  # rows a frame at the most, so that neither side holds much
BYTES = 64 << 20  # bytes read a frame at the most, so that progress is seen
WARM = 16  # items of a reader, of a megabyte: what comes afterwards is mostly of kinds that came before

_LENGTH = struct.Struct("<Q")
_encode = msgspec.msgpack.Encoder().encode


class Task(msgspec.Struct, frozen=True):
    """What a worker is asked to do. The plan, whose rules are some megabytes, comes with the first task alone."""

    span: Span
    plan: AnyPlan | None = None


def digest_span(span: Span, plan: AnyPlan, warm: Callable[[], None] | None = None) -> Iterator[Digested]:
    """One span, digested piece by piece. `warm` is called between two items once most kinds of events have come."""
    digest = digest_of(plan)
    taken = 0
    for number, item in enumerate(read(span, lines_only=lines_only(plan))):
        if number == WARM and warm is not None:
            warm()
        digest.feed(item, span.path, span.index)
        taken += item.consumed
        if digest.size() >= ROWS or taken >= BYTES:
            yield digest.take()
            taken = 0
    yield digest.take()


def send(pipe: IO[bytes], frame: bytes) -> None:
    """Writes a frame. Raises OSError when the other side is gone."""
    pipe.write(_LENGTH.pack(len(frame)))
    pipe.write(frame)
    pipe.flush()


def ask(pipe: IO[bytes], task: Task) -> None:
    """Gives a worker its task."""
    send(pipe, _encode(task))


def receive(pipe: IO[bytes]) -> bytes | None:
    """A frame, empty at the end of a task; None when the other side is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(head)[0]
    frame = pipe.read(length)
    return frame if len(frame) == length else None


class Worker:
    """Its life: a task in, its frames and an empty one out. `others` are sockets, each for one worker to be forked."""

    def __init__(
        self, requests: IO[bytes], answers: IO[bytes], others: Sequence[int] = (), plan: AnyPlan | None = None
    ) -> None:
        self._requests = requests
        self._answers = answers
        self._others = list(others)
        self._plan = plan or Plan()
        self._children: list[int] = []

    def live(self) -> int:
        """Works until the requests end, and gives the exit code."""
        try:
            self._work()
            for child in self._children:
                os.waitpid(child, 0)
        except (ConnectionError, KeyboardInterrupt):
            return 1  # the one who asked is gone, and with it any use for a message
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def _work(self) -> None:
        decode = msgspec.msgpack.Decoder(Task).decode
        while request := receive(self._requests):
            task = decode(request)
            self._plan = task.plan or self._plan
            if is_remote(task.span.path):
                self._fork()  # before there is a connection, which two cannot share
            for digested in digest_span(task.span, self._plan, self._fork):
                send(self._answers, _encode(digested))
            self._fork()
            send(self._answers, b"")

    def _fork(self) -> None:
        while self._others:
            socket = self._others.pop()
            child = os.fork()
            if not child:
                os._exit(self._forked(socket).live())
            os.close(socket)
            self._children.append(child)

    def _forked(self, socket: int) -> Worker:
        """In the new process, where the ends of the other workers' pipes must not stay open."""
        for other in (self._requests.fileno(), self._answers.fileno(), *self._others):
            os.close(other)
        return Worker(open(socket, "rb", closefd=False), open(socket, "wb"), (), self._plan)


if __name__ == "__main__":
    logging.disable()  # what goes wrong is said by the process that asked
    gc.disable()  # rows refer to nothing that refers back
    os._exit(Worker(sys.stdin.buffer, sys.stdout.buffer, [int(one) for one in sys.argv[1:]]).live())
