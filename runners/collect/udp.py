"""The process that takes datagrams. It does nearly nothing, so that the kernel's buffer never fills up.

`python -m huntbeam.runners.collect.udp PIPE SOCKET` with two inherited descriptors.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from array import array
from contextlib import suppress

from huntbeam.runners.collect.batches import DATAGRAM, FULL, MOST, Batch
from huntbeam.runners.collect.channel import Outbox

LINGER = 0.005  # seconds: at 20,000 datagrams a second each waking up finds a hundred
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not bound to
_DISCARD = 9  # a port


def drain(source: socket.socket, buffer: memoryview) -> Batch:
    """The datagrams that are there, up to FULL bytes or MOST. `buffer` has room for FULL + DATAGRAM bytes."""
    lengths: array[int] = array("I")
    receive, note = source.recv_into, lengths.append
    at = 0
    try:
        while at < FULL and len(lengths) < MOST:
            length = receive(buffer[at:])
            note(length)
            at += length
    except BlockingIOError:
        pass
    return Batch(lengths, bytes(buffer[:at]))


def run(pipe: socket.socket, source: socket.socket) -> None:
    """Takes datagrams until the collector ends the pipe; then what the kernel holds, and no more."""
    source.setblocking(False)
    outbox, buffer = Outbox(pipe), memoryview(bytearray(FULL + DATAGRAM))
    poll = select.poll()
    while True:
        poll.register(pipe, select.POLLIN | (select.POLLOUT if outbox.size else 0))
        poll.register(source, select.POLLIN if outbox.has_room else 0)
        ready = dict(poll.poll())
        if ready.get(pipe.fileno(), 0) & ~select.POLLOUT:
            break
        outbox.push()
        if source.fileno() in ready:
            time.sleep(LINGER)
            _take(source, buffer, outbox)
    _shut(source)
    while _take(source, buffer, outbox):
        outbox.flush()
    outbox.flush()


def _take(source: socket.socket, buffer: memoryview, outbox: Outbox) -> bool:
    """Takes what is there; whether there may be more, for which the outbox has no room."""
    while outbox.has_room:
        batch = drain(source, buffer)
        if not batch.lengths:
            return False
        outbox.put(batch)
    return True


def _shut(source: socket.socket) -> None:
    """From now on the kernel refuses datagrams, and the senders are told; what it holds can still be read.

    A connected socket takes datagrams of its peer alone, and nobody sends from this one.
    """
    host = source.getsockname()[0]
    with suppress(OSError):
        source.connect((_LOOPBACK.get(host, host), _DISCARD))


if __name__ == "__main__":
    with suppress(ConnectionError):  # the collector is gone
        run(*(socket.socket(fileno=int(number)) for number in sys.argv[1:3]))
