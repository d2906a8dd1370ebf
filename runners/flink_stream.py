"""A stream on Flink: submitted, and watched or left alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from huntbeam.pipelines.stream import Stream
from huntbeam.pipelines.stream_options import TopicOptions
from huntbeam.runners.flink_addresses import addresses
from huntbeam.runners.flink_rest import ENDED, FlinkJob, FlinkRest, FlinkUnusable
from huntbeam.runners.kafka.java_config import java_config
from huntbeam.runners.stack.stack import default_home
from huntbeam.schemas.errors import UnusableError

EVERY = 5.0  # seconds between the lines of progress
_LOOK = 1.0
_APPEARS = 60.0  # seconds until a submitted job shows in Flink


def run_flink(
    options: TopicOptions,
    job: Stream,
    servers: str,
    properties: Mapping[str, str],
    read_time: Sequence[str],
) -> int | None:
    """Submits the job, whose needs were looked at; with --detach returns then, else when it has ended."""
    from huntbeam.runners.flink import beam_options, submit
    from huntbeam.runners.kafka.beam_ends import kafka_io

    at = addresses(options.flink)
    java = java_config(servers, properties, default_home().parent / "secrets")
    ends = kafka_io(options, java, at.expansion_service, read_time)
    rest = FlinkRest(at.flink_rest)
    before = {known.jid for known in rest.jobs()}
    if not options.quiet:
        print(f"huntbeam: {options.flink.job_name} goes to {at.job_endpoint}", file=sys.stderr)
    try:
        submit(job, ends, beam_options(options.flink, at, options.beam, bounded=options.max_records is not None))
    except RuntimeError as error:  # Beam's client wraps what the job server says
        raise UnusableError(f"the job server at {at.job_endpoint} refused the job: {_cause(error)}") from error
    running = _appeared(rest, options.flink.job_name, before)
    if options.flink.detach:
        print(running.jid)
        return None
    return _follow(rest, running, options.quiet)


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
    if job.state in ("FINISHED", "CANCELED"):  # cancelled: by `huntbeam jobs stop` or `cancel`, in another terminal
        return None
    print(f"huntbeam: the job {job.jid} {job.state.lower()}: {rest.cause(job.jid)}", file=sys.stderr)
    return 1


def _line(job: FlinkJob, counts: Mapping[str, int]) -> str:
    shown = ("received", "joined", "unmatched", "dead", "late")
    return f"huntbeam: {job.state.lower()}, " + ", ".join(f"{counts.get(name, 0):,} {name}" for name in shown)


def _cause(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
