"""The sockets that syslog comes to, their buffers, and what the kernel dropped."""

from __future__ import annotations

import ipaddress
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from huntbeam.pipelines.options import OptionError

_SO_RCVBUFFORCE = 33  # Linux; beyond the limit, for who may administer the network
_BACKLOG = 128
_INODE, _DROPS = 9, -1  # columns of /proc/net/udp


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def parse_address(option: str, text: str) -> Address:
    """The address of HOST:PORT, [IPV6]:PORT, or PORT on loopback; HOST is an address of this machine.

    Raises OptionError.
    """
    host, _, port = text.rpartition(":")
    host = {"": "127.0.0.1", "localhost": "127.0.0.1"}.get(host, host.removeprefix("[").removesuffix("]"))
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise OptionError(f"{option} {text}: write HOST:PORT, such as 127.0.0.1:1514, with a port from 1 to 65535")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise OptionError(
            f"{option} {text}: {host} is no IP address; write one of this machine's, such as 127.0.0.1"
        ) from None
    return Address(host, int(port))


def bind_udp(address: Address, buffer_bytes: int) -> socket.socket:
    """A bound socket whose receive buffer is as large as allowed, up to `buffer_bytes`. Raises OptionError."""
    bound = _bound(address, socket.SOCK_DGRAM)
    for name in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        with suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, name, buffer_bytes)
            break
    return bound


def bind_tcp(address: Address) -> socket.socket:
    """A socket that listens. Raises OptionError."""
    bound = _bound(address, socket.SOCK_STREAM)
    bound.listen(_BACKLOG)
    return bound


def _bound(address: Address, kind: socket.SocketKind) -> socket.socket:
    made = socket.socket(address.family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a run before may linger
        made.bind((address.host, address.port))
    except OSError as error:
        made.close()
        remedy = "ports below 1024 need a right" if isinstance(error, PermissionError) else "is another program on it?"
        raise OptionError(
            f"--syslog {address} cannot be listened on ({error.strerror}): {remedy}; choose another"
        ) from error
    return made


def receive_buffer(bound: socket.socket) -> int:
    """Bytes of a socket's receive buffer, as asked for; the kernel counts twice as many, with its own."""
    return bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def buffer_notice(given: int, wanted: int) -> str | None:
    """What to say when the kernel gives less than was asked for."""
    if given >= wanted:
        return None
    return (
        f"the kernel gives a receive buffer of {given:,} bytes, not {wanted:,}: bursts may be dropped (and counted); "
        f"`sysctl -w net.core.rmem_max={wanted}` allows it"
    )


def kernel_drops(bound: socket.socket) -> int | None:
    """Datagrams that the kernel dropped at this socket since it is there; None where it does not say."""
    name = "udp6" if bound.family == socket.AF_INET6 else "udp"
    try:
        table = Path("/proc/net", name).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return drops_of(table, os.fstat(bound.fileno()).st_ino)


def drops_of(table: str, inode: int) -> int | None:
    """The drops of the socket with an inode, of the text of /proc/net/udp.

    >>> drops_of("sl ...\\n 5: 0100007F:05EA 00000000:0000 07 00:00 00:00 00 0 0 77 2 0000 12\\n", 77)
    12
    """
    wanted = str(inode)
    for row in table.splitlines()[1:]:
        cells = row.split()
        if len(cells) > _INODE and cells[_INODE] == wanted:
            return int(cells[_DROPS])
    return None
