"""The collector: from the receivers to Kafka, past the spool while Kafka is away or slow.

One thread. What is taken goes to Kafka directly while the window has room and nothing waits in the spool, else to the
end of the spool; so the order of what was taken is kept.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from typing import Any

import msgspec

from huntbeam.pipelines.options import OptionError
from huntbeam.runners.collect.batches import DATAGRAM, FULL, Batch, Kind, batches_of
from huntbeam.runners.collect.counts import Counts, prometheus
from huntbeam.runners.collect.delivery import Delivery, check_topic
from huntbeam.runners.collect.metrics import MetricsServer, write_status
from huntbeam.runners.collect.options import CollectOptions
from huntbeam.runners.collect.receivers import Receiver, tcp_receiver, udp_receiver
from huntbeam.runners.collect.refused import RefusedFile
from huntbeam.runners.collect.screen import Screen
from huntbeam.runners.collect.sockets import bind_tcp, bind_udp, buffer_notice, kernel_drops, receive_buffer
from huntbeam.runners.collect.spool import Spool
from huntbeam.runners.collect.tcp import TcpCounts
from huntbeam.runners.kafka.clients import explain
from huntbeam.runners.signals import Heard
from huntbeam.transforms.syslog import Header

_BUSY, _IDLE = 0.005, 0.2  # seconds to wait for receivers, with and without records on their way
_TURN = 16  # batches from the spool before it is the receivers' turn
_TICK = 1.0  # seconds between the counts
_LAST = 15.0  # seconds for receivers to bring what they hold
_SPARE = 8 * (FULL + DATAGRAM)  # bytes of the spool that must be free for connections to be read


class Stop(Heard):
    """The first SIGINT or SIGTERM asks for an orderly end, a second one to leave the rest in the spool now."""

    def __init__(self) -> None:
        super().__init__()
        self.hurry = False

    def _ask(self, _signal: int, _frame: object) -> None:
        if self.hurry:
            raise KeyboardInterrupt
        self.hurry, self.asked = self.asked, True


class ReceiverEndedError(Exception):
    """A receiver's process is gone."""


def run_collect(options: CollectOptions, config: Mapping[str, Any]) -> int:
    """Collects until it is asked to stop; returns the exit code. Raises UnusableError."""
    with Stop() as stop, ExitStack() as stack:
        Collector(options, config, stack).run(stop)
    return 0


