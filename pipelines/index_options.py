"""The options of every command that writes to a search index, and what they say."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huntbeam.schemas.clock import parse_duration
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.search import USUAL, indexable

if TYPE_CHECKING:
    from huntbeam.transforms.search_http import SearchServer

_FILE = "file:"


@dataclass(frozen=True)
class Indexing:
    """Which streams go into which index, and how long a server that does not answer is waited for; None: for ever."""

    server: SearchServer
    prefix: str
    streams: tuple[str, ...]
    patience_ms: int | None


def add_server_arguments(group: argparse._ArgumentGroup) -> None:
    """Declares where a search server is and who asks."""
    group.add_argument(
        "--index_auth",
        metavar="PLACE",
        help="where the login is, never the login itself: env:NAME or file:PATH; there stands USER:PASSWORD or "
        "`ApiKey KEY`",
    )
    group.add_argument("--index_ca", metavar="FILE", help="PEM certificates to trust in place of the system's")
    group.add_argument(
        "--index_prefix", default="", metavar="PREFIX", help="before the name of every index, such as lab-"
    )


def add_index_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of Indexing."""
    group = parser.add_argument_group("search index (OpenSearch or Elasticsearch, see `huntbeam index --help`)")
    group.add_argument("--index", metavar="URL", help="write documents there, too: https://HOST:PORT")
    add_server_arguments(group)
    group.add_argument(
        "--index_streams",
        default=",".join(USUAL),
        metavar="NAME,...",
        help=f"what is indexed of the streams that there are (default: {', '.join(USUAL)}); there is "
        f"{', '.join(indexable())}",
    )
    group.add_argument(
        "--index_patience",
        metavar="TIME",
        help="how long a server that does not answer is waited for (default: 10m in a replay, for ever in a stream)",
    )


def indexing(args: argparse.Namespace, patience: str | None = None) -> Indexing | None:
    """What the options say; None without --index. `patience` is the default. Raises UnusableError."""
    if args.index is None:
        for option in ("index_auth", "index_ca", "index_prefix", "index_patience"):
            if getattr(args, option):
                raise UnusableError(f"--{option} is there, but no --index URL: say which server")
        return None
    from huntbeam.transforms.search_rows import check_prefix  # what it loads is for runs with an index alone

    return Indexing(
        server(args.index, args),
        check_prefix(args.index_prefix),
        _streams(args.index_streams),
        _patience(args.index_patience or patience),
    )


def server(url: str, args: argparse.Namespace) -> SearchServer:
    """The server at a URL, with the options of add_server_arguments(). Workers run in other folders than this."""
    from huntbeam.transforms.search_http import SearchServer

    auth, ca = args.index_auth, args.index_ca
    if auth and auth.startswith(_FILE):
        auth = _FILE + str(Path(auth.removeprefix(_FILE)).expanduser().absolute())
    return SearchServer(url, auth, str(Path(ca).expanduser().absolute()) if ca else None)


def _streams(written: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in written.split(",") if name.strip()))
    known = indexable()
    for name in names:
        if name not in known:
            raise UnusableError(f"--index_streams {name}: it cannot be indexed; there is {', '.join(known)}")
    if not names:
        raise UnusableError("--index_streams names no stream: name one, or leave --index out")
    return names


def _patience(written: str | None) -> int | None:
    if written is None:
        return None
    try:
        return parse_duration(written)
    except ValueError as error:
        raise UnusableError(f"--index_patience: {error}") from error
