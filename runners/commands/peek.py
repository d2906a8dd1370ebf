"""`huntbeam peek`: rows of a topic or of a replay's results, as JSON lines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from huntbeam.runners.kafka.clients import add_kafka_arguments, explained, kafka_config
from huntbeam.runners.where import Condition, conditions
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.row_files import folder_rows

INTERRUPTED = 130

_EPILOG = """\
examples:
  huntbeam peek SYSMON_JOIN --limit 3
  huntbeam peek SYSMON_JOIN --where dst_port=445 --where 'process_path=*powershell.exe' | jq .process_command_line
  huntbeam peek WINDOW_COUNTS --where 'key.host=ws-*' --follow --from end
  huntbeam peek out/sysmon_join --where 'user_account=CORP\\\\*'

A folder of that name goes before a topic. Null matches the empty value (--where process_guid=).
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "peek",
        help="rows of a topic or a folder as JSON lines",
        description="Prints the rows of a Kafka topic, or of the results of a replay, one JSON object a line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", metavar="TOPIC|DIR", help="a topic; or the output of a replay, or one stream's folder"
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="only rows whose field has this text, whatever its case; * and ? match; repeatable, all have to hold",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="end after N rows")
    parser.add_argument("--follow", action="store_true", help="wait for further records of the topic")
    parser.add_argument(
        "--from",
        dest="start",
        choices=("beginning", "end"),
        default="beginning",
        help="where in the topic to begin (default: beginning)",
    )
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    add_kafka_arguments(parser)
    parser.set_defaults(run=_run, interrupted="interrupted")


def _run(args: argparse.Namespace) -> int | None:
    if args.limit is not None and args.limit < 1:
        raise UnusableError(f"--limit {args.limit}: write a number from 1 on")
    wanted = conditions(args.where)
    try:
        if Path(args.source).is_dir():
            _print(_of_folder(args), wanted, args.limit)
        else:
            _of_topic(args, wanted)
    except KeyboardInterrupt:
        if not args.follow:
            raise
        return INTERRUPTED  # the usual end of --follow, about which there is nothing to say
    return None


def _of_folder(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if args.follow or args.start != "beginning":
        raise UnusableError(f"{args.source} is a folder: --follow and --from are for topics; leave them out")
    return folder_rows(Path(args.source))


def _of_topic(args: argparse.Namespace, wanted: Sequence[Condition]) -> None:
    if "/" in args.source:
        raise UnusableError(f"there is no folder {args.source}, and no topic has a / in its name: check the path")
    if args.start == "end" and not args.follow:
        raise UnusableError("--from end shows what comes after now: add --follow")
    config = kafka_config(args)
    with explained(config):
        from huntbeam.runners.kafka.peek import topic_rows

        _print(topic_rows(config, args.source, args.start == "end", args.follow), wanted, args.limit)


def _print(
    rows: Iterator[dict[str, Any]] | Iterator[dict[str, Any] | None], wanted: Sequence[Condition], limit: int | None
) -> None:
    """Prints the rows that are wanted; at a None, when nothing more has come yet, they are shown."""
    out, safe = sys.stdout.buffer, sys.stdout.isatty()
    left = limit
    for row in rows:
        if row is None:
            out.flush()
        elif all(condition.holds(row) for condition in wanted):
            out.write(_line(row, safe))
            left = None if left is None else left - 1
            if left == 0:
                break
    out.flush()


def _line(row: dict[str, Any], safe: bool) -> bytes:
    """A row as JSON; for a terminal in ASCII, so that no text of an attacker can steer it."""
    text = json.dumps(row, ensure_ascii=safe, separators=(",", ":"))
    return (text.replace("\x7f", "\\u007f") if safe else text).encode() + b"\n"
