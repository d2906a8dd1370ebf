"""What `huntbeam index` does on a server: templates and policy put, shown, removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from huntbeam.runners.search.templates import Layout, policy, policy_path, template, template_path
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.search import indexable
from huntbeam.transforms.search_http import Answer, SearchClient, Version

Say = Callable[[str], object]

_MISSING, _OK = 404, 200


class Index(NamedTuple):
    """An index that is there."""

    name: str
    documents: int
    bytes: int


def setup(client: SearchClient, version: Version, layout: Layout, say: Say) -> None:
    """Puts the templates and, with a retention, the policy; what is there is replaced. Raises UnusableError."""
    if layout.retention_days is not None:  # first: a server without policies is left as it was
        _put_policy(client, version, layout)
        say(f"policy {layout.policy()}: indexes made from now on are deleted after {layout.retention_days} days")
    for stream in indexable():
        name = layout.template(stream)
        _done(_ask(client, "PUT", template_path(version, name), template(stream, version, layout)), name)
        say(f"template {name} for {layout.pattern(stream)}")


def shown(client: SearchClient, version: Version, layout: Layout) -> Iterator[str]:
    """Templates and policy, whether they are there, and the indexes."""
    for stream in indexable():
        name = layout.template(stream)
        there = client.request("GET", template_path(version, name)).status == _OK
        yield f"template {name:<32} {'there' if there else 'missing'}"
    yield f"policy   {layout.policy():<32} {_policy_state(client, version, layout)}"
    for index in indexes(client, layout):
        yield f"index    {index.name:<32} {index.documents:,} documents, {index.bytes:,} bytes"


def remove(client: SearchClient, version: Version, layout: Layout, say: Say, *, data: bool) -> None:
    """Removes templates and policy, with `data` the indexes, too; what is not there is no error."""
    for index in indexes(client, layout) if data else ():
        _done(client.request("DELETE", f"/{quote(index.name)}"), index.name)
        say(f"removed {index.name}: {index.documents:,} documents")
    for stream in indexable():
        name = layout.template(stream)
        answer = client.request("DELETE", template_path(version, name))
        if answer.status != _MISSING:
            _done(answer, name)
            say(f"removed template {name}")
    if client.request("GET", policy_path(version, layout.policy())).status == _OK:
        _done(client.request("DELETE", policy_path(version, layout.policy())), layout.policy())
        say(f"removed policy {layout.policy()}")


def indexes(client: SearchClient, layout: Layout) -> list[Index]:
    """The indexes that there are, by name, with what was written up to now."""
    client.request("POST", f"/{','.join(layout.patterns())}/_refresh")  # who may not is told what the server counts
    path = f"/_cat/indices/{','.join(layout.patterns())}?format=json&bytes=b&h=index,docs.count,store.size"
    answer = client.request("GET", path)
    if answer.status == _MISSING:
        return []
    _done(answer, "the list of indexes")
    found = [
        Index(row["index"], int(row["docs.count"] or 0), int(row["store.size"] or 0)) for row in answer.json() or []
    ]
    return sorted(found)


def _put_policy(client: SearchClient, version: Version, layout: Layout) -> None:
    path = policy_path(version, layout.policy())
    before = client.request("GET", path)
    if not _knows_policies(before):
        raise UnusableError(
            f"{client.server.url} is {version} without {_kind(version)}, so --retention cannot be kept "
            f"({before.error()}): leave it out and remove old indexes yourself"
        )
    if before.status == _OK and version.opensearch:  # else it takes the new one for another's of the same name
        known = before.json()
        path += f"?if_seq_no={known['_seq_no']}&if_primary_term={known['_primary_term']}"
    _done(_ask(client, "PUT", path, policy(version, layout)), layout.policy())


def _policy_state(client: SearchClient, version: Version, layout: Layout) -> str:
    answer = client.request("GET", policy_path(version, layout.policy()))
    if not _knows_policies(answer):
        return f"the server has no {_kind(version)}"
    return "there" if answer.status == _OK else "missing"


def _knows_policies(answer: Answer) -> bool:
    """Elasticsearch without ILM takes the path for a document in an index."""
    error = (answer.json() or {}).get("error")
    of_index = isinstance(error, dict) and error.get("type") == "index_not_found_exception"
    return answer.status == _OK or (answer.status == _MISSING and not of_index)


def _kind(version: Version) -> str:
    return "index state management (ISM)" if version.opensearch else "index lifecycle management (ILM)"


def _ask(client: SearchClient, method: str, path: str, body: dict[str, Any]) -> Answer:
    return client.request(method, path, msgspec.json.encode(body))


def _done(answer: Answer, what: str) -> None:
    if answer.status >= 300:
        raise UnusableError(f"the search server refuses {what} ({answer.error()}): look at the login's rights")
