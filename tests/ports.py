"""Ports for servers that tests start, and who is connected to one."""

from __future__ import annotations

import socket
from pathlib import Path

_ESTABLISHED = "01"


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def connections(port: int) -> int:
    """How many connections a server on this machine has accepted at a port, by /proc."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/net", name).read_text().splitlines()[1:]]
    local = [address for _, address, _, state, *_ in rows if state == _ESTABLISHED]
    return sum(int(address.rpartition(":")[2], 16) == port for address in local)
