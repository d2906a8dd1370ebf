"""A stream on Flink: submitted, and watched or left alone."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from huntbeam.pipelines.stream import Stream
from huntbeam.pipelines.stream_options import FlinkOptions, StreamOptions
from huntbeam.runners.flink_rest import ENDED, FlinkJob, FlinkRest, FlinkUnusable
from huntbeam.runners.kafka.java_config import java_config
from huntbeam.runners.stack.stack import default_home, running_addresses
from huntbeam.schemas.errors import UnusableError

if TYPE_CHECKING:
    from huntbeam.runners.flink import Addresses

EVERY = 5.0  # seconds between the lines of progress
_LOOK = 1.0
_APPEARS = 60.0  # seconds until a submitted job shows in Flink
_CONNECT = 5.0


def run_flink(
    options: StreamOptions,
    job: Stream,
    servers: str,
    properties: Mapping[str, str],
    read_time: Sequence[str],
) -> int | None:
    """Submits the job; with --detach returns then, else when it has ended."""
    at = addresses(options.flink)
    check(at, options.flink.parallelism)
    from huntbeam.runners.flink import KafkaIO, beam_options, submit

    java = java_config(servers, properties, default_home().parent / "secrets")
    consumer = {"auto.offset.reset": options.offset, "group.id": options.group_id, "enable.auto.commit": "false"}
    producer = {"linger.ms": "20", "acks": "all"}
    ends = KafkaIO(java | consumer, producer | java, at.expansion_service, read_time, options.max_records)
    rest = FlinkRest(at.flink_rest)
    before = {known.jid for known in rest.jobs()}
    if not options.quiet:
        print(f"huntbeam: {options.flink.job_name} goes to {at.job_endpoint}", file=sys.stderr)
    try:
        submit(job, ends, beam_options(options.flink, at, options.beam))
    except RuntimeError as error:  # Beam's client wraps what the job server says
        raise UnusableError(f"the job server at {at.job_endpoint} refused the job: {_cause(error)}") from error
    running = _appeared(rest, options.flink.job_name, before)
    if options.flink.detach:
        print(running.jid)
        return None
    return _follow(rest, running, options.quiet)


def addresses(flink: FlinkOptions) -> Addresses:
    """Where the cluster is: options, then the environment, then the local stack. Raises FlinkUnusable."""
    from huntbeam.runners.flink import Addresses

    local = running_addresses()
    wanted = {
        "job_endpoint": (flink.job_endpoint, local and local.job_endpoint),
        "expansion_service": (flink.expansion_service, local and local.expansion),
        "worker_pool": (flink.worker_pool, local and local.worker_pool),
        "flink_rest": (flink.flink_rest, local and local.flink_rest),
    }
    found = {name: option or os.environ.get(name.upper()) or stack for name, (option, stack) in wanted.items()}
    for name, address in found.items():
        if not address:
            raise FlinkUnusable(f"--{name} is not known: give it, set {name.upper()}, or start `huntbeam stack up`")
    return Addresses(**found)  # type: ignore[arg-type]  # none is None, see above


def check(at: Addresses, parallelism: int) -> None:
    """Raises FlinkUnusable when a part of the cluster does not answer: a job would hang, not fail."""
    _, free = FlinkRest(at.flink_rest).slots()
    if free < parallelism:
        raise FlinkUnusable(
            f"Flink at {at.flink_rest} has {free} free task slots, --parallelism {parallelism} needs {parallelism}: "
            "end a job, add a task manager, or ask for less"
        )
    for name, address in (
        ("job_endpoint", at.job_endpoint),
        ("expansion_service", at.expansion_service),
        ("worker_pool", at.worker_pool),
    ):
        if not answers(address):
            raise FlinkUnusable(
                f"nothing answers at {address} (--{name}): check the address, or run `huntbeam stack up` again"
            )


def answers(address: str) -> bool:
    """Whether HOST:PORT takes a connection."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _CONNECT):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _appeared(rest: FlinkRest, name: str, before: set[str]) -> FlinkJob:
    until = time.monotonic() + _APPEARS
    while time.monotonic() < until:
        found = [job for job in rest.jobs() if job.name == name and job.jid not in before]
        if found:
            return found[0]
        time.sleep(_LOOK / 2)
    raise FlinkUnusable(f"the job {name} does not show in Flink at {rest.url}: look at the job server's log")


def _follow(rest: FlinkRest, job: FlinkJob, quiet: bool) -> int | None:
    said = time.monotonic()
    try:
        while job.state not in ENDED:
            time.sleep(_LOOK)
            job = rest.job(job.jid)
            if not quiet and time.monotonic() - said >= EVERY:
                said = time.monotonic()
                print(_line(job, rest.counters(job.jid)), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        rest.cancel(job.jid)
        raise
    if job.state == "FINISHED":
        return None
    print(f"huntbeam: the job {job.jid} {job.state.lower()}: {rest.cause(job.jid)}", file=sys.stderr)
    return 1


def _line(job: FlinkJob, counts: Mapping[str, int]) -> str:
    shown = ("received", "joined", "unmatched", "dead", "late")
    return f"huntbeam: {job.state.lower()}, " + ", ".join(f"{counts.get(name, 0):,} {name}" for name in shown)


def _cause(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
