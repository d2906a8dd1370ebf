"""`huntbeam workers`: the Python workers of a runner that asks a pool for them."""

from __future__ import annotations

import argparse
import logging
from typing import Any

_PORT = 50000

_EPILOG = f"""\
A runner finds the pool by --environment_type=EXTERNAL --environment_config=HOST:PORT; `huntbeam stack up` starts one
of its own. Whoever reaches the port can have code run: listen on other addresses than loopback in a closed network
alone, such as that of a pod which the task manager shares.

examples:
  huntbeam workers
  docker run huntbeam workers --host 0.0.0.0 --port {_PORT}
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "workers",
        help="a pool of Python workers for Flink",
        description="Starts Python workers for a runner that asks for them, until it is stopped.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback alone)")
    parser.add_argument("--port", type=int, default=_PORT, help=f"default: {_PORT}; 0: a free one")
    parser.add_argument(
        "--cache_mb", type=int, default=100, metavar="MB", help="state cache of a worker (default: 100)"
    )
    parser.add_argument("--verbose", action="store_true", help="show the log and stack traces")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from huntbeam.runners.worker_pool import serve

    logging.getLogger().setLevel(logging.INFO)  # its log says when a worker starts, which is all it does
    serve(args.host, args.port, args.cache_mb)
