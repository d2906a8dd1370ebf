"""`huntbeam topics`: makes the topics that the stream reads and writes, and shows them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from huntbeam.runners.kafka.clients import add_kafka_arguments, admin, check_broker, explained, kafka_config
from huntbeam.schemas.clock import DAY, HOUR, MINUTE, SECOND, parse_duration
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.topic_rows import topic_name

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from huntbeam.runners.kafka.topics import TopicInfo, TopicSpec

_EPILOG = """\
examples:
  huntbeam topics create                       # the topics of all output streams
  huntbeam topics create winlogbeat sysmon_join --partitions 6 --retention 3d
  huntbeam topics create winlogbeat --alter    # an existing topic takes the broker's time from now on
  huntbeam topics list --topic_prefix lab.
"""
_NUMBERS = ("partitions", "copies", "records")
_COLUMNS = ("topic", *_NUMBERS, "timestamp", "cleanup", "retention")
_FOLDED = ("timestamp", "cleanup")  # on a narrow terminal; a name or a number that is cut short is of no use


def add(commands: Any) -> None:
    """Declares the command."""
    from huntbeam.runners.kafka.dedupe import add_dedupe

    parser = commands.add_parser(
        "topics",
        help="make and show Kafka topics",
        description="Makes and shows the Kafka topics that the stream reads and writes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
    _add_create(subcommands)
    _add_list(subcommands)
    add_dedupe(subcommands)


def _add_create(subcommands: Any) -> None:
    parser = subcommands.add_parser("create", help="make topics that are missing", epilog=_EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "name", nargs="*", metavar="NAME", help="an output stream, or an input topic (default: all output streams)"
    )
    parser.add_argument("--topic_prefix", default="", metavar="TEXT", help="what the output topics' names begin with")
    parser.add_argument("--partitions", type=int, default=3, metavar="N", help="of each topic (default: 3)")
    parser.add_argument(
        "--replication_factor", type=int, metavar="N", help="copies (default: as many as brokers, 3 at most)"
    )
    parser.add_argument("--retention", metavar="TIME", help="how long records stay (default: 7d, DEAD_LETTERS 30d)")
    parser.add_argument("--alter", action="store_true", help="set existing topics to the broker's time (LogAppendTime)")
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    add_kafka_arguments(parser)
    parser.set_defaults(run=_create, interrupted="interrupted; `huntbeam topics list` shows what was made")


def _add_list(subcommands: Any) -> None:
    parser = subcommands.add_parser("list", help="show topics: records, partitions, time, retention")
    parser.add_argument("--topic_prefix", default="", metavar="TEXT", help="only topics that begin with it")
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    add_kafka_arguments(parser)
    parser.set_defaults(run=_list, interrupted="interrupted")


def _create(args: argparse.Namespace) -> None:
    specs = _specs(args)
    config = kafka_config(args)
    check_broker(config)
    with explained(config):
        from huntbeam.runners.kafka.topics import ensure_topics

        client = admin(config)
        created = ensure_topics(client, specs)
        for spec in specs:
            print(f"{spec.name} {'was made' if spec.name in created else 'is there already'}")
        _see_to_times(client, [spec.name for spec in specs if spec.name not in created], args.alter)


def _specs(args: argparse.Namespace) -> list[TopicSpec]:
    """The topics that were asked for, each once. Raises UnusableError."""
    from huntbeam.runners.kafka.topics import input_topic, output_topic

    for option, number in (("partitions", args.partitions), ("replication_factor", args.replication_factor)):
        if number is not None and number < 1:
            raise UnusableError(f"--{option} {number}: write a number from 1 on")
    try:
        retention = parse_duration(args.retention) if args.retention else None
    except ValueError as error:
        raise UnusableError(f"--retention: {error}") from error
    shape = (args.partitions, args.replication_factor, retention)
    specs: dict[str, TopicSpec] = {}
    for name in args.name or STREAMS:
        stream = _stream(name, args.topic_prefix)
        spec = output_topic(stream, args.topic_prefix, *shape) if stream else input_topic(name, *shape)
        specs[spec.name] = spec
    return list(specs.values())


def _stream(name: str, prefix: str) -> str | None:
    """The output stream of a name: `sysmon_join`, `SYSMON_JOIN`, or with the prefix."""
    return next((s for s in STREAMS if name.lower() == s or name == topic_name(s, prefix)), None)


def _see_to_times(client: AdminClient, existing: Sequence[str], alter: bool) -> None:
    from huntbeam.runners.kafka.topics import APPEND_TIME, set_append_time, timestamp_type

    others = [name for name in existing if timestamp_type(client, name) != APPEND_TIME]
    if alter:
        set_append_time(client, others)
        for name in others:
            print(f"{name} takes the broker's time from now on")
    elif others:
        print(
            f"huntbeam: {', '.join(others)}: records carry their producers' times (CreateTime), so waits would go by "
            f"the hosts' clocks; `huntbeam topics create {' '.join(others)} --alter` makes it the broker's",
            file=sys.stderr,
        )


def _list(args: argparse.Namespace) -> None:
    config = kafka_config(args)
    check_broker(config)
    with explained(config):
        from huntbeam.runners.kafka.topics import describe, own_topics

        client = admin(config)
        infos = describe(client, own_topics(client, args.topic_prefix))
    if sys.stdout.isatty():
        _table(infos)
        return
    print("\t".join(_COLUMNS))
    for info in infos:
        print("\t".join(_cells(info)))


def _table(infos: Sequence[TopicInfo]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        justify: Literal["left", "right"] = "right" if name in _NUMBERS else "left"
        table.add_column(name, justify=justify, no_wrap=name not in _FOLDED, overflow="fold")
    for info in infos:
        table.add_row(*_cells(info))  # the names of topics are letters, digits, dots, underscores and dashes
    Console().print(table)


def _cells(info: TopicInfo) -> tuple[str, ...]:
    numbers = (str(info.partitions), str(info.replication), str(info.records))
    return (info.name, *numbers, info.timestamp_type, info.cleanup_policy, duration_text(info.retention_ms))


def duration_text(millis: int | None) -> str:
    """A duration in the largest unit that fits; None is for ever."""
    if millis is None:
        return "for ever"
    units = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND))
    return next((f"{millis // size}{unit}" for unit, size in units if millis % size == 0), f"{millis}ms")
