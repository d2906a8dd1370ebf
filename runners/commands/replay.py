"""`huntbeam replay`: archived logs in, results out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from huntbeam.pipelines.replay_options import REPLAY_EPILOG, add_replay_arguments, replay_options


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "replay",
        help="archived logs in, results out",
        description="Reads archived Windows logs and writes process creates, network connects, their join, the\n"
        "connects without a create, counts in tumbling windows, and dead letters.",
        epilog=REPLAY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_replay_arguments(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int | None:
    options = replay_options(args)
    from huntbeam.runners.replaying import run_replay

    if options.report is None:
        return run_replay(options)
    from huntbeam.runners.reports import check_ready, write_report

    check_ready(Path(options.report))
    run_replay(options)
    write_report(Path(options.output), Path(options.report), options.rules, options.quiet)
    return None
