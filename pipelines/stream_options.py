"""The options of `huntbeam stream`. Ours are parsed before Beam's, which has a `--bootstrap_servers` of its own."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from huntbeam.pipelines.counters import COUNTERS_HELP
from huntbeam.pipelines.dataflow_options import DATAFLOW, DataflowOptions, add_dataflow_arguments, dataflow_options
from huntbeam.pipelines.index_options import Indexing, add_index_arguments, indexing
from huntbeam.pipelines.options import (
    OptionError,
    StepOptions,
    add_step_arguments,
    duration,
    refuse_ecs,
    step_values,
)
from huntbeam.pipelines.replay_options import add_run_arguments
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.keyed_match import Waits
from huntbeam.transforms.topic_rows import LEAST_RECORD_BYTES, MAX_RECORD_BYTES, Encoding, topic_name

FLINK, DIRECT = "flink", "direct"
EARLIEST, LATEST = "earliest", "latest"
_MOST_PARALLEL = 128


@dataclass(frozen=True, kw_only=True)
class FlinkOptions:
    """How a job runs on Flink; an address that is None comes from the environment or the local stack."""

    job_endpoint: str | None
    expansion_service: str | None
    worker_pool: str | None
    flink_rest: str | None
    job_name: str
    parallelism: int
    max_parallelism: int
    checkpointing_ms: int
    bundle_ms: int
    savepoint: str | None
    detach: bool


@dataclass(frozen=True, kw_only=True)
class TopicOptions:
    """Topics in, topics out, whatever the records."""

    on: str
    topics: tuple[str, ...]
    offset: str
    group_id: str
    max_records: int | None
    outputs: dict[str, str]  # stream -> topic
    encoding: Encoding
    max_record_bytes: int
    window_grace_ms: int
    allowed_lateness_ms: int
    early_firing_ms: int | None
    correlation_wait_ms: int
    rule_reload_ms: int
    flink: FlinkOptions
    dataflow: DataflowOptions | None
    quiet: bool
    verbose: bool
    index: Indexing | None
    beam: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StreamOptions(StepOptions, TopicOptions):
    """What `huntbeam stream` was asked to do."""

    seed_creates: str | None
    waits: Waits
    dedupe_window_ms: int


STREAM_EPILOG = f"""\
examples:
  huntbeam stack up && . <(huntbeam stack env | sed 's/^/export /')
  huntbeam stream --input_topic winlogbeat --input_topic wineventlogs --on flink --detach
  huntbeam stream --bootstrap_servers broker:9093 --kafka_config client.properties --input_topic winlogbeat --on flink
  huntbeam stream --input_topic winlogbeat --on flink --enrich 3,7,8,10,11,12,13,22 --rules rules/
  huntbeam stream --input_topic winlogbeat --on direct --max_records 100000
  huntbeam stream --input_topic winlogbeat --on flink --index https://search:9200 --index_auth file:/etc/huntbeam/login

time: rows wait by Kafka's append time, never by a host's clock. A topic whose message.timestamp.type is not
LogAppendTime is read with the time of reading instead, and the start says so; `huntbeam topics create` makes it right.

{COUNTERS_HELP}
exit codes:
  0  done, or with --detach: submitted
  1  the job failed
  2  an option, a server or a topic cannot be used
  130  interrupted; the job was cancelled
"""


def add_stream_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `huntbeam stream`, but those of Kafka's access."""
    read = add_topic_arguments(parser, required=True)
    read.add_argument(
        "--seed_creates",
        metavar="TOPIC|DIR",
        help="process creates from before the job: a SYSMON_PROCESS_CREATE topic or a folder that replay wrote",
    )
    steps = add_step_arguments(parser)
    _add_waits(steps)
    add_lateness_arguments(steps)
    add_correlation_argument(steps)
    steps.add_argument("--dedupe_window", default="24h", metavar="TIME", help="how long copies are told apart (24h)")
    add_index_arguments(parser)
    add_flink_arguments(parser)
    add_dataflow_arguments(parser)
    add_run_arguments(parser)


