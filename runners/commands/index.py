"""`huntbeam index`: what a search server has to know before documents come."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from huntbeam.pipelines.index_options import add_server_arguments, server
from huntbeam.pipelines.options import OptionError, duration
from huntbeam.runners.commands.dashboards import put_dashboards

if TYPE_CHECKING:
    from huntbeam.runners.search.templates import Layout
    from huntbeam.transforms.search_http import SearchServer

_VARIABLES = ("OPENSEARCH_URL", "ELASTICSEARCH_URL")
_EPILOG = """\
examples:
  huntbeam index setup --index https://search:9200 --index_auth file:login --index_ca ca.pem --retention 90d
  huntbeam index setup --dashboards http://127.0.0.1:5601
  huntbeam index show
  huntbeam index remove --delete_data

The file `login` holds USER:PASSWORD, or `ApiKey KEY`. Without --index it is OPENSEARCH_URL, ELASTICSEARCH_URL, or the
server of `huntbeam stack up --with opensearch`.

exit codes:
  0  done
  2  an option or the server cannot be used
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "index",
        help="set up OpenSearch or Elasticsearch: templates, retention, dashboards",
        description="Sets up OpenSearch 1 to 3 or Elasticsearch 6 to 9 for the documents that replay, stream and\n"
        "monster write with --index.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    setup = _action(actions, "setup", "put templates, a retention policy, dashboards; again: replace them", _setup)
    setup.add_argument("--retention", metavar="TIME", help="delete an index this long after it was made, such as 90d")
    setup.add_argument("--shards", type=int, default=1, metavar="N", help="of an index, which is one day (default: 1)")
    setup.add_argument("--replicas", type=int, metavar="N", help="of an index (default: the server's)")
    setup.add_argument("--dashboards", metavar="URL", help="put the dashboards there, too: https://HOST:5601")
    _action(actions, "show", "what is there", _show)
    remove = _action(actions, "remove", "remove templates and policy", _remove)
    remove.add_argument("--delete_data", action="store_true", help="and all indexes with their documents")


def _action(
    actions: Any, name: str, what: str, run: Callable[[argparse.Namespace], int | None]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    group = parser.add_argument_group("server")
    group.add_argument("--index", metavar="URL", help="https://HOST:PORT (default: see `huntbeam index --help`)")
    add_server_arguments(group)
    parser.add_argument("--verbose", action="store_true", help="log what happens; show stack traces")
    parser.set_defaults(run=run, interrupted="interrupted; run it again to do the rest")
    return parser


def _setup(args: argparse.Namespace) -> None:
    from huntbeam.runners.search.admin import setup
    from huntbeam.runners.search.ready import connected

    layout = _layout(args)
    with connected(_server(args)) as (client, version):
        _say(f"{version} at {client.server.url}")
        setup(client, version, layout, _say)
    if args.dashboards:
        put_dashboards(args)
    else:
        _say("dashboards: give --dashboards URL, or load the file that `huntbeam dashboards export` writes")


def _show(args: argparse.Namespace) -> None:
    from huntbeam.runners.search.admin import shown
    from huntbeam.runners.search.ready import connected

    with connected(_server(args)) as (client, version):
        print(f"{version} at {client.server.url}")
        for line in shown(client, version, _layout(args)):
            print(line)


def _remove(args: argparse.Namespace) -> None:
    from huntbeam.runners.search.admin import remove
    from huntbeam.runners.search.ready import connected

    with connected(_server(args)) as (client, version):
        remove(client, version, _layout(args), _say, data=args.delete_data)


def _server(args: argparse.Namespace) -> SearchServer:
    url = args.index or next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), None) or _of_stack()
    if url is None:
        raise OptionError(f"no search server is named: give --index URL, or set {_VARIABLES[0]}")
    return server(url, args)


def _of_stack() -> str | None:
    from huntbeam.runners.stack.stack import running_addresses

    running = running_addresses()
    return None if running is None else running.opensearch or running.elasticsearch


def _layout(args: argparse.Namespace) -> Layout:
    from huntbeam.runners.search.templates import Layout, days
    from huntbeam.transforms.search_rows import check_prefix

    shards, replicas = getattr(args, "shards", 1), getattr(args, "replicas", None)
    if shards < 1 or (replicas or 0) < 0:
        raise OptionError("--shards is 1 or more, --replicas 0 or more")
    retention = getattr(args, "retention", None)
    try:
        kept = None if retention is None else days(duration("--retention", retention))
    except ValueError as error:
        raise OptionError(f"--retention {retention}: {error}") from error
    return Layout(check_prefix(args.index_prefix), shards, replicas, kept)


def _say(line: str) -> None:
    print(f"huntbeam: {line}", file=sys.stderr, flush=True)
