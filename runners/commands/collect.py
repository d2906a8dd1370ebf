"""`huntbeam collect`: syslog to Kafka."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huntbeam.runners.kafka.clients import add_kafka_arguments, kafka_config
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.size import parse_size

if TYPE_CHECKING:
    from huntbeam.runners.collect.options import CollectOptions
    from huntbeam.runners.collect.tcp import TcpSettings

EPILOG = """\
examples:
  huntbeam topics create monster
  huntbeam collect --syslog 127.0.0.1:1514 --topic monster
  huntbeam collect --syslog 192.0.2.7:1514 --tcp --topic monster --metrics 127.0.0.1:9514
  huntbeam collect --topic monster --spool /var/spool/huntbeam --spool_max_bytes 20GiB --kafka_config kafka.properties

The line's counts, and how to give the kernel a larger buffer: docs/collect.md.

exit codes:
  0  stopped by SIGINT or SIGTERM: what was taken is delivered, or left in the spool, which is said
  1  the run failed; what was not delivered is in the spool
  2  an option, an address, the topic, the broker's login or the spool cannot be used
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "collect",
        help="syslog to Kafka: datagrams and TCP, with a spool on disk",
        description="Takes records by syslog (UDP, and TCP with --tcp), takes their headers off (RFC 3164, RFC 5424;\n"
        "bare records are left as they are) and produces each as one Kafka record, acknowledged. While Kafka is\n"
        "away they wait on disk. It runs until it is stopped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--syslog",
        default="127.0.0.1:1514",
        metavar="HOST:PORT",
        help="address of this machine to listen on (default: 127.0.0.1:1514, which only this machine reaches)",
    )
    parser.add_argument("--topic", default="monster", metavar="NAME", help="topic to produce to (default: monster)")
    parser.add_argument("--keep_headers", action="store_true", help="leave syslog headers before the records")
    parser.add_argument(
        "--receive_buffer",
        default="32MiB",
        metavar="SIZE",
        help="the kernel's buffer for datagrams to ask for (default: 32MiB)",
    )
    _add_tcp(parser)
    _add_spool(parser)
    run = parser.add_argument_group("running")
    run.add_argument("--metrics", metavar="HOST:PORT", help="Prometheus text at http://HOST:PORT/metrics, on loopback")
    run.add_argument("--status", type=Path, metavar="FILE", help="the counts as JSON, written anew every second")
    run.add_argument(
        "--stop_timeout", default="10s", metavar="TIME", help="how long to deliver the rest when stopped (default: 10s)"
    )
    run.add_argument("--quiet", action="store_true", help="say nothing")
    run.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    add_kafka_arguments(parser)
    parser.set_defaults(run=_run, interrupted="interrupted; records that were on their way to Kafka may be lost")


def _add_tcp(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("TCP")
    group.add_argument("--tcp", action="store_true", help="listen on the address by TCP, too")
    group.add_argument(
        "--tcp_framing",
        choices=("auto", "newline"),
        default="auto",
        help="auto: a number and a space before a record is its length (RFC 6587), other records end with a newline; "
        "newline: all of them do (default: auto)",
    )
    group.add_argument(
        "--max_line", default="256KiB", metavar="SIZE", help="longer records are cut and counted (default: 256KiB)"
    )
    group.add_argument(
        "--max_connections", type=int, default=256, metavar="N", help="at one time; others are closed (default: 256)"
    )
    group.add_argument(
        "--idle_timeout", default="10m", metavar="TIME", help="close a connection after such a silence (default: 10m)"
    )


def _add_spool(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("while Kafka is away")
    group.add_argument(
        "--spool", type=Path, metavar="DIR", help="folder on disk (default: ~/.local/state/huntbeam/collect)"
    )
    group.add_argument(
        "--spool_max_bytes",
        default="1GiB",
        metavar="SIZE",
        help="beyond it datagrams are dropped and counted, and connections wait (default: 1GiB)",
    )
    group.add_argument(
        "--spool_always",
        action="store_true",
        help="write everything to disk first, so that kill -9 loses next to nothing",
    )


def collect_options(args: argparse.Namespace) -> CollectOptions:
    """The options as values. Raises UnusableError."""
    from huntbeam.pipelines.options import OptionError, duration
    from huntbeam.runners.collect.delivery import RECORD_BYTES
    from huntbeam.runners.collect.options import CollectOptions
    from huntbeam.runners.collect.sockets import parse_address
    from huntbeam.runners.folders import state_folder
    from huntbeam.runners.kafka.topics import check_name

    check_name(args.topic)  # it names a folder, too
    metrics = parse_address("--metrics", args.metrics) if args.metrics else None
    if metrics and not metrics.is_loopback:
        raise OptionError(f"--metrics {args.metrics}: it is served on loopback alone; write 127.0.0.1:{metrics.port}")
    if args.max_connections < 1:
        raise OptionError(f"--max_connections {args.max_connections}: write a number from 1 on")
    return CollectOptions(
        syslog=parse_address("--syslog", args.syslog),
        tcp=_tcp(args, duration("--idle_timeout", args.idle_timeout), RECORD_BYTES) if args.tcp else None,
        topic=args.topic,
        keep_headers=args.keep_headers,
        receive_buffer=_size("--receive_buffer", args.receive_buffer, 64 * 1024, 1024**3),
        spool=args.spool or state_folder() / "huntbeam/collect",
        spool_max_bytes=_size("--spool_max_bytes", args.spool_max_bytes, 4 * 1024**2, 1024**5),
        spool_always=args.spool_always,
        metrics=metrics,
        status=args.status,
        stop_timeout=duration("--stop_timeout", args.stop_timeout) / 1000,
        quiet=args.quiet,
    )


def _tcp(args: argparse.Namespace, idle_ms: int, longest: int) -> TcpSettings:
    from huntbeam.runners.collect.tcp import TcpSettings
    from huntbeam.transforms.syslog import Framing

    return TcpSettings(
        line_bytes=_size("--max_line", args.max_line, 256, longest),
        framing=Framing(args.tcp_framing),
        connections=args.max_connections,
        idle=idle_ms / 1000,
    )


def _size(option: str, written: str, least: int, most: int) -> int:
    try:
        size = parse_size(written)
    except ValueError as error:
        raise UnusableError(f"{option}: {error}") from error
    if not least <= size <= most:
        raise UnusableError(f"{option} {written}: write a size from {least} to {most} bytes")
    return size


def _run(args: argparse.Namespace) -> int:
    from huntbeam.runners.collect.collector import run_collect

    return run_collect(collect_options(args), kafka_config(args))
