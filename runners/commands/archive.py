"""`huntbeam archive`: topics as files."""

from __future__ import annotations

import argparse
from typing import Any

from huntbeam.runners.kafka.archive_options import ArchiveOptions, Roll
from huntbeam.runners.kafka.clients import add_kafka_arguments, kafka_config
from huntbeam.schemas.clock import parse_duration
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.row_writers import Format

FORMATS = ("parquet", "jsonl", "avro")

EPILOG = """\
examples:
  huntbeam archive --output landed
  huntbeam archive --output landed --topic SYSMON_JOIN --topic WINDOW_COUNTS --follow
  huntbeam archive --output landed --topic joins-once=sysmon_join --format jsonl

exit codes:
  0  done, or with --follow stopped by SIGINT or SIGTERM: what was read has landed and is committed
  1  the run failed; start it again to go on
  2  an option, a topic, the broker or the output folder cannot be used
  130  stopped before the topics' ends; what was read has landed and is committed
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "archive",
        help="topics of the stream, as files",
        description="Lands the topics of the stream as files, one folder a stream, each row once, also when it is\n"
        "killed and started again. What cannot be decoded is in the folder `undecodable`.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="local folder, one folder a stream in it")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="NAME[=STREAM]",
        help="topic to land, and its stream where the name does not tell; repeatable (default: every stream's)",
    )
    parser.add_argument("--topic_prefix", default="", metavar="P", help="what the topics' names begin with")
    parser.add_argument("--format", choices=FORMATS, default="parquet", help="format of the files (default: parquet)")
    parser.add_argument(
        "--follow", action="store_true", help="go on with what comes (default: end at the topics' ends)"
    )
    parser.add_argument("--group_id", metavar="ID", help="consumer group (default: made from the output folder)")
    parser.add_argument(
        "--dedupe_window", default="24h", metavar="TIME", help="how far apart copies of a row may come (default: 24h)"
    )
    roll = parser.add_argument_group("a file is complete")
    roll.add_argument("--roll_rows", type=int, default=100_000, metavar="N", help="with so many rows (default: 100000)")
    roll.add_argument(
        "--roll_bytes",
        type=int,
        default=128_000_000,
        metavar="N",
        help="with so many bytes of records (default: 128 MB)",
    )
    roll.add_argument("--roll_interval", default="60s", metavar="TIME", help="after so long (default: 60s)")
    run = parser.add_argument_group("running")
    run.add_argument("--quiet", action="store_true", help="no progress and no summary")
    run.add_argument("--verbose", action="store_true", help="show the log")
    add_kafka_arguments(parser)
    parser.set_defaults(run=_run, interrupted="interrupted; start it again to go on")


def archive_options(args: argparse.Namespace) -> ArchiveOptions:
    """The options as values. Raises UnusableError."""
    for name in ("roll_rows", "roll_bytes"):
        if getattr(args, name) < 1:
            raise UnusableError(f"--{name} {getattr(args, name)}: write a number from 1 on")
    return ArchiveOptions(
        output=args.output,
        topics=tuple(args.topic),
        topic_prefix=args.topic_prefix,
        format=Format(args.format),
        group_id=args.group_id,
        roll=Roll(args.roll_rows, args.roll_bytes, _duration("--roll_interval", args.roll_interval) / 1000),
        dedupe_window_ms=_duration("--dedupe_window", args.dedupe_window),
        follow=args.follow,
        quiet=args.quiet,
    )


def _duration(option: str, written: str) -> int:
    try:
        return parse_duration(written)
    except ValueError as error:
        raise UnusableError(f"{option}: {error}") from error


def _run(args: argparse.Namespace) -> int:
    from huntbeam.runners.kafka.archive import run_archive

    return run_archive(archive_options(args), kafka_config(args))
