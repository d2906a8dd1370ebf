"""What a panel has to show of documents, counted in Python, and what a server answers to its aggregation."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from huntbeam.runners.search.panel_queries import MISSING, Numbers, aggregations, numbers, query
from huntbeam.runners.search.templates import Layout
from huntbeam.schemas.panels import AnyOf, Between, Condition, Like, Not, OneOf, Over, Panel, Shape, Split
from huntbeam.schemas.search import target
from tests.conftest import Rows
from tests.e2e.indexes import asked

INTERVAL, WIDTH = "5m", timedelta(minutes=5)  # of buckets of time
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def panel_numbers(url: str, prefix: str, panel: Panel, documents: Rows) -> Numbers:
    """What the server shows; asserts that it is what the documents make."""
    rows = [row for row in documents if all(_holds(row, condition) for condition in panel.where)]
    assert rows, panel.name
    body = {"size": 0, "query": query(panel.where), "aggs": aggregations(panel, INTERVAL)}
    found = asked(url, Layout(prefix).pattern(panel.stream), body)
    total = found["hits"]["total"]["value"]
    assert total == len(rows), panel.name
    if panel.shape is Shape.MAP:
        places = Counter(str(_value(row, panel.splits[0].field)) for row in rows if _value(row, panel.splits[0].field))
        cells = [cell["doc_count"] for cell in found["aggregations"]["grid"]["buckets"]]
        assert sorted(cells) == sorted(places.values()) != []
    elif panel.splits:
        splits = (*panel.splits, Over(target(panel.stream).time)) if panel.shape is Shape.RATIO else panel.splits
        shown = numbers(panel, found["aggregations"])
        _assert_top(shown, _expected(panel, rows, splits), splits, by=_order(panel))
        return shown
    return {(): [total]}


def _value(row: Mapping[str, Any], path: str) -> Any:
    found: Any = row
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _holds(row: Mapping[str, Any], condition: Condition) -> bool:
    match condition:
        case AnyOf(some):
            return any(_holds(row, one) for one in some)
        case Not(of):
            return not _holds(row, of)
        case OneOf(field, values):
            return any(_same(_value(row, field), one) for one in values)
        case Between(field, low, high):
            return _value(row, field) is not None and low <= _value(row, field) <= high
        case Like(field, pattern):
            return _value(row, field) is not None and fnmatchcase(_value(row, field), pattern)


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and "/" in wanted and found is not None:
        return ipaddress.ip_address(found) in ipaddress.ip_network(wanted)
    return bool(found == wanted)


def _bucket(row: Mapping[str, Any], split: Split | Over) -> list[Any]:
    found = _value(row, split.field)
    if found is None:
        return [MISSING] if isinstance(split, Split) and split.missing else []
    if isinstance(split, Over):
        at = datetime.fromisoformat(found)
        return [(at - (at - EPOCH) % WIDTH).isoformat(timespec="milliseconds").replace("+00:00", "Z")]
    return found if isinstance(found, list) else [found]


def _expected(panel: Panel, rows: Rows, splits: Sequence[Split | Over]) -> Numbers:
    counts: Numbers = {}
    for row in rows:
        for keys in product(*(_bucket(row, split) for split in splits)):
            found = counts.setdefault(keys, [0] * (1 + len(panel.sums)))
            found[0] += 1
            for number, field in enumerate(panel.sums, 1):
                found[number] += _value(row, field) or 0
    return counts


def _order(panel: Panel) -> int:
    """Which number the buckets are ordered by."""
    return 1 if panel.sums and panel.shape is not Shape.RATIO else 0


def _assert_top(shown: Numbers, every: Numbers, splits: Sequence[Split | Over], by: int) -> None:
    """Of each split the most frequent values are shown, with all of their numbers."""
    if not splits:
        assert shown == every
        return
    totals: Counter[Any] = Counter()
    for keys, of in every.items():
        totals[keys[0]] += of[by]  # type: ignore[assignment]  # sums are whole numbers
    chosen = {keys[0] for keys in shown}
    size = splits[0].size if isinstance(splits[0], Split) else len(totals)
    assert len(chosen) == min(size, len(totals)) > 0
    left = [total for key, total in totals.items() if key not in chosen]
    assert not left or max(left) <= min(totals[key] for key in chosen)
    for key in chosen:
        _assert_top(_below(shown, key), _below(every, key), splits[1:], by)


def _below(every: Numbers, key: Any) -> Numbers:
    return {keys[1:]: of for keys, of in every.items() if keys[0] == key}
