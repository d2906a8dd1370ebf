"""A folder's views as one value: what `huntbeam report` puts into its page and `huntbeam serve` gives in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import msgspec

from huntbeam.schemas import attack
from huntbeam.transforms.views.catalog import VIEWS
from huntbeam.transforms.views.store import Store
from huntbeam.transforms.views.tree import Process, trees

TREES, TREE_BYTES = 300, 2_000_000  # processes with a tree in the page, and what all of them take as JSON
RULE_TEXT = 20_000  # characters of a rule
_RULE_ID = re.compile(r"^id:\s*['\"]?([^\s'\"#]+)", re.MULTILINE)
_size = msgspec.json.Encoder().encode


def state(store: Store) -> dict[str, Any]:
    """What is known of the folder without its views; `number` changes when the folder does."""
    return {
        "number": store.version,
        "folder": store.folder.resolve().name,
        "archived": store.archived,
        "streams": store.rows,
        "success": store.success(),
        "grid": store.grid,
    }


def page_data(store: Store, rules: Sequence[str] = ()) -> dict[str, Any]:
    """All that a page needs to show the folder by itself; `rules` are paths of rules whose text is shown."""
    views = {name: store.run(view) for name, view in VIEWS.items()}
    texts = rule_texts(store, rules)
    return frame(store) | {"live": 0, "views": views, "trees": _trees(store, views), "rules": texts}


def frame(store: Store) -> dict[str, Any]:
    """What every page has: the state, and what does not change."""
    known = {name: [technique.name, technique.tactics] for name, technique in attack.techniques().items()}
    return state(store) | {
        "version": version("huntbeam"),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "attack": {"tactics": list(attack.TACTICS.values()), "techniques": known},
        "rules": {},
    }


def _trees(store: Store, views: Mapping[str, Any]) -> dict[str, Process]:
    """The trees of the alerts' processes, the worst first, as many as there is room for."""
    table = views["alerts"]
    host, guid = table.columns.index("host"), table.columns.index("process_guid")
    wanted = list(dict.fromkeys((row[host].lower(), row[guid]) for row in table.rows if row[host] and row[guid]))[
        :TREES
    ]
    found = trees(store, wanted)
    kept: dict[str, Process] = {}
    room = TREE_BYTES
    for key in wanted:
        more = {name: process for name, process in _around(key, found) if name not in kept}
        room -= len(_size(more))
        if room < 0:
            break
        kept |= more
    return kept


def _around(key: tuple[str, str], found: Mapping[str, Process]) -> Iterable[tuple[str, Process]]:
    """A process, its ancestors and its children."""
    host, guid = key
    process: Process | None = found[f"{host}|{guid}"]
    yield from ((f"{host}|{child}", found[f"{host}|{child}"]) for child in found[f"{host}|{guid}"].children)
    seen: set[str] = set()
    while process is not None and process.guid not in seen:
        seen.add(process.guid)
        yield f"{host}|{process.guid}", process
        process = found.get(f"{host}|{process.parent}")


def rule_texts(store: Store, paths: Sequence[str]) -> dict[str, str]:
    """The text of the rules whose alerts the folder has, by rule id."""
    return _texts(paths, {row[0] for row in store.query("SELECT DISTINCT rule_id FROM alerts")})


def _texts(paths: Sequence[str], wanted: set[str]) -> dict[str, str]:
    """The text of the rules that found something, as their authors wrote it."""
    if not paths or not wanted:
        return {}
    from huntbeam.rules import located
    from huntbeam.transforms.sigma.documents import Document, documents

    texts: dict[str, str] = {}
    for document in documents(map(located, paths)):
        if isinstance(document, Document):
            found = _RULE_ID.search(document.text)
            if found and found[1] in wanted:
                texts[found[1]] = document.text[:RULE_TEXT]
    return texts
