"""The process that takes records by TCP: many connections, each with bounded memory, none waits for another.

`python -m huntbeam.runners.collect.tcp PIPE SOCKET SETTINGS` with two inherited descriptors and TcpSettings as JSON.
While the collector takes nothing, connections are not read: TCP then holds the senders back, and nothing is lost.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from contextlib import suppress

import msgspec

from huntbeam.runners.collect.batches import FULL, Kind, batch_of, batches_of
from huntbeam.runners.collect.channel import Outbox
from huntbeam.transforms.syslog import Framer, Framing

LINGER = 0.005  # seconds in which more comes, so that a turn is worth its while
READ = 256 * 1024  # bytes of one connection a turn: then it is the next one's turn
_ACCEPTED = 128  # connections a turn; as many as wait in the kernel
_END = 5.0  # seconds for what the kernel holds: who goes on sending does not keep the end waiting
_TURN = 1.0  # seconds without anything


class TcpSettings(msgspec.Struct, frozen=True):
    """What is asked of connections."""

    line_bytes: int
    framing: Framing
    connections: int
    idle: float  # seconds


class TcpCounts(msgspec.Struct):
    """What became of connections."""

    open: int = 0
    accepted: int = 0
    refused: int = 0  # there were as many as allowed
    idle_closed: int = 0
    cut: int = 0  # records longer than allowed


class _Connection:
    def __init__(self, source: socket.socket, settings: TcpSettings) -> None:
        self.source = source
        self.framer = Framer(settings.line_bytes, settings.framing)
        self.heard = time.monotonic()


class _Server:
    def __init__(self, pipe: socket.socket, listener: socket.socket, settings: TcpSettings) -> None:
        self._settings = settings
        self._listener = listener
        self._outbox = Outbox(pipe)
        self._pipe = pipe
        self._counts, self._told = TcpCounts(), TcpCounts()
        self._connections: dict[int, _Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._records: list[bytes] = []
        self._size = 0
        self._reading = True
        listener.setblocking(False)

    def run(self) -> None:
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        swept = time.monotonic()
        while self._turn():
            if time.monotonic() - swept >= _TURN:
                swept = time.monotonic()
                self._sweep()
        self._end()

    def _turn(self) -> bool:
        """What is to be done now; False when the collector ended the pipe."""
        writing = selectors.EVENT_WRITE if self._outbox.size else 0
        self._selector.modify(self._pipe, selectors.EVENT_READ | writing)
        ready = self._selector.select(_TURN)
        for key, events in ready:
            if key.fileobj is self._pipe:
                if events & selectors.EVENT_READ:
                    return False
                self._outbox.push()
            elif key.fileobj is self._listener:
                self._accept()
            elif self._outbox.has_room:
                self._read(self._connections[key.fd])
        self._forward()
        self._hold_back()
        if self._reading and ready:
            time.sleep(LINGER)
        return True

    def _hold_back(self) -> None:
        """Connections are looked at only while there is room for what they bring."""
        if self._reading == self._outbox.has_room:
            return
        self._reading = self._outbox.has_room
        for connection in self._connections.values():
            if self._reading:
                connection.heard = time.monotonic()  # it was not asked meanwhile
                self._selector.register(connection.source, selectors.EVENT_READ)
            else:
                self._selector.unregister(connection.source)

    def _accept(self) -> None:
        with suppress(OSError):  # nobody waits, or there are no descriptors left: then they wait in the kernel's queue
            for _ in range(_ACCEPTED):
                self._welcome(self._listener.accept()[0])

    def _welcome(self, source: socket.socket) -> None:
        if len(self._connections) >= self._settings.connections:
            self._counts.refused += 1
            source.close()
            return
        self._counts.accepted += 1
        source.setblocking(False)
        self._connections[source.fileno()] = _Connection(source, self._settings)
        if self._reading:
            self._selector.register(source, selectors.EVENT_READ)

    def _read(self, connection: _Connection) -> bool:
        """One turn of a connection; whether there may be more."""
        try:
            data = connection.source.recv(READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return False
        connection.heard = time.monotonic()
        self._add(connection.framer.feed(data))
        return True

    def _add(self, records: list[bytes]) -> None:
        self._records += records
        self._size += sum(map(len, records))
        if self._size >= FULL:
            self._forward()

    def _forward(self) -> None:
        for batch in batches_of(self._records):
            self._outbox.put(batch)
        self._records, self._size = [], 0

    def _close(self, connection: _Connection) -> None:
        self._add(connection.framer.finish())
        self._counts.cut += connection.framer.cut
        del self._connections[connection.source.fileno()]
        with suppress(KeyError):
            self._selector.unregister(connection.source)
        connection.source.close()

    def _sweep(self) -> None:
        """Closes what has been silent for too long, and tells the counts."""
        late = time.monotonic() - self._settings.idle
        for connection in list(self._connections.values()):
            if self._reading and connection.heard < late:
                self._counts.idle_closed += 1
                self._close(connection)
        self._forward()
        self._tell()

    def _tell(self) -> None:
        cut = sum(connection.framer.cut for connection in self._connections.values())
        counts = msgspec.structs.replace(self._counts, open=len(self._connections), cut=self._counts.cut + cut)
        if counts != self._told:
            self._told = counts
            self._outbox.put(batch_of([msgspec.json.encode(counts)], Kind.COUNTS))

    def _end(self) -> None:
        """No new connections; of the others what the kernel holds now, and the parts of records that came."""
        until = time.monotonic() + _END
        self._accept()
        self._listener.close()
        for connection in list(self._connections.values()):
            while time.monotonic() < until and self._read(connection):
                self._forward()
                self._outbox.flush()
            if connection.source.fileno() >= 0:
                self._close(connection)
        self._forward()
        self._tell()
        self._outbox.flush()


def run(pipe: socket.socket, listener: socket.socket, settings: TcpSettings) -> None:
    """Takes records until the collector ends the pipe."""
    _Server(pipe, listener, settings).run()


if __name__ == "__main__":
    _pipe, _listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    with suppress(ConnectionError):  # the collector is gone
        run(_pipe, _listener, msgspec.json.decode(sys.argv[3], type=TcpSettings))
