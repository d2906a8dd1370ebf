"""A panel as the server is asked for it. Pure; the saved objects and the tests on a server use the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huntbeam.schemas.panels import AnyOf, Between, Condition, Like, Not, OneOf, Over, Panel, Shape, Split
from huntbeam.schemas.search import target

GRID = "grid"
PRECISION = 4  # of a geohash: cells of 39 by 20 km
MISSING = "__missing__"  # what Kibana calls documents without a field in what it asks, to show a label in its place
_CELLS = 2_000

Numbers = dict[tuple[Any, ...], list[float]]


def query(conditions: Sequence[Condition]) -> dict[str, Any]:
    """All conditions hold."""
    return {"bool": {"filter": [_clause(condition) for condition in conditions]}}


def _clause(condition: Condition) -> dict[str, Any]:
    match condition:
        case OneOf(field, values):
            return {"terms": {field: list(values)}}
        case Between(field, low, high):
            return {"range": {field: {"gte": low, "lte": high}}}
        case Like(field, pattern):
            return {"wildcard": {field: {"value": pattern}}}
        case Not(of):
            return {"bool": {"must_not": [_clause(of)]}}
        case AnyOf(some):
            return {"bool": {"should": [_clause(one) for one in some], "minimum_should_match": 1}}


def aggregations(panel: Panel, interval: Any = "1h") -> dict[str, Any]:
    """What is asked for, one split in the other, as Kibana numbers them: metrics from 1, splits behind.

    `interval` is the width of buckets of time.
    """
    match panel.shape:
        case Shape.LIST:
            return {}
        case Shape.MAP:
            field = panel.splits[0].field
            centroid = {"centroid": {"geo_centroid": {"field": field}}}
            return {GRID: {"geohash_grid": {"field": field, "precision": PRECISION, "size": _CELLS}, "aggs": centroid}}
        case Shape.RATIO:
            time = Over(target(panel.stream).time)
            return _nested(panel, (*panel.splits, time), interval)
    return _nested(panel, panel.splits, interval)


def numbers(panel: Panel, answer: Mapping[str, Any]) -> Numbers:
    """What aggregations() were answered, of a panel that has splits and is no map: by the keys of buckets, in the
    order of the answer, how many documents there are, and the sums. Keys are texts, numbers or true and false.
    """
    depth = len(panel.splits) + (panel.shape is Shape.RATIO)
    return _numbers(answer, depth, len(panel.sums))


def _numbers(found: Mapping[str, Any], depth: int, sums: int) -> Numbers:
    if not depth:
        return {(): [found["doc_count"], *(found[str(number)]["value"] for number in range(1, sums + 1))]}
    (splitted,) = (part for part in found.values() if isinstance(part, dict) and "buckets" in part)
    return {
        (_key(bucket), *rest): of
        for bucket in splitted["buckets"]
        for rest, of in _numbers(bucket, depth - 1, sums).items()
    }


def _key(bucket: Mapping[str, Any]) -> Any:
    """A time as text; true and false, which a server numbers."""
    key = bucket.get("key_as_string", bucket["key"])
    return {"true": True, "false": False}.get(key, key) if isinstance(bucket["key"], int) else key


def _nested(panel: Panel, splits: Sequence[Split | Over], interval: Any) -> dict[str, Any]:
    sums = {str(number): {"sum": {"field": field}} for number, field in enumerate(panel.sums, 1)}
    order = "1" if sums and panel.shape is not Shape.RATIO else "_count"
    inner = sums
    for number, split in reversed(list(enumerate(splits, len(panel.sums) + 1 if panel.sums else 2))):
        if order == "1" and isinstance(split, Split):
            inner = sums | inner  # what buckets are ordered by has to be in them
        below = {"aggs": inner} if inner else {}
        inner = {str(number): _bucket(split, order, interval) | below}
    return inner


def _bucket(split: Split | Over, order: str, interval: Any) -> dict[str, Any]:
    if isinstance(split, Over):
        return {"date_histogram": {"field": split.field, "fixed_interval": interval, "min_doc_count": 1}}
    missing = {"missing": MISSING} if split.missing else {}
    return {"terms": {"field": split.field, "size": split.size, "order": {order: "desc"}, **missing}}
