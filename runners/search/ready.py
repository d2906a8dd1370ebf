"""A look at a search server before anything is written to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from huntbeam.pipelines.index_options import Indexing
from huntbeam.runners.search.templates import Layout, template_path
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.search_http import SearchClient, SearchServer, Unreachable, Version

_MISSING = 404


@contextmanager
def connected(server: SearchServer) -> Iterator[tuple[SearchClient, Version]]:
    """A client and what answers it. Raises UnusableError; also in the block for a server that no longer answers."""
    client = SearchClient(server)
    try:
        yield client, client.version()
    except Unreachable as error:
        raise UnusableError(f"{error}: start it, or check the URL") from None
    finally:
        client.close()


def look(indexing: Indexing, streams: Sequence[str], say: Callable[[str], object], *, cloud: bool = False) -> None:
    """Whether it can be written to. Raises UnusableError; `say` is told what is there and what had better be.

    In the `cloud` workers have neither files nor variables of this machine.
    """
    if cloud and (indexing.server.auth or indexing.server.ca):
        raise UnusableError(
            "--index_auth and --index_ca name places that Dataflow's workers do not have: let the search server take "
            "what comes from the network that the job runs in (--network and --subnetwork behind --)"
        )
    wanted = [stream for stream in indexing.streams if stream in streams]
    if not wanted:
        raise UnusableError(
            f"--index_streams {','.join(indexing.streams)}: this run puts none of them out; there will be "
            f"{', '.join(streams)}"
        )
    layout = Layout(indexing.prefix)
    with connected(indexing.server) as (client, version):
        say(f"{', '.join(layout.pattern(stream) for stream in wanted)} of {version} at {indexing.server.url}")
        for stream in wanted:
            path = template_path(version, layout.template(stream))
            if client.request("GET", path).status == _MISSING:
                say(
                    f"there is no template for {layout.pattern(stream)}, so the server will guess what addresses and "
                    "times are: run `huntbeam index setup` first"
                )
                return
