"""`huntbeam monster`: Monster Agent's records in, documents out, of files or of topics."""

from __future__ import annotations

import argparse
from typing import Any

from huntbeam.pipelines.monster_options import MONSTER_EPILOG, MonsterFiles, add_monster_arguments, monster_options
from huntbeam.runners.kafka.clients import add_kafka_arguments


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "monster",
        help="Monster Agent's records in, documents out, of files or Kafka topics",
        description="Reads the tab-separated records of SOMMA's Monster Agent, layouts 0.9 and 1.0, from files or\n"
        "Kafka and writes one typed document a record (monster_events), and what cannot be used (dead_letters).",
        epilog=MONSTER_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_kafka_arguments(parser)
    add_monster_arguments(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int | None:
    from huntbeam.runners.monster import run_monster_files, run_monster_topics

    options = monster_options(args)
    if isinstance(options, MonsterFiles):
        return run_monster_files(options)
    return run_monster_topics(args, options)
