"""The receivers' processes on real sockets: what is sent is what comes up the pipe."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import msgspec
import pytest

from huntbeam.runners.collect.batches import Kind
from huntbeam.runners.collect.receivers import Receiver, tcp_receiver, udp_receiver
from huntbeam.runners.collect.sockets import (
    Address,
    bind_tcp,
    bind_udp,
    buffer_notice,
    drops_of,
    kernel_drops,
    parse_address,
    receive_buffer,
)
from huntbeam.runners.collect.tcp import TcpCounts, TcpSettings
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.syslog import Framing

PATIENCE = 60.0  # seconds; a busy machine is no bug
ANY = Address("127.0.0.1", 0)
SETTINGS = TcpSettings(line_bytes=1_000, framing=Framing.AUTO, connections=3, idle=600)


class Heard:
    """What came up the pipe so far."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.records: list[bytes] = []
        self.empty = 0
        self.tcp = TcpCounts()

    def take(self) -> None:
        for batch in self.receiver.inbox.take():
            if batch.kind is Kind.COUNTS:
                self.tcp = msgspec.json.decode(batch.body, type=TcpCounts)
            else:
                self.records += batch.each()
                self.empty += len(batch.lengths) - batch.records
        time.sleep(0.002)

    def until(self, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < until, (len(self.records), self.tcp)
            self.take()

    def stop(self) -> None:
        self.receiver.inbox.stop()
        self.until(lambda: self.receiver.inbox.ended)


@contextmanager
def udp(buffer: int = 1 << 22) -> Iterator[tuple[Heard, socket.socket]]:
    receiver = udp_receiver(bind_udp(ANY, buffer))
    with closing(receiver), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        to.connect(receiver.bound.getsockname())
        yield Heard(receiver), to


@contextmanager
def tcp(settings: TcpSettings = SETTINGS) -> Iterator[Heard]:
    with closing(tcp_receiver(bind_tcp(ANY), settings)) as receiver:
        yield Heard(receiver)


def connected(heard: Heard) -> socket.socket:
    return socket.create_connection(heard.receiver.bound.getsockname(), PATIENCE)


def test_each_datagram_is_a_record_whatever_is_in_it() -> None:
    sent = [b"1500\tk", b"x" * 65_507, bytes(range(256)), b"a\nb\n", b" ", b"1,2"] * 20
    with udp() as (heard, to):
        for datagram in sent:
            to.send(datagram)
            to.send(b"")
        heard.until(lambda: len(heard.records) == len(sent) and heard.empty == len(sent))
        assert heard.records == sent
        assert kernel_drops(heard.receiver.bound) == 0
        heard.stop()


def test_when_stopped_what_the_kernel_holds_is_taken_and_no_more() -> None:
    with udp() as (heard, to):
        to.send(b"first")
        heard.until(lambda: heard.records == [b"first"])
        for number in range(1_000):
            to.send(b"%d" % number)
        heard.stop()
        assert heard.records == [b"first", *(b"%d" % number for number in range(1_000))]
        with pytest.raises(ConnectionRefusedError):  # the sender is told
            for _ in range(2):
                to.send(b"late")


def test_what_the_kernel_drops_is_counted_exactly() -> None:
    bound = bind_udp(ANY, 1)  # the kernel's least
    with bound, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        for _ in range(500):
            to.sendto(b"x" * 300, bound.getsockname())
        dropped = kernel_drops(bound)
        assert dropped
        heard = Heard(udp_receiver(bound))
        heard.stop()
        assert len(heard.records) + dropped == 500
        heard.receiver.close()


def test_records_by_tcp_in_both_framings_from_several_at_once() -> None:
    with tcp() as heard, connected(heard) as one, connected(heard) as other, connected(heard) as silent:
        for number in range(500):
            one.sendall(b"1500\tone %d\n" % number)
            other.sendall(b"9 other%04d" % number)
        silent.sendall(b"1500\tnot com")
        heard.until(lambda: len(heard.records) == 1_000)
        assert [r for r in heard.records if b"one" in r] == [b"1500\tone %d" % n for n in range(500)]
        assert [r for r in heard.records if b"other" in r] == [b"other%04d" % n for n in range(500)]
        silent.sendall(b"plete\n")
        heard.until(lambda: heard.records[-1] == b"1500\tnot complete")
        heard.until(lambda: heard.tcp == TcpCounts(open=3, accepted=3))


def test_a_connection_that_ends_or_breaks_off_leaves_what_it_sent() -> None:
    with tcp() as heard:
        with connected(heard) as ended:
            ended.sendall(b"a\nb")
        heard.until(lambda: heard.records == [b"a", b"b"])
        broken = connected(heard)
        broken.sendall(b"c\nd")
        heard.until(lambda: heard.records[2:] == [b"c"])
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.close()  # a reset
        heard.until(lambda: heard.records[2:] == [b"c", b"d"])


def test_more_connections_than_allowed_are_closed_and_counted() -> None:
    with tcp() as heard:
        allowed = [connected(heard) for _ in range(3)]
        for number, connection in enumerate(allowed):
            connection.sendall(b"%d\n" % number)
        heard.until(lambda: len(heard.records) == 3)
        with connected(heard) as refused:
            assert refused.recv(1) == b""
        heard.until(lambda: heard.tcp.refused == 1)
        allowed.pop().close()
        heard.until(lambda: heard.tcp.open == 2)
        with connected(heard) as welcome:
            welcome.sendall(b"again\n")
            heard.until(lambda: heard.records[-1] == b"again")
        for connection in allowed:
            connection.close()


def test_long_lines_are_cut_and_counted() -> None:
    with tcp() as heard, connected(heard) as to:
        to.sendall(b"x" * 100_000 + b"\nnext\n")
        heard.until(lambda: len(heard.records) == 2)
        assert heard.records == [b"x" * 1_000, b"next"]
        heard.until(lambda: heard.tcp.cut == 1)


def test_who_is_silent_for_long_is_closed() -> None:
    with tcp(msgspec.structs.replace(SETTINGS, idle=0.0)) as heard, connected(heard) as to:
        to.sendall(b"half")
        heard.until(lambda: heard.tcp.idle_closed == 1)
        assert heard.records == [b"half"]


def test_connections_wait_while_nobody_takes_what_they_send() -> None:
    with tcp() as heard, connected(heard) as to:
        to.setblocking(False)
        line, sent, blocked = b"y" * 999 + b"\n", bytearray(), time.monotonic()
        while time.monotonic() - blocked < 1.0:  # until TCP takes no more for a while
            try:
                count = to.send(line[len(sent) % 1_000 :])
            except BlockingIOError:
                time.sleep(0.01)
            else:
                sent += b"." * count
                blocked = time.monotonic()
        assert len(sent) > 64 * 1024 * 1024
        heard.until(lambda: len(heard.records) == len(sent) // 1_000)
        assert set(heard.records) == {b"y" * 999}


def test_when_stopped_connections_leave_what_came() -> None:
    with tcp() as heard, connected(heard) as to:
        to.sendall(b"first\n")
        heard.until(lambda: heard.records == [b"first"])
        to.sendall(b"second\nhalf")
        heard.stop()
        assert heard.records == [b"first", b"second", b"half"]


def test_a_receiver_ends_with_its_collector() -> None:
    with udp() as (heard, _):
        heard.receiver.inbox.pipe.close()
        assert heard.receiver._process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1514", Address("127.0.0.1", 1514)),
        ("1514", Address("127.0.0.1", 1514)),
        (":1514", Address("127.0.0.1", 1514)),
        ("localhost:1514", Address("127.0.0.1", 1514)),
        ("[::1]:1514", Address("::1", 1514)),
        ("0.0.0.0:1", Address("0.0.0.0", 1)),  # noqa: S104
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address("--syslog", text) == address


@pytest.mark.parametrize("text", ["", "x", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "host.example:1514", "1:²"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UnusableError, match=r"--syslog .*write"):
        parse_address("--syslog", text)


def test_an_address_that_is_taken() -> None:
    with bind_udp(ANY, 1) as bound, pytest.raises(UnusableError, match="cannot be listened on"):
        bind_udp(Address("127.0.0.1", bound.getsockname()[1]), 1)


def test_ipv6_has_its_own_table_of_drops() -> None:
    with bind_udp(Address("::1", 0), 1 << 16) as bound:
        assert kernel_drops(bound) == 0
        assert receive_buffer(bound) == 1 << 16


def test_the_drops_of_one_socket() -> None:
    head = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref drops"
    row = " 5889: 0100007F:D64D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 {} 2 0000 {}"
    table = "\n".join([head, row.format(76, 5), row.format(77, 4_294_967_295), "torn"])
    assert drops_of(table, 77) == 4_294_967_295
    assert drops_of(table, 78) is None


def test_a_smaller_buffer_is_said_with_the_remedy() -> None:
    assert buffer_notice(5, 5) is None
    notice = buffer_notice(4, 5)
    assert notice is not None
    assert "sysctl -w net.core.rmem_max=5" in notice


def test_when_stopped_connections_that_were_not_welcomed_yet_leave_what_came() -> None:
    with closing(tcp_receiver(bind_tcp(ANY), SETTINGS)) as receiver:
        heard = Heard(receiver)
        with connected(heard) as first:
            first.sendall(b"first\n")
            heard.until(lambda: heard.records == [b"first"])
            with connected(heard) as late:
                late.sendall(b"late\n")
                heard.stop()
        assert sorted(heard.records) == [b"first", b"late"]