class Collector:
    """One run. What it opens is closed by `stack`."""

    def __init__(self, options: CollectOptions, config: Mapping[str, Any], stack: ExitStack) -> None:
        self.counts = self._shown = Counts()
        self._config = config
        self._told: set[str] = set()
        self._ending = False
        self._options = options
        self._screen = stack.enter_context(Screen(options.quiet))
        self._spool = stack.enter_context(closing(Spool(options.folder, options.spool_max_bytes, self._screen.say)))
        self.counts.resumed = self._spool.records
        self._refused = stack.enter_context(closing(RefusedFile(options.folder, options.spool_max_bytes)))
        bound = [stack.enter_context(s) for s in self._bind()]
        self._udp = udp_receiver(bound[0])
        stack.callback(self._udp.close)
        self._receivers = [self._udp]
        if options.tcp:
            self._receivers.append(tcp_receiver(bound[1], options.tcp))
            stack.callback(self._receivers[1].close)
        kafka_is_there = check_topic(config, options.topic)
        self._greet(kafka_is_there)
        self._delivery = Delivery(config, options.topic, keep_headers=options.keep_headers, refuse=self._refused.refuse)
        self._delivery.up = kafka_is_there
        self._check_status()
        if options.metrics:
            stack.enter_context(MetricsServer(options.metrics, lambda: prometheus(self._shown)))
        self._ticked = time.monotonic()
        self._tick(last=True)

    def run(self, stop: Stop) -> None:
        """Collects until it is asked to stop, and then sees to it that nothing is lost."""
        try:
            while not stop.asked:
                self._turn()
                ended = next((r for r in self._receivers if r.inbox.ended), None)
                if ended:
                    raise ReceiverEndedError(
                        f"the receiver of {ended.name} ended by itself: look at what it said above"
                    )
        finally:
            self._end(stop)

    def _bind(self) -> list[socket.socket]:
        options = self._options
        udp = bind_udp(options.syslog, options.receive_buffer)
        self.counts.receive_buffer_bytes = receive_buffer(udp)
        return [udp, bind_tcp(options.syslog)] if options.tcp else [udp]

    def _check_status(self) -> None:
        if self._options.status:
            try:
                write_status(self._options.status, self.counts)
            except OSError as error:
                raise OptionError(
                    f"--status {self._options.status} cannot be written ({error.strerror}): choose another file"
                ) from error

    def _greet(self, kafka_is_there: bool) -> None:
        options, say = self._options, self._screen.say
        say(f"listening on {options.syslog}, UDP{' and TCP' if options.tcp else ''}; to the topic {options.topic}")
        if not options.syslog.is_loopback:
            say("anyone who reaches this address can send: syslog knows no login; let a firewall choose who may")
        notice = buffer_notice(self.counts.receive_buffer_bytes, options.receive_buffer)
        if notice:
            say(notice)
        if self.counts.resumed:
            say(f"{self.counts.resumed:,} records of an earlier run are in the spool {options.folder}; they go first")
        if not kafka_is_there:
            say("no Kafka broker answers; what comes goes to the spool until one does")

    def _turn(self) -> None:
        pumping = self._spool.unread > 0 and self._delivery.has_room
        self._listen(0 if pumping else _IDLE if self._delivery.is_empty else _BUSY)
        self._feed()
        self._tick()

    def _listen(self, seconds: float) -> None:
        """Takes what receivers bring; connections only while the spool has room: TCP holds their senders back."""
        waiting = [
            r for r in self._receivers if not r.inbox.ended and (r is self._udp or self._ending or not self._is_full())
        ]
        poll = select.poll()
        for receiver in waiting:
            poll.register(receiver.inbox.pipe, select.POLLIN)
        ready = {number for number, _ in poll.poll(seconds * 1000)}
        for receiver in waiting:
            if receiver.inbox.pipe.fileno() in ready:
                for batch in receiver.inbox.take():
                    self._take(batch, receiver)

    def _is_full(self) -> bool:
        return self._spooling and not self._spool.has_room(_SPARE)

    @property
    def _spooling(self) -> bool:
        """Whether what comes goes to the spool: it has to, while something waits there."""
        return self._options.spool_always or self._spool.unread > 0 or not self._delivery.has_room

    def _take(self, batch: Batch, receiver: Receiver) -> None:
        counts, records = self.counts, batch.records
        if batch.kind is Kind.COUNTS:
            counts.hear(msgspec.json.decode(batch.body, type=TcpCounts))
            return
        counts.empty += len(batch.lengths) - records
        counts.taken_bytes += len(batch.body)
        if receiver is self._udp:
            counts.taken_udp += records
        else:
            counts.taken_tcp += records
        if not records:
            return
        if not self._spooling:
            self._delivery.add(batch)
        elif self._spool.append(batch, beyond=self._ending and receiver is not self._udp):
            counts.spooled += records
        else:
            counts.dropped += records

    def _feed(self) -> None:
        """Sends what waits in the spool, as far as there is room, and hears what was acknowledged."""
        for _ in range(_TURN):
            following = self._spool.next() if self._delivery.has_room and self._spool.unread else None
            if following is None:
                break
            self._delivery.add(*following)
        for place in self._delivery.poll(0):
            self._spool.acknowledge(place)

    def _tick(self, *, last: bool = False) -> None:
        """Once a second: the disk, the counts, and what there is to see."""
        now = time.monotonic()
        if now - self._ticked < _TICK and not last:
            return
        self._ticked = now
        self._spool.sync()
        self._count()
        self._shown = msgspec.structs.replace(self.counts)  # all of one moment, for those who ask at another
        self._tell_troubles()
        if self._options.status:
            with suppress(OSError):  # it could be written at the start; records matter more
                write_status(self._options.status, self.counts)
        self._screen.show(self.counts)

    def _tell_troubles(self) -> None:
        """Each trouble once."""
        refusal, disk = self._delivery.trouble, self._spool.trouble
        troubles = [str(explain(refusal, self._config))] if refusal else []
        if disk:
            troubles.append(f"the spool's disk refuses what comes ({disk}): it is dropped and counted")
        elif self.counts.dropped:
            troubles.append(f"the spool {self._spool.folder} is full: datagrams are dropped and counted")
        for trouble in troubles:
            if trouble not in self._told:
                self._told.add(trouble)
                self._screen.say(trouble)

    def _count(self) -> None:
        counts, delivery, spool = self.counts, self._delivery, self._spool
        counts.delivered, counts.refused, counts.delivery_errors = delivery.delivered, delivery.refused, delivery.errors
        counts.in_flight, counts.kafka_up = delivery.direct, int(delivery.up)
        counts.headers_rfc3164, counts.headers_rfc5424 = (delivery.headers[header] for header in Header)
        counts.in_spool, counts.spool_bytes = spool.records, spool.size
        counts.kernel_drops = kernel_drops(self._udp.bound)

    def _end(self, stop: Stop) -> None:
        """Takes what the kernel and the receivers hold; delivers it, or leaves it in the spool and says so."""
        self._ending = True  # a receiver of TCP is not asked to wait any more: there is an end to what it brings
        for receiver in self._receivers:
            receiver.inbox.stop()
        until = time.monotonic() + _LAST
        while not all(receiver.inbox.ended for receiver in self._receivers) and time.monotonic() < until:
            self._listen(_BUSY)
            self._feed()
        for receiver in self._receivers:
            if not receiver.inbox.ended:
                self._screen.say(f"the receiver of {receiver.name} did not end in time: what it held is lost")
        until = time.monotonic() + self._options.stop_timeout
        while not (self._delivery.is_empty and not self._spool.unread) and self._delivery.up and not stop.hurry:
            if time.monotonic() > until:
                break
            self._feed()
            time.sleep(_BUSY)
        self._leave()
        self._tick(last=True)
        self._screen.end(self.counts)
        if self._spool.records:
            self._screen.say(
                f"{self._spool.records:,} records are left in the spool {self._spool.folder}: "
                "the next huntbeam collect for this topic delivers them first"
            )

    def _leave(self) -> None:
        """Leaves in the spool what is not acknowledged."""
        if self._delivery.is_empty:
            return
        rest = self._delivery.take_back()
        try:
            self._spool.put_back(batches_of(rest, Kind.READY))
        except OSError as error:
            self.counts.dropped += len(rest)
            self._screen.say(f"{len(rest):,} records are lost: the spool's disk refused them ({error.strerror})")
