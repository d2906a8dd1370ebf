"""`huntbeam doctor`: whether what a stream needs is there, one line a check."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from huntbeam.pipelines.stream_options import DIRECT, FLINK, add_address_arguments
from huntbeam.runners.kafka.clients import add_kafka_arguments, kafka_config

if TYPE_CHECKING:
    from huntbeam.runners.doctor import Finding

_FAILED = 1
_EPILOG = """\
examples:
  huntbeam doctor --input_topic winlogbeat
  huntbeam doctor --on direct --bootstrap_servers broker:9093 --kafka_config client.properties

Each line is ok, warn or fail, what was looked at, and what was found. `huntbeam stream` looks at broker, topics and
Flink itself before it submits a job.

exit codes:
  0  nothing failed
  1  something did
  2  the command line cannot be understood
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "doctor",
        help="look at what a stream needs: broker, topics, Flink, Java",
        description="Looks at everything that `huntbeam stream` needs and says what is there and what is missing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--on", choices=(FLINK, DIRECT), default=FLINK, help="flink (default); direct needs no more than the broker"
    )
    parser.add_argument(
        "--input_topic", action="append", default=[], metavar="TOPIC", help="topic that is to be read; repeatable"
    )
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    add_kafka_arguments(parser)
    add_address_arguments(parser)
    parser.set_defaults(run=_run, interrupted="interrupted")


def _run(args: argparse.Namespace) -> int | None:
    from huntbeam.runners.doctor import Level

    failed = False
    for finding in _findings(args):
        print(f"{finding.level:<5} {finding.name:<18} {_plain(finding.said)}", flush=True)
        failed = failed or finding.level is Level.FAIL
    return _FAILED if failed else None


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    from huntbeam.runners.doctor import flink_findings, kafka_findings, local_stack, local_tools, versions

    yield versions()
    yield from kafka_findings(lambda: kafka_config(args), list(dict.fromkeys(args.input_topic)))
    if args.on == DIRECT:
        return
    yield from flink_findings(args, parallelism=1)
    yield local_stack()
    yield from local_tools()


def _plain(text: str) -> str:
    """Servers say what they want; a line stays a line."""
    return "".join(c if c.isprintable() else " " for c in text)
