"""Runs `huntbeam stream` on Flink for minutes at a steady rate and tells whether anything grows.

    python benchmarks/soak.py                    # 10 minutes at 2,000 events/s
    python benchmarks/soak.py --minutes 60 --rate 1000

The events all join (joinable.py) and happen as they are sent. The waits are so short that state ends within the run.
A line every 15 s. The verdict: a straight line through each figure of the second half, once state has begun to end,
must be flat within LIMITS, the task manager within the memory that it is given (RocksDB's cache fills it up), and in
the end every join must be there, nothing unmatched, nothing dead. Else the exit code is 1.

`lag` are records that the group has not committed, which it does at checkpoints; `behind` are connects sent whose row
is not in its topic; `age` is how old the newest row is.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from feeding import Offsets, make_topics, pace, rows
from figures import Limit, since, table, trend
from joinable import CONNECTS, records
from programs import BenchError, HuntBeam, await_running, ended_by_term, local_stack, say
from watching import memory

from huntbeam.runners.kafka.topics import input_topic
from huntbeam.runners.stack.flink import task_manager_megabytes
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import DEAD_LETTERS, JOIN, UNMATCHED

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULT = Path(__file__).resolve().parent.parent / ".bench" / "soak.json"
TOPIC = "soak"
EVERY = 15.0  # seconds between two lines
PATIENCE = 60.0  # seconds without a further row that end the wait for the last ones
SETTLED = 120.0  # seconds from the first record on until as much state ends as begins: window, grace and lateness
WAITS = (
    *("--join_wait", "30s", "--process_ttl", "60s"),
    *("--window", "20s", "--window_grace", "10s", "--allowed_lateness", "60s"),
)
_CONNECT = b'"event_id":3,'
LIMITS = {  # over the second half
    "lag": Limit(0.25, 5_000),
    "behind": Limit(0.25, 2_000),
    "age": Limit(0.25, 1.0),
    "state": Limit(0.15, 5.0),
    "checkpoint": Limit(0.25, 1.0),
    "workers": Limit(0.05, 30.0),
}
TITLES = {
    "lag": "lag, records",
    "behind": "behind, connects",
    "age": "age of the newest row, s",
    "state": "state, MB",
    "checkpoint": "duration of a checkpoint, s",
    "task_manager": "memory of the task manager, MB",
    "workers": "memory of the workers, MB",
}


class Look(msgspec.Struct, frozen=True):
    """What is seen every 15 s. Sizes in MB, times in seconds; the state and the duration are the last checkpoint's."""

    time: float
    produced: int
    joined: int
    behind: int
    lag: int
    age: float | None
    state: float | None
    checkpoint: float | None
    task_manager: float
    workers: float
    restarts: int

    def line(self) -> str:
        """For the terminal."""
        age, state, checkpoint = ("-" if v is None else f"{v:.1f}" for v in (self.age, self.state, self.checkpoint))
        return (
            f"{self.time:5.0f} s  {self.produced:,} produced, {self.joined:,} joined, {self.behind:,} behind, lag "
            f"{self.lag:,}, newest row {age} s old; state {state} MB, checkpoint {checkpoint} s; task manager "
            f"{self.task_manager:,.0f} MB, workers {self.workers:,.0f} MB; {self.restarts} restarts"
        )


