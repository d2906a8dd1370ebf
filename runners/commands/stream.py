"""`huntbeam stream`: topics in, topics out, without an end."""

from __future__ import annotations

import argparse
from typing import Any

from huntbeam.pipelines.stream_options import STREAM_EPILOG, add_stream_arguments
from huntbeam.runners.kafka.clients import add_kafka_arguments


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "stream",
        help="Kafka topics in, results out as topics, without an end",
        description="Reads Winlogbeat's events from Kafka and writes process creates, network connects, their join,\n"
        "the connects without a create, counts in tumbling windows, and dead letters to topics.",
        epilog=STREAM_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_kafka_arguments(parser)
    add_stream_arguments(parser)
    parser.set_defaults(run=_run, interrupted="interrupted; the job was cancelled")


def _run(args: argparse.Namespace) -> int | None:
    from huntbeam.runners.streaming import run_stream

    return run_stream(args)
