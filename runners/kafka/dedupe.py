"""`huntbeam topics dedupe IN OUT`: its options. The work is in huntbeam.runners.kafka.copy_once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from huntbeam.runners.kafka.clients import add_kafka_arguments, kafka_config
from huntbeam.schemas.clock import parse_duration
from huntbeam.schemas.errors import UnusableError


@dataclass(frozen=True)
class DedupeOptions:
    """What `huntbeam topics dedupe` was asked to do."""

    source: str
    target: str
    group_id: str
    window_ms: int
    max_rows: int
    follow: bool
    quiet: bool

    @property
    def transactional_id(self) -> str:
        """One for each pair of topics, whatever the group: a second instance shuts the first out of OUT."""
        return f"huntbeam-dedupe:{self.source}:{self.target}"


def add_dedupe(subcommands: Any) -> None:
    """Declares the command."""
    parser = subcommands.add_parser(
        "dedupe",
        help="copy a topic, each row once",
        description="Copies the topic IN to OUT so that a read_committed consumer of OUT sees each row once, also\n"
        "when this command is killed and started again. Of a window's row higher counts go on, too.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="IN", help="topic to read")
    parser.add_argument("target", metavar="OUT", help="topic to write; made like IN if it is missing")
    parser.add_argument("--follow", action="store_true", help="go on with what comes (default: end at IN's end)")
    parser.add_argument("--group_id", metavar="ID", help="consumer group (default: huntbeam-dedupe:IN:OUT)")
    parser.add_argument(
        "--window", default="24h", metavar="TIME", help="how far apart copies of a row may come (default: 24h)"
    )
    parser.add_argument(
        "--max_transaction_rows",
        type=int,
        default=10_000,
        metavar="N",
        help="records in a transaction, which also ends after a second (default: 10000)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")
    parser.add_argument("--verbose", action="store_true", help="show the log")
    add_kafka_arguments(parser)
    parser.set_defaults(run=_run, interrupted="interrupted; start it again to go on")


def dedupe_options(args: argparse.Namespace) -> DedupeOptions:
    """The options as values. Raises UnusableError."""
    if args.source == args.target:
        raise UnusableError(f"IN and OUT are both {args.source}: name another topic to write")
    if args.max_transaction_rows < 1:
        raise UnusableError(f"--max_transaction_rows {args.max_transaction_rows}: write a number from 1 on")
    try:
        window_ms = parse_duration(args.window)
    except ValueError as error:
        raise UnusableError(f"--window: {error}") from error
    return DedupeOptions(
        source=args.source,
        target=args.target,
        group_id=args.group_id or f"huntbeam-dedupe:{args.source}:{args.target}",
        window_ms=window_ms,
        max_rows=args.max_transaction_rows,
        follow=args.follow,
        quiet=args.quiet,
    )


def _run(args: argparse.Namespace) -> int:
    from huntbeam.runners.kafka.copy_once import copy_once

    return copy_once(dedupe_options(args), kafka_config(args))
