"""What `huntbeam stream` does before and around a job: checks, topics, the plan, and where it runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huntbeam.pipelines.graph import Clock, Steps, output_streams
from huntbeam.pipelines.stream import Seeds, Stream
from huntbeam.pipelines.stream_options import DIRECT, StreamOptions, stream_options
from huntbeam.runners.kafka.clients import (
    KafkaUnusable,
    admin,
    bootstrap_servers,
    check_broker,
    explained,
    kafka_properties,
)
from huntbeam.runners.kafka.properties import client_config
from huntbeam.runners.kafka.topics import APPEND_TIME, ensure_topics, output_topic, timestamp_type
from huntbeam.runners.plans import plan_of
from huntbeam.schemas.streams import EVENTS
from huntbeam.transforms.kafka_io import Sink

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


def run_stream(args: argparse.Namespace) -> int | None:
    """Runs the command; gives the exit code."""
    options = stream_options(args)
    servers, properties = bootstrap_servers(args), kafka_properties(args)
    config = client_config(servers, properties)
    check_broker(config)
    with explained(config):
        client = admin(config)
        read_time = topics_by_read_time(client, _read(options))
        job = stream_job(options, bool(read_time))
        made = ensure_topics(client, [_spec(sink) for sink in job.sinks])
    if not options.quiet:
        _say_topics(made, read_time)
    if options.on == DIRECT:
        from huntbeam.runners.direct_stream import run_direct

        run_direct(options, job, config)
        return None
    from huntbeam.runners.flink_stream import run_flink

    return run_flink(options, job, servers, properties, read_time)


def stream_job(options: StreamOptions, read_time: bool) -> Stream:
    """The job that options describe."""
    clock = Clock(
        waits=options.waits,
        window_grace_ms=options.window_grace_ms,
        allowed_lateness_ms=options.allowed_lateness_ms,
        early_firing_ms=options.early_firing_ms,
        dedupe_window_ms=options.dedupe_window_ms,
        read_time=read_time,
    )
    steps = Steps(options.join, options.dedupe, EVENTS in options.streams, options.counters, options.window_ms, clock)
    sinks = [
        Sink(stream, options.outputs[stream], options.encoding, options.max_record_bytes)
        for stream in output_streams(steps)
    ]
    return Stream(options.topics, plan_of(options, terminates=True), steps, sinks, _seeds(options))


def _seeds(options: StreamOptions) -> Seeds | None:
    place = options.seed_creates
    if place is None:
        return None
    return Seeds(str(Path(place).absolute()) if _is_folder(place) else place, _is_folder(place), _now())


def _is_folder(place: str) -> bool:
    return Path(place).is_dir()


def _now() -> int:
    return int(time.time() * 1000)


def _read(options: StreamOptions) -> list[str]:
    seeds = options.seed_creates
    return [*options.topics, *([seeds] if seeds is not None and not _is_folder(seeds) else [])]


def topics_by_read_time(client: AdminClient, topics: Sequence[str]) -> list[str]:
    """The topics whose records carry no append time. Raises KafkaUnusable for one that is missing."""
    known = client.list_topics(timeout=10).topics
    for topic in topics:
        if topic not in known:
            raise KafkaUnusable(f"there is no topic {topic}: check its name, or make it with `huntbeam topics create`")
    return [topic for topic in topics if timestamp_type(client, topic) != APPEND_TIME]


def _spec(sink: Sink) -> Any:
    return output_topic(sink.stream)._replace(name=sink.topic)


def _say_topics(made: Sequence[str], read_time: Sequence[str]) -> None:
    if made:
        print(f"huntbeam: made {', '.join(made)}", file=sys.stderr)
    if read_time:
        print(
            f"huntbeam: {', '.join(read_time)}: no append times (message.timestamp.type is not LogAppendTime), so "
            f"waits count from the time of reading; `huntbeam topics create {' '.join(read_time)} --alter` mends it",
            file=sys.stderr,
        )