def add_topic_arguments(parser: argparse.ArgumentParser, *, required: bool) -> Any:
    """Declares where a job runs and which topics it reads and writes; gives the group of what is read."""
    parser.add_argument(
        "--on",
        choices=(FLINK, DIRECT, DATAFLOW),
        default=FLINK,
        help="flink (default): a job that runs on; direct: in this process, without Java, to the topics' end; "
        "dataflow: a job on Google Cloud",
    )
    read = _add_input(parser, required)
    _add_output(parser)
    return read


def add_address_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Declares where Flink and Beam's services are; gives the group for further options of Flink."""
    flink = parser.add_argument_group("Flink (addresses: from the environment, else of `huntbeam stack`)")
    flink.add_argument("--job_endpoint", metavar="HOST:PORT", help="Beam's job server (JOB_ENDPOINT)")
    flink.add_argument("--expansion_service", metavar="HOST:PORT", help="KafkaIO's (EXPANSION_SERVICE)")
    flink.add_argument("--worker_pool", metavar="HOST:PORT", help="Python workers (WORKER_POOL)")
    flink.add_argument("--flink_rest", metavar="URL", help="Flink's REST interface (FLINK_REST)")
    return flink


def _add_input(parser: argparse.ArgumentParser, required: bool) -> Any:
    read = parser.add_argument_group("topics: input")
    read.add_argument(
        "--input_topic", action="append", required=required, metavar="TOPIC", help="topic with events; repeatable"
    )
    read.add_argument(
        "--offset",
        choices=(EARLIEST, LATEST),
        default=EARLIEST,
        help="where a job without a savepoint begins (default: earliest)",
    )
    read.add_argument("--group_id", default="huntbeam", metavar="ID", help="consumer group: for monitoring only")
    read.add_argument(
        "--max_records",
        type=int,
        metavar="N",
        help="end after this many records of each topic, at the latest after 2 minutes of reading",
    )
    return read


def _add_output(parser: argparse.ArgumentParser) -> None:
    write = parser.add_argument_group("topics: output")
    write.add_argument("--topic_prefix", default="", metavar="PREFIX", help="before the name of every output topic")
    write.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="STREAM=NAME",
        help="another topic for a stream, such as sysmon_join=hunt.join; repeatable",
    )
    write.add_argument("--encoding", choices=[e.value for e in Encoding], default=Encoding.JSON.value)
    write.add_argument(
        "--max_record_bytes",
        type=int,
        default=MAX_RECORD_BYTES,
        metavar="N",
        help=f"longer rows are cut and say so (default: {MAX_RECORD_BYTES:,})",
    )


def _add_waits(steps: argparse._ArgumentGroup) -> None:
    steps.add_argument(
        "--join_wait",
        default="10m",
        metavar="TIME",
        help="a connect, or an event of --enrich, waits for its create (10m)",
    )
    steps.add_argument("--process_ttl", default="7d", metavar="TIME", help="a create waits for further connects (7d)")
    steps.add_argument("--terminate_grace", metavar="TIME", help="the same once the process ended (as --join_wait)")


def add_lateness_arguments(steps: Any) -> None:
    """Declares how long a stream waits for what belongs to a window."""
    steps.add_argument("--window_grace", default="1m", metavar="TIME", help="a window waits behind its end (1m)")
    steps.add_argument(
        "--allowed_lateness", default="1h", metavar="TIME", help="late events join their row or group (1h)"
    )
    steps.add_argument("--early_firing", metavar="TIME", help="put growing windows out this often")


def add_correlation_argument(group: Any) -> None:
    """Declares how long a stream waits for the events of a correlation."""
    group.add_argument("--correlation_wait", default="30s", metavar="TIME", help="from an event to its group (30s)")


def add_flink_arguments(parser: argparse.ArgumentParser, job_name: str = "huntbeam-stream") -> None:
    """Declares how a job runs on Flink."""
    flink = add_address_arguments(parser)
    flink.add_argument("--job_name", default=job_name, metavar="NAME", help=f"default: {job_name}")
    flink.add_argument("--parallelism", type=int, default=2, metavar="N", help="subtasks and worker processes (2)")
    flink.add_argument(
        "--max_parallelism",
        type=int,
        default=_MOST_PARALLEL,
        metavar="N",
        help=f"the most a later resume may use ({_MOST_PARALLEL}); fixed from the first start on",
    )
    flink.add_argument("--checkpointing_interval", default="10s", metavar="TIME", help="between checkpoints (10s)")
    flink.add_argument(
        "--bundle_time", default="1s", metavar="TIME", help="records are worked on together this long (1s)"
    )
    flink.add_argument(
        "--rule_reload",
        default="30s",
        metavar="TIME",
        help="look this often whether the files of --rules and --pipeline changed; the job takes them up (30s)",
    )
    flink.add_argument("--savepoint", metavar="PATH", help="resume from this savepoint or checkpoint")
    flink.add_argument("--detach", action="store_true", help="leave the job running and return (`huntbeam jobs`)")


