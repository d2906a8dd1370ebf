"""`huntbeam dashboards`: the dashboards as saved objects, to a file or into Kibana or OpenSearch Dashboards."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huntbeam.pipelines.index_options import add_server_arguments, server
from huntbeam.pipelines.options import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = """\
examples:
  huntbeam dashboards export > huntbeam.ndjson
  huntbeam dashboards import --dashboards http://127.0.0.1:5601
  huntbeam dashboards import --dashboards https://kibana:5601/s/hunting --index_auth file:login --index_ca ca.pem

Kibana 7.10 and later, OpenSearch Dashboards 1 to 3. To import again replaces what was imported before, nothing else.

exit codes:
  0  done
  2  an option, a file or the server cannot be used
"""


def add(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "dashboards",
        help="dashboards for Kibana and OpenSearch Dashboards: export, import",
        description="Dashboards of what replay, stream and monster write with --index.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    export = _action(actions, "export", "write the saved objects as NDJSON", _export)
    export.add_argument("--output", type=Path, metavar="FILE", help="where to (default: standard output)")
    export.add_argument("--index_prefix", default="", metavar="PREFIX", help="of the indexes, as the run had it")
    put = _action(actions, "import", "put them into Kibana or OpenSearch Dashboards", _import)
    group = put.add_argument_group("server")
    group.add_argument("--dashboards", required=True, metavar="URL", help="of its pages: https://HOST:5601")
    add_server_arguments(group)


def _action(actions: Any, name: str, what: str, run: Callable[[argparse.Namespace], int | None]) -> Any:
    parser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.add_argument("--verbose", action="store_true", help="log what happens; show stack traces")
    parser.set_defaults(run=run, interrupted="interrupted; run it again")
    return parser


def _export(args: argparse.Namespace) -> None:
    file = _file(args.index_prefix)
    if args.output is None:
        sys.stdout.write(file.decode())
        return
    try:
        args.output.write_bytes(file)
    except OSError as error:
        raise OptionError(f"--output {args.output} cannot be written ({error.strerror}): check the path") from error


def _import(args: argparse.Namespace) -> None:
    put_dashboards(args)


def put_dashboards(args: argparse.Namespace) -> None:
    """Imports; `index setup` does it, too. Raises UnusableError."""
    from huntbeam.runners.search.import_objects import import_objects

    count = import_objects(server(args.dashboards, args), _file(args.index_prefix))
    print(f"huntbeam: {count} saved objects at {args.dashboards}", file=sys.stderr)


def _file(prefix: str) -> bytes:
    from huntbeam.runners.search.saved_objects import ndjson, saved_objects
    from huntbeam.runners.search.templates import Layout
    from huntbeam.transforms.search_rows import check_prefix

    return ndjson(saved_objects(Layout(check_prefix(prefix))))
