"""How long a row takes: records at a steady rate, and a consumer that notes when each row came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from feeding import Arrivals, make_topics, pace, plain, send
from figures import Figure, percentile
from joinable import CONNECTS, records
from programs import FIRST_ROW, Program, await_running

from huntbeam.runners.kafka.topics import input_topic

if TYPE_CHECKING:
    from collections.abc import Callable

PRIMER = 200  # processes whose rows show that a program is up
WARM_UP = 10  # seconds at the rate that do not count
LATENCIES = (
    Figure("p50, ms", "p50", 0),
    Figure("p90, ms", "p90", 0),
    Figure("p99, ms", "p99", 0),
    Figure("max, ms", "max", 0),
    Figure("connects", "connects", 0, compared=False),
    Figure("missing", "missing", 0, compared=False),
)

Connect = tuple[str, str, str]


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from produce of a connect to its row at a consumer."""

    program: str
    connects: int
    missing: int
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


class _Data(msgspec.Struct):
    ProcessGuid: str
    UtcTime: str
    SourcePort: str | None = None


class _Winlog(msgspec.Struct):
    event_id: int
    event_data: _Data


class _Record(msgspec.Struct):
    winlog: _Winlog


def connect_of(record: bytes) -> Connect | None:
    """The connect that a record is; None for a create."""
    winlog = msgspec.json.decode(record, type=_Record).winlog
    data = winlog.event_data
    return None if winlog.event_id == 1 else (data.ProcessGuid.strip("{}").lower(), data.UtcTime, data.SourcePort or "")


def latency(program: Program, kafka: str, seconds: int, rate: int, patience: float) -> Latency:
    """Feeds a program that is up at a steady rate and times each row."""
    topic = f"latency_{program.name.lower().replace(' ', '_').replace(',', '')}_{time.time_ns()}"
    make_topics(kafka, [input_topic(topic)])
    count = (seconds + WARM_UP) * rate // (CONNECTS + 1)
    made = [plain(record) for record in records(count)]  # made before, as it takes time that the program needs
    connects = {record: connect_of(record) for record in made}
    sent: dict[Connect, float] = {}

    def note(record: bytes) -> None:
        if (connect := connects[record]) is not None:
            sent[connect] = time.time()

    try:
        output = program.prepare()
        program.start(topic, lambda *_: None)
        await_running(program)
        primed = PRIMER * CONNECTS
        send(kafka, topic, map(plain, records(PRIMER, seed=8)))
        with Arrivals(kafka, output) as arrivals:
            _await(program, lambda: len(arrivals.rows), int(primed * 0.9), FIRST_ROW)  # the rival may lose some
            began = time.time()
            pace(kafka, topic, made, rate, note)
            _await(program, lambda: len(arrivals.rows), primed + len(sent), patience)
    finally:
        program.stop()
    came: dict[Connect, float] = {}
    for at, row in arrivals.rows:
        came.setdefault(program.connect(row), at)
    counted = {connect: at for connect, at in sent.items() if at >= began + WARM_UP}
    took = [(came[connect] - at) * 1000 for connect, at in counted.items() if connect in came]
    missing = sum(connect not in came for connect in sent)
    p50, p90, p99, most = (percentile(took, share) if took else None for share in (0.5, 0.9, 0.99, 1.0))
    return Latency(program.name, len(counted), missing, p50, p90, p99, most)


def _await(program: Program, there: Callable[[], int], wanted: int, patience: float) -> None:
    """Until as many rows are there, or no more came for so many seconds."""
    before, since = -1, time.monotonic()
    while (now := there()) < wanted and time.monotonic() - since < patience:
        program.check()
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.2)
