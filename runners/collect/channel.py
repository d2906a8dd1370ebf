"""The pipe from a receiver to the collector: batches go up; the end of it going down means stop."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress

from huntbeam.runners.collect.batches import HEAD, Batch, pack, packed_size, unpack

HELD = 64 * 1024 * 1024  # bytes a receiver keeps for a collector that is busy
_READ = 1 << 20


class Outbox:
    """The receiver's end: batches that the pipe does not take yet are kept."""

    def __init__(self, pipe: socket.socket) -> None:
        self.pipe = pipe
        self.size = 0
        self._waiting: deque[memoryview] = deque()
        pipe.setblocking(False)

    @property
    def has_room(self) -> bool:
        """Whether more may be taken from the network."""
        return self.size < HELD

    def put(self, batch: Batch) -> None:
        """Sends a batch as far as the pipe takes it."""
        packed = memoryview(pack(batch))
        self._waiting.append(packed)
        self.size += len(packed)
        self.push()

    def push(self) -> None:
        """Goes on with what waits. Raises OSError when the collector is gone."""
        with suppress(BlockingIOError):
            while self._waiting:
                sent = self.pipe.send(self._waiting[0])
                self.size -= sent
                if sent == len(self._waiting[0]):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = self._waiting[0][sent:]

    def flush(self) -> None:
        """Sends everything that waits, and takes as long as that takes."""
        self.pipe.setblocking(True)
        self.push()


class Inbox:
    """The collector's end."""

    def __init__(self, pipe: socket.socket) -> None:
        self.pipe = pipe
        self.ended = False
        self._held = bytearray()
        pipe.setblocking(False)

    def take(self) -> list[Batch]:
        """The batches that are there, about a megabyte of them; `ended` says that no more will come."""
        try:
            data = self.pipe.recv(_READ)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        self.ended = not data
        self._held += data
        return list(self._complete())

    def stop(self) -> None:
        """Asks the receiver to bring what it has and to end."""
        with suppress(OSError):
            self.pipe.shutdown(socket.SHUT_WR)

    def _complete(self) -> list[Batch]:
        batches, at = [], 0
        with memoryview(self._held) as held:
            while len(held) - at >= HEAD.size:
                end = at + packed_size(self._held, at)
                if end > len(held):
                    break
                batches.append(unpack(held[at:end]))
                at = end
        del self._held[:at]
        return batches
