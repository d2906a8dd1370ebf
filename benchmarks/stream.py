"""Measures `huntbeam stream` on Flink against Kafka Streams: the seeds' join, one topic, two partitions, by turns.

    python benchmarks/stream.py                              # 200,000 joinable events, 300,000 mixed ones, latency
    python benchmarks/stream.py --processes 1000 --events 0 --latency_seconds 10
    python benchmarks/stream.py --stream_options "--bundle_time 200ms"

It starts a stack of its own in a temporary folder, with the user's cache of jars. Workloads:
  joinable   a create before its seven connects, nothing else
  mix        lifelike telemetry, 0.5 % of it Sysmon 1, 3 and 5
  latency    joinable events at a steady rate: from produce of a connect to its row at a consumer, behind a warm-up

HuntBeam runs as its users run it, and once more with the join alone, as the rival has no windows and puts out neither
creates nor connects. The rival (programs.py) is left out where it is not there. Each program starts cold, on input
that is there already, and stops before the next. Rows are counted in the output topics and timed by the broker:
seconds are from the end of the start-up (the job RUNNING, the rival's streams RUNNING) to the first and last row;
events/s are the input's events between first and last row, in brackets from the start-up's end on. CPU is that of all
processes of a program, brokers apart, from its start to the last row (HuntBeam's with the submitting command), in
brackets from the start-up's end; memory is the peak of their summed PSS until the last row. GUIDs are in one
spelling, because the rival joins texts. Rows that are missing are shown; HuntBeam's make the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from feeding import Offsets, make_topics, plain, rows, send
from figures import Figure, comparison, value_at
from joinable import CONNECTS, records
from latency import LATENCIES, latency
from programs import (
    FIRST_ROW,
    BenchError,
    HuntBeam,
    KafkaStreams,
    Program,
    await_running,
    ended_by_term,
    local_stack,
    say,
)
from synthesize import Options, answer_path, synthesize
from watching import Watcher

from huntbeam.runners.kafka.topics import input_topic
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import NETWORK_CONNECT, PROCESS_CREATE, WINDOW_COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from huntbeam.runners.stack.stack import Stack

CACHE = Path(__file__).resolve().parent.parent / ".bench"
RESULT = CACHE / "stream.json"
NOT_THE_JOIN = (WINDOW_COUNTS, PROCESS_CREATE, NETWORK_CONNECT)
SHARE = 0.005  # of Sysmon 1, 3 and 5 in the mix
FIGURES = (
    Figure("start-up, s", "start_up", 1),
    Figure("first row, s", "first", 1),
    Figure("last row, s", "last", 1),
    Figure("events/s (in all)", "events_per_second", 0, beside="events_per_second_in_all"),
    Figure("CPU, s (after start-up)", "cpu", 1, beside="cpu_after_start_up"),
    Figure("peak memory, MB", "memory", 0),
    Figure("rows (different)", "rows", 0, beside="different", compared=False),
    Figure("missing", "missing", 0, compared=False),
)


class Workload(NamedTuple):
    """A topic with all its events, and the different rows that the join has."""

    name: str
    topic: str
    events: int
    rows: int


class Run(msgspec.Struct, frozen=True):
    """One program on one workload. Times in seconds from the end of its start-up, memory in MB."""

    program: str
    rows: int
    different: int
    missing: int
    start_up: float
    first: float | None
    last: float | None
    events_per_second: float | None  # between first and last row
    events_per_second_in_all: float | None
    cpu: float
    cpu_after_start_up: float
    memory: float


# -------------------------------------------------------------------------------------------------------- throughput


def workloads(kafka: str, processes: int, events: int) -> Iterator[Workload]:
    """Makes and fills the topics that were asked for."""
    if processes:
        say(f"producing {processes * (CONNECTS + 1):,} joinable events")
        yield _produced(kafka, "joinable", map(plain, records(processes)), processes * CONNECTS)
    if events:
        archive = _mix(events)
        answer = msgspec.json.decode(answer_path(archive).read_bytes())
        say(f"producing a mix of {events:,} events")
        with archive.open("rb") as lines:
            yield _produced(kafka, "mix", (plain(line.rstrip()) for line in lines), answer["join"])


def _produced(kafka: str, name: str, values: Iterator[bytes], joined: int) -> Workload:
    make_topics(kafka, [input_topic(name)])
    return Workload(name, name, send(kafka, name, values), joined)


def _mix(events: int) -> Path:
    path = CACHE / f"mix-{events}.ndjson"
    if not path.exists():
        say(f"making .bench/{path.name} ...")
        part = path.with_name("part-mix.ndjson")
        synthesize(part, Options(events, shape="wlb7", share=SHARE))
        answer_path(part).replace(answer_path(path))
        part.replace(path)
    return path


def measure(program: Program, kafka: str, workload: Workload, patience: float) -> Run:
    """Runs a program until all rows are there, or none came for so many seconds."""
    with Watcher() as watcher:
        try:
            output = program.prepare()
            began = time.time()
            program.start(workload.topic, watcher.add)
            up = await_running(program)
            found = _finished(program, kafka, output, workload.rows, patience)
            time.sleep(1)  # one more look of the watcher
        finally:
            program.stop()
    times, different = found
    first, last = min(times, default=None), max(times, default=None)
    end = last or time.time()
    cpu = [(sample.time, sample.cpu) for sample in watcher.samples]
    took = value_at(cpu, end) - value_at(cpu, began)
    return Run(
        program=program.name,
        rows=len(times),
        different=different,
        missing=workload.rows - different,
        start_up=up - began,
        first=None if first is None else first - up,
        last=None if last is None else last - up,
        events_per_second=_rate(workload.events, first, last),
        events_per_second_in_all=_rate(workload.events, up, last),
        cpu=took,
        cpu_after_start_up=took - (value_at(cpu, up) - value_at(cpu, began)),
        memory=max(sample.memory for sample in watcher.samples if sample.time <= end + 1),
    )


def _finished(program: Program, kafka: str, output: str, expected: int, patience: float) -> tuple[list[float], int]:
    """The times of the rows and how many different ones there are, once they are all there or no more come."""
    offsets = Offsets(kafka)
    before, since, looked = 0, time.monotonic(), -1
    try:
        while True:
            program.check()
            there, now = offsets.end(output), time.monotonic()
            if there != before:
                before, since = there, now
            over = now - since > (patience if there else FIRST_ROW)
            if over or (there >= expected and there != looked):
                found = [(at, program.identity(row)) for at, row in rows(kafka, output)]
                different, looked = len({identity for _, identity in found}), there
                if over or different >= expected:
                    return [at for at, _ in found], different
            time.sleep(0.5)
    finally:
        offsets.close()


def _rate(events: int, first: float | None, last: float | None) -> float | None:
    return events / (last - first) if first is not None and last is not None and last > first else None


# ------------------------------------------------------------------------------------------------------------- bench


def programs_of(stack: Stack, options: Sequence[str], scratch: Path) -> list[Program]:
    """HuntBeam both ways, and the rival where it is there."""
    found: list[Program] = [
        HuntBeam("HuntBeam", stack, options),
        HuntBeam("HuntBeam, join only", stack, ["--without", ",".join(NOT_THE_JOIN), *options]),
    ]
    try:
        found.append(KafkaStreams(stack.addresses().kafka, stack.cache, scratch, say))
    except UnusableError as error:
        say(f"without the rival, Kafka Streams: {error}")
    return found


def bench(args: argparse.Namespace, stack: Stack, scratch: Path) -> int:
    """Measures, reports, writes the result; the exit code."""
    kafka = stack.addresses().kafka
    programs = programs_of(stack, shlex.split(args.stream_options), scratch)
    names = [program.name for program in programs]
    rival = next((program.name for program in programs if isinstance(program, KafkaStreams)), None)
    result: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)),
        "options": vars(args),
        "workloads": {},
        "latency": [],
    }
    tables = []
    for workload in workloads(kafka, args.processes, args.events):
        runs = []
        for n in range(args.rounds):
            for program in programs:
                runs.append(measure(program, kafka, workload, args.patience))
                say(f"{n + 1}/{args.rounds} {workload.name}, {_said(runs[-1])}")
        result["workloads"][workload.name] = {"events": workload.events, "rows": workload.rows, "runs": runs}
        title = f"{workload.name}, {workload.events:,} events, {workload.rows:,} rows"
        tables.append(comparison(title, names, rival, FIGURES, runs))
    if args.latency_seconds:
        for program in programs:
            say(f"latency of {program.name}")
            result["latency"].append(latency(program, kafka, args.latency_seconds, args.rate, args.patience))
        title = f"latency, {args.rate:,} events/s for {args.latency_seconds} s"
        tables.append(comparison(title, names, rival, LATENCIES, result["latency"]))
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    sys.stdout.write("\n\n".join(tables) + f"\n\n{result['cores']} cores; all of it is in .bench/{RESULT.name}\n")
    return _verdict(result, rival)


def _said(run: Run) -> str:
    last = "no row" if run.last is None else f"last row after {run.last:.1f} s"
    return f"{run.program}: {last}, {run.different:,} different rows, {run.missing:,} missing, {run.cpu:.1f} s CPU"


def _verdict(result: Mapping[str, Any], rival: str | None) -> int:
    runs = [run for workload in result["workloads"].values() for run in workload["runs"]]
    lost = [run for run in [*runs, *result["latency"]] if run.program != rival and run.missing]
    for run in lost:
        say(f"{run.program} lacks {run.missing:,} rows")
    return 1 if lost else 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures huntbeam stream on Flink against Kafka Streams.")
    parser.add_argument("--processes", type=int, default=25_000, help="of joinable, eight events each; 0: without it")
    parser.add_argument("--events", type=int, default=300_000, help="of the mix; 0: without it")
    parser.add_argument("--latency_seconds", type=int, default=60, help="of the latency; 0: without it")
    parser.add_argument("--rate", type=int, default=2_000, help="events/s of the latency")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each program; medians are shown")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds without a further row that end a run")
    parser.add_argument("--stream_options", default="", metavar="'...'", help="further options of huntbeam stream")
    args = parser.parse_args(argv)
    ended_by_term()
    CACHE.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="huntbeam-rival-") as scratch, local_stack(say) as stack:
            return bench(args, stack, Path(scratch))
    except (BenchError, UnusableError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        with suppress(OSError):
            say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
