"""The receivers' processes: each has its socket, and a pipe to the collector."""

from __future__ import annotations

import socket
import subprocess
import sys

import msgspec

from huntbeam.runners.collect.channel import Inbox
from huntbeam.runners.collect.tcp import TcpSettings

_PATIENCE = 10.0  # seconds for one that has nothing left to do
_PIPE = 4 * 1024 * 1024  # bytes; the kernel gives what it allows


class Receiver:
    """A running receiver. The socket stays open here, too: its drops can be read, and nothing that waits is lost."""

    def __init__(self, name: str, bound: socket.socket, *settings: str) -> None:
        self.name = name
        self.bound = bound
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIPE)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE)
        self.inbox = Inbox(ours)
        with theirs:
            fds = (theirs.fileno(), bound.fileno())
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", f"huntbeam.runners.collect.{name}", *map(str, fds), *settings],
                pass_fds=fds,
                start_new_session=True,  # a terminal's Ctrl-C is the collector's to hear
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def close(self) -> None:
        """Ends it, if it has not ended by itself, and closes its sockets."""
        self.inbox.pipe.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.bound.close()


def udp_receiver(bound: socket.socket) -> Receiver:
    """Takes datagrams."""
    return Receiver("udp", bound)


def tcp_receiver(bound: socket.socket, settings: TcpSettings) -> Receiver:
    """Takes connections."""
    return Receiver("tcp", bound, msgspec.json.encode(settings).decode())