class Feeder:
    """Feeds joinable events in a thread of its own."""

    def __init__(self, kafka: str, rate: float, seconds: float) -> None:
        self.produced = self.connects = 0
        self.error: BaseException | None = None
        self._kafka, self._rate, self._seconds = kafka, rate, seconds
        self._thread = threading.Thread(target=self._feed, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def done(self) -> bool:
        """Whether all events were sent. Raises BenchError when they could not be."""
        if self.error is not None:
            raise BenchError(f"the feeder failed: {self.error}") from self.error
        return not self._thread.is_alive()

    def _feed(self) -> None:
        events = int(self._rate * self._seconds)
        live = records(events // (CONNECTS + 1) + 1, start=int(time.time() * 1000), pause_ms=1000 / self._rate)
        made = islice(live, events)
        try:
            pace(self._kafka, TOPIC, made, self._rate, self._count)
        except Exception as error:
            self.error = error

    def _count(self, record: bytes) -> None:
        self.produced += 1
        self.connects += _CONNECT in record


class Observer:
    """Looks at a job, its topics and its processes."""

    def __init__(self, job: HuntBeam, kafka: str, feeder: Feeder) -> None:
        self._job, self._feeder, self._began = job, feeder, time.time()
        self._offsets = Offsets(kafka, job.prefix)

    def look(self) -> Look:
        self._job.check()
        joined, connects = self._offsets.end(self._job.topic(JOIN)), self._feeder.connects
        newest = self._offsets.newest(self._job.topic(JOIN))
        state, took = self._checkpoint()
        return Look(
            time=round(time.time() - self._began, 1),
            produced=self._feeder.produced,
            joined=joined,
            behind=max(connects - joined, 0),
            lag=self._offsets.lag(TOPIC),
            age=None if newest is None else max(time.time() - newest, 0.0),
            state=state,
            checkpoint=took,
            task_manager=memory(self._job.pids("taskmanager")),
            workers=memory(self._job.pids("workers")),
            restarts=self._restarts(),
        )

    def close(self) -> None:
        self._offsets.close()

    def ends(self, stream: str) -> int:
        """How many rows a stream has."""
        return self._offsets.end(self._job.topic(stream))

    def _checkpoint(self) -> tuple[float | None, float | None]:
        last: dict[str, Any] | None = self._job.rest(f"/jobs/{self._job.jid}/checkpoints")["latest"]["completed"]
        return (None, None) if last is None else (last["state_size"] / 1e6, last["end_to_end_duration"] / 1000)

    def _restarts(self) -> int:
        found = self._job.rest(f"/jobs/{self._job.jid}/metrics?get=numRestarts")
        return int(found[0]["value"]) if found else 0


def watch(job: HuntBeam, observer: Observer, feeder: Feeder) -> list[Look]:
    """Looks every 15 s until all events were sent and all rows are there, or no more come."""
    looks: list[Look] = []
    began = time.monotonic()
    while True:
        time.sleep(max(0.0, began + (len(looks) + 1) * EVERY - time.monotonic()))
        if feeder.done():  # the end is no steady rate
            break
        looks.append(observer.look())
        say(looks[-1].line())
    before, still = -1, time.monotonic()
    while (there := observer.ends(JOIN)) < feeder.connects and time.monotonic() - still < PATIENCE:
        job.check()
        if there != before:
            before, still = there, time.monotonic()
        time.sleep(1)
    return looks


def trends(looks: Sequence[Look]) -> tuple[dict[str, list[str]], bool]:
    """The rows of the verdict's table by figure, and whether all are flat. Too few looks tell nothing: not flat."""
    if not looks:
        return {name: ["-", "-", "-", "too short to tell"] for name in TITLES}, False
    lines, good = {}, True
    first = max(looks[-1].time / 2, SETTLED)
    for name, limit in LIMITS.items():
        points = [(look.time, float(value)) for look in looks if (value := getattr(look, name)) is not None]
        found = trend(since(points, first))
        flat = found is not None and found.flat(limit)
        good &= flat
        if found is None:
            lines[name] = ["-", "-", "-", "too short to tell"]
        else:
            most = max(limit.share * found.mean, limit.least)
            shown = [f"{value:,.1f}" for value in (found.mean, found.rise, most)]
            lines[name] = [*shown, "flat" if flat else "GROWS"]
    size, bound = max(look.task_manager for look in looks), task_manager_megabytes()
    lines["task_manager"] = [f"{size:,.1f}", "-", f"{bound:,.1f}", "within its bound" if size <= bound else "TOO LARGE"]
    return lines, good and size <= bound


def soak(args: argparse.Namespace) -> int:
    """Runs, tells, writes the result; the exit code."""
    with local_stack(say) as stack:
        kafka = stack.addresses().kafka
        job = HuntBeam("HuntBeam", stack, WAITS)
        make_topics(kafka, [input_topic(TOPIC)])
        feeder = Feeder(kafka, args.rate, args.minutes * 60)
        try:
            job.prepare()
            job.start(TOPIC, lambda *_: None)
            await_running(job)
            observer = Observer(job, kafka, feeder)
            feeder.start()
            looks = watch(job, observer, feeder)
            different = len({job.identity(row) for _, row in rows(kafka, job.topic(JOIN))})
            ends = {stream: observer.ends(stream) for stream in (JOIN, UNMATCHED, DEAD_LETTERS)}
            observer.close()
        finally:
            job.stop()
    lines, flat = trends(looks)
    missing = feeder.connects - different
    complete = missing == 0 and ends[UNMATCHED] == 0 and ends[DEAD_LETTERS] == 0
    result = {
        "options": vars(args),
        "looks": looks,
        "connects": feeder.connects,
        "different": different,
        "rows": ends,
        "trends": lines,
        "passed": flat and complete,
    }
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    titled = {TITLES[name]: cells for name, cells in lines.items()}
    sys.stdout.write(
        table("second half", ["mean", "rise", "at most", "verdict"], titled)
        + f"\n\n{feeder.connects:,} connects, {different:,} joined, {missing:,} missing, {ends[JOIN] - different:,} "
        f"repeated, {ends[UNMATCHED]:,} unmatched, {ends[DEAD_LETTERS]:,} dead letters\n"
        f"{'passed' if flat and complete else 'NOT passed'}; all of it is in .bench/{RESULT.name}\n"
    )
    return 0 if flat and complete else 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Runs huntbeam stream for minutes and tells whether anything grows.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long events are sent (default: 10)")
    parser.add_argument("--rate", type=int, default=2_000, help="events/s (default: 2,000)")
    args = parser.parse_args(argv)
    ended_by_term()
    RESULT.parent.mkdir(exist_ok=True)
    try:
        return soak(args)
    except (BenchError, UnusableError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