def stream_options(args: argparse.Namespace) -> StreamOptions:
    """The options as values. Raises OptionError."""
    topics, values = topic_values(args), step_values(args)
    if args.encoding != Encoding.JSON:
        refuse_ecs(values["alert_format"], "--encoding", args.encoding)
    return StreamOptions(
        **values,
        **topics,
        seed_creates=args.seed_creates,
        waits=_waits(args),
        dedupe_window_ms=duration("--dedupe_window", args.dedupe_window),
    )


def topic_values(args: argparse.Namespace) -> dict[str, Any]:
    """The values of TopicOptions. Raises OptionError."""
    for option in ("max_records", "parallelism", "max_parallelism"):
        if getattr(args, option) is not None and getattr(args, option) < 1:
            raise OptionError(f"--{option} {getattr(args, option)}: write 1 or more")
    if args.parallelism > args.max_parallelism:
        raise OptionError(f"--parallelism {args.parallelism} is over --max_parallelism {args.max_parallelism}")
    if args.max_record_bytes < LEAST_RECORD_BYTES:
        raise OptionError(f"--max_record_bytes {args.max_record_bytes}: write {LEAST_RECORD_BYTES} or more")
    return {
        "on": args.on,
        "topics": tuple(dict.fromkeys(args.input_topic)),
        "offset": args.offset,
        "group_id": args.group_id,
        "max_records": args.max_records,
        "outputs": _outputs(args),
        "encoding": Encoding(args.encoding),
        "max_record_bytes": args.max_record_bytes,
        "window_grace_ms": duration("--window_grace", args.window_grace),
        "allowed_lateness_ms": duration("--allowed_lateness", args.allowed_lateness),
        "correlation_wait_ms": duration("--correlation_wait", args.correlation_wait),
        "rule_reload_ms": duration("--rule_reload", args.rule_reload),
        "early_firing_ms": duration("--early_firing", args.early_firing) if args.early_firing else None,
        "flink": _flink(args),
        "dataflow": dataflow_options(args),
        "quiet": args.quiet,
        "verbose": args.verbose,
        "index": indexing(args),
        "beam": tuple(args.beam),
    }


def _waits(args: argparse.Namespace) -> Waits:
    join = duration("--join_wait", args.join_wait)
    grace = join if args.terminate_grace is None else duration("--terminate_grace", args.terminate_grace)
    return Waits(join=join, process_ttl=duration("--process_ttl", args.process_ttl), terminate_grace=grace)


def _flink(args: argparse.Namespace) -> FlinkOptions:
    return FlinkOptions(
        job_endpoint=args.job_endpoint,
        expansion_service=args.expansion_service,
        worker_pool=args.worker_pool,
        flink_rest=args.flink_rest,
        job_name=args.job_name,
        parallelism=args.parallelism,
        max_parallelism=args.max_parallelism,
        checkpointing_ms=duration("--checkpointing_interval", args.checkpointing_interval),
        bundle_ms=duration("--bundle_time", args.bundle_time),
        savepoint=args.savepoint,
        detach=args.detach,
    )


def _outputs(args: argparse.Namespace) -> dict[str, str]:
    named = {}
    for written in args.topic:
        stream, _, topic = written.partition("=")
        if stream.lower() not in STREAMS or not topic:
            raise OptionError(f"--topic {written}: write STREAM=NAME; the streams are {', '.join(STREAMS)}")
        named[stream.lower()] = topic
    outputs = {stream: named.get(stream) or topic_name(stream, args.topic_prefix) for stream in STREAMS}
    for topic in args.input_topic:
        if topic in outputs.values():
            raise OptionError(f"--input_topic {topic} is an output topic, too: the job would read its own rows")
    return outputs
