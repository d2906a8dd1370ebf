"""What a collector counts, as a line, as JSON and as Prometheus text. Pure."""

from __future__ import annotations

from typing import Annotated, get_type_hints

import msgspec

from huntbeam.runners.collect.tcp import TcpCounts


def _counter(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text, extra={"type": "counter"})


def _gauge(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text, extra={"type": "gauge"})


class Counts(msgspec.Struct):
    """Records are datagrams and lines. taken + resumed = delivered + dropped + refused + in_flight + in_spool."""

    taken_udp: Annotated[int, _counter("Datagrams that were taken, without empty ones")] = 0
    taken_tcp: Annotated[int, _counter("Records that were taken by TCP, without empty ones")] = 0
    taken_bytes: Annotated[int, _counter("Bytes of the records that were taken")] = 0
    empty: Annotated[int, _counter("Empty datagrams and lines: nothing to forward")] = 0
    resumed: Annotated[int, _counter("Records that an earlier run had left in the spool")] = 0
    delivered: Annotated[int, _counter("Records that Kafka acknowledged")] = 0
    dropped: Annotated[int, _counter("Records dropped because the spool was full or its disk refused them")] = 0
    refused: Annotated[int, _counter("Records that Kafka refuses for good; they are in refused.jsonl")] = 0
    kernel_drops: Annotated[int | None, _counter("Datagrams the kernel dropped: its receive buffer was full")] = None
    headers_rfc3164: Annotated[int, _counter("Syslog headers of RFC 3164 that were taken off")] = 0
    headers_rfc5424: Annotated[int, _counter("Syslog headers of RFC 5424 that were taken off")] = 0
    cut: Annotated[int, _counter("Records by TCP that were cut at the longest line")] = 0
    connections_accepted: Annotated[int, _counter("TCP connections that were accepted")] = 0
    connections_refused: Annotated[int, _counter("TCP connections closed at once: there were too many")] = 0
    connections_idle_closed: Annotated[int, _counter("TCP connections closed because nothing came")] = 0
    delivery_errors: Annotated[int, _counter("Deliveries that failed and were tried again")] = 0
    spooled: Annotated[int, _counter("Records that were written to the spool")] = 0
    connections: Annotated[int, _gauge("TCP connections that are open")] = 0
    in_flight: Annotated[int, _gauge("Records that Kafka has not acknowledged yet, and that are not in the spool")] = 0
    in_spool: Annotated[int, _gauge("Records in the spool")] = 0
    spool_bytes: Annotated[int, _gauge("Bytes of the spool on disk")] = 0
    receive_buffer_bytes: Annotated[int, _gauge("The kernel's receive buffer for datagrams, as it counts")] = 0
    kafka_up: Annotated[int, _gauge("1 while Kafka answers")] = 1

    @property
    def taken(self) -> int:
        """Records, however they came."""
        return self.taken_udp + self.taken_tcp

    def hear(self, told: TcpCounts) -> None:
        """What the receiver of TCP tells."""
        self.connections, self.cut = told.open, told.cut
        self.connections_accepted, self.connections_refused = told.accepted, told.refused
        self.connections_idle_closed = told.idle_closed


def _described() -> dict[str, tuple[str, str]]:
    metas = {name: hint.__metadata__[0] for name, hint in get_type_hints(Counts, include_extras=True).items()}
    return {name: (meta.extra["type"], meta.description) for name, meta in metas.items()}


DESCRIBED = _described()  # name -> counter or gauge, and what it counts


def line(counts: Counts, rate: float | None = None) -> str:
    """One line for people: what there always is, and of the rest what is not nothing. `rate`: taken a second."""
    speed = "" if rate is None else f" ({rate:,.0f}/s)"
    parts = [f"{counts.taken:,} taken{speed}", f"{counts.delivered:,} delivered"]
    rest = {
        "in flight": counts.in_flight,
        "in the spool": counts.in_spool,
        "empty": counts.empty,
        "dropped by the kernel": counts.kernel_drops or 0,
        "dropped by the full spool": counts.dropped,
        "refused by Kafka": counts.refused,
        "cut": counts.cut,
        "connections": counts.connections,
    }
    parts += [f"{count:,} {what}" for what, count in rest.items() if count]
    return ", ".join(parts) + ("" if counts.kafka_up else "; Kafka is away")


def prometheus(counts: Counts) -> str:
    """The counts in Prometheus's text format; what is not known is left out."""
    lines = []
    for name, (kind, text) in DESCRIBED.items():
        value = getattr(counts, name)
        if value is not None:
            full = f"huntbeam_collect_{name}{'_total' if kind == 'counter' else ''}"
            lines += [f"# HELP {full} {text}.", f"# TYPE {full} {kind}", f"{full} {value}"]
    return "\n".join(lines) + "\n"
