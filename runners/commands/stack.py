"""`huntbeam stack`: a local Kafka, Flink and Beam, if wanted a search server; for trying out and for tests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huntbeam.runners.stack.state import SEARCH

if TYPE_CHECKING:
    from huntbeam.runners.stack.stack import Stack

_DOWN = 1
_PORTS = {
    "kafka": "the broker",
    "kafka_controller": "the broker's controller",
    "flink": "Flink's REST interface and page",
    "flink_rpc": "the job manager",
    "taskmanager": "the task manager",
    "job": "Beam's job server",
    "artifact": "the job server's artifacts",
    "expansion": "the expansion service",
    "workers": "the pool of Python workers",
    "opensearch": "OpenSearch, below 9300",
    "elasticsearch": "Elasticsearch, below 9300",
}


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "stack",
        help="a local Kafka, Flink and Beam: up, down, status, env",
        description="A local stack without Docker: Kafka, Flink with RocksDB, Beam's job server and expansion service, "
        "and a pool of Python workers. It needs Java 17, and Maven the first time.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_up(_action(actions, "up", "start what does not run, and wait until everything answers", _up))
    down = _action(actions, "down", "stop everything that up started", _stop)
    down.add_argument("--delete", action="store_true", help="remove topics, checkpoints and logs, too")
    _action(actions, "status", "name, pid and address of every process; exit code 1 when one is down", _status)
    _action(actions, "env", "the addresses as KEY=VALUE lines", _env)


def _action(
    actions: Any, name: str, what: str, run: Callable[[argparse.Namespace], int | None]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.add_argument(
        "--home",
        type=Path,
        help="the stack's folder (default: HUNTBEAM_STACK_HOME, else ~/.local/state/huntbeam/stack)",
    )
    parser.add_argument("--verbose", action="store_true", help="log what happens; show stack traces")
    parser.set_defaults(run=run)
    return parser


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache", type=Path, help="where fetched jars are kept (default: HUNTBEAM_CACHE, else ~/.cache/huntbeam)"
    )
    parser.add_argument("--task_slots", type=_positive, help="slots of the task manager (default: 4)")
    parser.add_argument(
        "--job_server_jar",
        type=Path,
        help="the jar of Beam's Flink job server, in place of jars from Maven (default: HUNTBEAM_JOB_SERVER_JAR)",
    )
    parser.add_argument(
        "--with",
        dest="search",
        action="append",
        default=[],
        choices=SEARCH,
        help="a search server, too; repeatable; the stack keeps it until `down`",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    for name, what in _PORTS.items():
        parser.add_argument(f"--{name}_port", type=_port, metavar="PORT", help=f"{what} (default: a free one)")


def _up(args: argparse.Namespace) -> None:
    from huntbeam.runners.stack.stack import OPEN

    given = {name: getattr(args, f"{name}_port") for name in _PORTS}
    say = _quiet if args.quiet else _say
    _stack(args, say).up(
        ports={name: port for name, port in given.items() if port},
        task_slots=args.task_slots,
        job_server_jar=args.job_server_jar,
        search=args.search,
    )
    say(OPEN)


def _stop(args: argparse.Namespace) -> None:
    stack = _stack(args, _say)
    if not stack.down(delete=args.delete):
        _say(f"no stack runs at {stack.home}")


def _status(args: argparse.Namespace) -> int:
    stack = _stack(args, _say)
    parts = stack.status()
    if not parts:
        _say(f"no stack runs at {stack.home}; start one: huntbeam stack up")
        return _DOWN
    for part in parts:
        print(f"{part.name:<12} {part.pid or 'down':<8} {part.address}")
    return 0 if all(part.pid for part in parts) else _DOWN


def _env(args: argparse.Namespace) -> None:
    stack = _stack(args, _say)
    addresses = stack.addresses()
    values = {
        "KAFKA_BOOTSTRAP_SERVERS": addresses.kafka,
        "FLINK_REST": addresses.flink_rest,
        "JOB_ENDPOINT": addresses.job_endpoint,
        "EXPANSION_SERVICE": addresses.expansion,
        "WORKER_POOL": addresses.worker_pool,
        "OPENSEARCH_URL": addresses.opensearch,
        "ELASTICSEARCH_URL": addresses.elasticsearch,
        "STACK_HOME": str(stack.home),
    }
    for name, value in values.items():
        if value is not None:
            print(f"{name}={value}")


def _stack(args: argparse.Namespace, say: Callable[[str], None]) -> Stack:
    from huntbeam.runners.stack.stack import Stack

    return Stack(args.home, getattr(args, "cache", None), say)


def _say(line: str) -> None:
    print(f"huntbeam: {line}", file=sys.stderr, flush=True)


def _quiet(_line: str) -> None:
    return None


def _positive(text: str) -> int:
    return _number(text, 1, 1024)


def _port(text: str) -> int:
    return _number(text, 1, 65_535)


def _number(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {low} to {high}")
    return int(text)
