"""What `huntbeam stream` does before and around a job: checks, topics, the plan, and where it runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from huntbeam.pipelines.graph import Clock, Wired
from huntbeam.pipelines.options import RuleOptions
from huntbeam.pipelines.stream import Seeds, Stream
from huntbeam.pipelines.stream_options import DIRECT, FLINK, LATEST, StreamOptions, TopicOptions, stream_options
from huntbeam.runners.console import said
from huntbeam.runners.doctor import Finding, Level, by_read_time, flink_findings, kafka_findings, passed
from huntbeam.runners.kafka.clients import admin, bootstrap_servers, explained, kafka_properties
from huntbeam.runners.kafka.group import begin
from huntbeam.runners.kafka.properties import client_config
from huntbeam.runners.kafka.topics import ensure_topics, output_topic
from huntbeam.runners.plans import Planned, plan_of
from huntbeam.runners.search.ready import look
from huntbeam.runners.steps import steps_of
from huntbeam.schemas.ecs import AlertFormat
from huntbeam.transforms.files import absolute, is_remote
from huntbeam.transforms.kafka_io import Sink

R = TypeVar("R", bound=RuleOptions)


def run_stream(args: argparse.Namespace) -> int | None:
    """Runs the command; gives the exit code."""
    options = for_workers(stream_options(args))
    return run_topics(args, options, partial(stream_job, options), _seed_topics(options))


def run_topics(
    args: argparse.Namespace, options: TopicOptions, job_of: Callable[[bool], Stream], seeds: Sequence[str] = ()
) -> int | None:
    """Runs a job on topics; `job_of` is told whether arrivals are times of reading. `seeds` are read as a whole."""
    servers, properties = bootstrap_servers(args), kafka_properties(args)
    config = client_config(servers, properties)
    if options.dataflow is not None and options.dataflow.template:  # nothing runs, so nothing is looked at or made
        _on_dataflow(options, job_of(False), servers, properties, ())
        return None
    found = passed(_needs(options, config, seeds))
    read_time = by_read_time(found)
    job = job_of(bool(read_time))
    if options.index is not None:
        look(options.index, job.steps.streams(), said(options.quiet), cloud=options.dataflow is not None)
    with explained(config):
        client = admin(config)
        made = ensure_topics(client, [_spec(sink) for sink in job.sinks])
        if options.on != DIRECT and options.flink.savepoint is None:
            begin(client, options.group_id, options.topics, latest=options.offset == LATEST)
            if seeds:  # the past is always read as a whole
                begin(client, options.group_id, seeds, latest=False)
    if not options.quiet:
        _say(made, found)
    if options.on == DIRECT:
        from huntbeam.runners.direct_stream import run_direct

        run_direct(options, job, config)
        return None
    if options.dataflow is not None:
        _on_dataflow(options, job, servers, properties, read_time)
        return None
    from huntbeam.runners.flink_stream import run_flink

    return run_flink(options, job, servers, properties, read_time)


def _on_dataflow(
    options: TopicOptions, job: Stream, servers: str, properties: Mapping[str, str], read_time: Sequence[str]
) -> None:
    from huntbeam.runners.dataflow_stream import run_dataflow

    run_dataflow(options, job, servers, properties, read_time)


def for_workers(options: R) -> R:
    """With paths that other processes understand."""
    return replace(
        options,
        rules=tuple(map(absolute, options.rules)),
        rule_pipelines=tuple(map(absolute, options.rule_pipelines)),
        rule_cache=options.rule_cache and absolute(options.rule_cache),
    )


def reload_every(options: TopicOptions, files: Sequence[str]) -> float | None:
    """Seconds between two looks for other rules; None: the run ends with what is there, or its workers lack a file."""
    if options.on == DIRECT or (options.dataflow is not None and not all(map(is_remote, files))):
        return None
    return options.rule_reload_ms / 1000


def _needs(options: TopicOptions, config: Mapping[str, str], seeds: Sequence[str]) -> Iterator[Finding]:
    """Looks at what the job needs, before anything is made or submitted."""
    latest = options.topics if options.offset == LATEST else ()
    yield from kafka_findings(lambda: config, [*options.topics, *seeds], latest)
    if options.on == FLINK:
        yield from flink_findings(options.flink, options.flink.parallelism)


def stream_job(options: StreamOptions, read_time: bool) -> Stream:
    """The job that options describe."""
    clock = Clock(
        waits=options.waits,
        window_grace_ms=options.window_grace_ms,
        allowed_lateness_ms=options.allowed_lateness_ms,
        early_firing_ms=options.early_firing_ms,
        dedupe_window_ms=options.dedupe_window_ms,
        correlation_wait_ms=options.correlation_wait_ms,
        read_time=read_time,
    )
    planned = plan_of(
        options, said(options.quiet), terminates=True, watch_every=reload_every(options, options.rule_files)
    )
    steps = steps_of(options, planned, clock)
    return job_with(options, planned, steps, _seeds(options), options.alert_format)


def job_with(
    options: TopicOptions,
    planned: Planned,
    steps: Wired,
    seeds: Seeds | None = None,
    alerts: AlertFormat = AlertFormat.COLUMNS,
) -> Stream:
    """The job that does some steps between the topics of its options."""
    sinks = [
        Sink(stream, options.outputs[stream], options.encoding, options.max_record_bytes, alerts)
        for stream in steps.streams()
    ]
    return Stream(options.topics, planned.plan, steps, sinks, seeds, options.index)


def _seeds(options: StreamOptions) -> Seeds | None:
    place = options.seed_creates
    if place is None:
        return None
    return Seeds(str(Path(place).absolute()) if _is_folder(place) else place, _is_folder(place), _now())


def _is_folder(place: str) -> bool:
    return Path(place).is_dir()


def _now() -> int:
    return int(time.time() * 1000)


def _seed_topics(options: StreamOptions) -> list[str]:
    seeds = options.seed_creates
    return [] if seeds is None or _is_folder(seeds) else [seeds]


def _spec(sink: Sink) -> Any:
    return output_topic(sink.stream)._replace(name=sink.topic)


def _say(made: Sequence[str], found: Sequence[Finding]) -> None:
    lines = [f"made {', '.join(made)}"] if made else []
    for line in lines + [finding.said for finding in found if finding.level is Level.WARN]:
        print(f"huntbeam: {line}", file=sys.stderr)
