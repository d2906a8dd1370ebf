"""Process trees: ancestors, children and connections of processes, from creates and connects by host and GUID."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from huntbeam.transforms.views.store import Store
from huntbeam.transforms.views.table import clip

ANCESTORS, CHILDREN, CONNECTS = 16, 40, 40  # of one process

Key = tuple[str, str]  # host in lower case, canonical ProcessGuid


class Process(msgspec.Struct):
    """A process of a tree. Without a create all that is known is what its child said of it."""

    host: str
    guid: str
    t: int | None = None
    path: str | None = None
    command: str | None = None
    user: str | None = None
    integrity: str | None = None
    hashes: str | None = None
    pid: int | None = None
    parent: str | None = None  # ProcessGuid
    parent_path: str | None = None
    parent_command: str | None = None
    created: bool = False
    children: list[str] = []
    children_total: int = 0
    connects: list[list[Any]] = []  # t, address, port, name, protocol
    connects_total: int = 0


_NEAR = """
    WITH wanted AS MATERIALIZED (SELECT unnest($hosts) AS h, unnest($guids) AS g),
    near AS MATERIALIZED (
      SELECT DISTINCT lower(host) AS h, process_guid AS g, parent_process_guid AS p FROM creates
      WHERE lower(host) IN (SELECT h FROM wanted) AND process_guid IS NOT NULL
    )
"""
_UP = f"""
    {_NEAR.replace("WITH", "WITH RECURSIVE", 1)}, up(h, g, depth) AS (
      SELECT h, g, 0 FROM wanted
      UNION
      SELECT near.h, near.p, up.depth + 1 FROM up JOIN near ON near.h = up.h AND near.g = up.g
      WHERE near.p IS NOT NULL AND up.depth < {ANCESTORS}
    )
    SELECT DISTINCT h, g FROM up
"""
_DOWN = f"""
    {_NEAR}
    SELECT h, p, g, total FROM (
      SELECT near.h, near.p, near.g, row_number() OVER (PARTITION BY near.h, near.p ORDER BY near.g) AS number,
        count(*) OVER (PARTITION BY near.h, near.p) AS total
      FROM near JOIN wanted ON near.h = wanted.h AND near.p = wanted.g
    ) WHERE number <= {CHILDREN}
"""
_CREATES = """
    SELECT lower(host), process_guid, t, process_path, process_command_line, user_account, process_integrity_level,
      hashes, process_id, parent_process_guid, parent_process_path, parent_process_command_line
    FROM creates JOIN (SELECT unnest($hosts) AS h, unnest($guids) AS g) ON lower(host) = h AND process_guid = g
    QUALIFY row_number() OVER (PARTITION BY h, g ORDER BY coalesce(t, -1e15) DESC, event_uid DESC) = 1
"""
_CONNECTS = f"""
    SELECT h, g, t, dst_ip_addr, dst_port, dst_host_name, network_protocol, total FROM (
      SELECT h, g, t, dst_ip_addr, dst_port, dst_host_name, network_protocol,
        row_number() OVER (PARTITION BY h, g ORDER BY t, event_uid) AS number,
        count(*) OVER (PARTITION BY h, g) AS total
      FROM connects JOIN (SELECT unnest($hosts) AS h, unnest($guids) AS g) ON lower(host) = h AND process_guid = g
    ) WHERE number <= {CONNECTS} ORDER BY h, g, number
"""


def trees(store: Store, wanted: Iterable[Key]) -> dict[str, Process]:
    """The wanted processes with all that belongs to their trees, by `host|guid`. Bounded for each; cycles end."""
    keys = sorted({(host.lower(), guid) for host, guid in wanted if host and guid})
    if not keys:
        return {}
    found = {key: Process(*key) for key in (*_ask(store, _UP, keys), *keys)}
    for host, parent, child, total in _ask(store, _DOWN, keys):
        found.setdefault((host, child), Process(host, child))
        above = found[host, parent]
        above.children, above.children_total = [*above.children, child], total
    for host, guid, *values in _ask(store, _CREATES, list(found)):
        _describe(found[host, guid], values)
    for host, guid, *connect, total in _ask(store, _CONNECTS, keys):
        process = found[host, guid]
        process.connects, process.connects_total = [*process.connects, connect], total
    _name_parents(found)
    for process in found.values():
        process.children.sort(key=lambda guid: (found[process.host, guid].t or 0, guid))
    return {f"{host}|{guid}": process for (host, guid), process in found.items()}


def _describe(process: Process, values: list[Any]) -> None:
    process.created = True
    names = ("t", "path", "command", "user", "integrity", "hashes", "pid", "parent", "parent_path", "parent_command")
    for name, value in zip(names, values, strict=True):
        setattr(process, name, clip(value))


def _name_parents(found: dict[Key, Process]) -> None:
    """A process without a create of its own is named by its child's."""
    for process in list(found.values()):
        above = found.get((process.host, process.parent)) if process.parent else None
        if above is not None and not above.created:
            above.path, above.command = process.parent_path, process.parent_command


def _ask(store: Store, sql: str, keys: list[Key]) -> list[tuple[Any, ...]]:
    return store.query(sql, hosts=[host for host, _ in keys], guids=[guid for _, guid in keys])
