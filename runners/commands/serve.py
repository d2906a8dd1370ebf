"""`huntbeam serve`: the same views, live, over a folder that is still being filled."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from huntbeam.runners.commands.report import add_shared
from huntbeam.schemas.errors import UnusableError

EPILOG = """\
examples:
  huntbeam serve landed                     # beside `huntbeam archive --output landed --follow`
  huntbeam serve out --port 8765 --rules rules/

It listens on this machine alone and changes nothing. SIGINT (Ctrl-C) ends it.

exit codes:
  0  stopped by SIGINT or SIGTERM
  2  an option, the folder or the port cannot be used
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "serve",
        help="the report, live over a folder that grows",
        description="Serves the views of `huntbeam report` over a folder of results, queried when they are looked at,\n"
        "on 127.0.0.1 and read only.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="DIR", help="the folder of `huntbeam archive`, or the --output of a replay")
    parser.add_argument("--port", type=int, default=8642, metavar="N", help="default: 8642; 0: any that is free")
    parser.add_argument("--refresh", type=int, default=5, metavar="SECONDS", help="look for new files (default: 5)")
    add_shared(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    if not 0 <= args.port < 65_536:
        raise UnusableError(f"--port {args.port}: write a number from 0 to 65535")
    if args.refresh < 1:
        raise UnusableError(f"--refresh {args.refresh}: write a number of seconds from 1 on")
    folder = Path(args.folder)
    if not folder.is_dir():
        raise UnusableError(f"there is no folder {folder}: name the one that `huntbeam archive` fills")
    from huntbeam.runners.serving import serve

    serve(folder, args.port, args.refresh, tuple(args.rules), args.quiet)
