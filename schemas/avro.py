"""Avro schemas and records, derived from the declared columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import getdoc
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from huntbeam.schemas.clock import millis
from huntbeam.schemas.monster import Entry
from huntbeam.schemas.record import Column, Kind, columns

NAMESPACE = "huntbeam"


def _nested(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A record in a record; everything in it may be null."""
    declared = [{"name": one, "type": ["null", of], "default": None} for one, of in fields.items()]
    return {"type": "record", "name": name, "namespace": NAMESPACE, "fields": declared}


_TYPES: dict[Kind, Any] = {
    Kind.TEXT: "string",
    Kind.GUID: "string",
    Kind.IP: "string",
    Kind.INTEGER: "long",
    Kind.NUMBER: "double",
    Kind.BOOLEAN: "boolean",
    Kind.INSTANT: {"type": "long", "logicalType": "timestamp-millis"},
    Kind.TEXT_MAP: {"type": "map", "values": ["null", "string"]},
    Kind.INTEGER_MAP: {"type": "map", "values": "long"},
    Kind.TEXT_LIST: {"type": "array", "items": "string"},
    Kind.IP: "string",
    Kind.OBJECT_LIST: {"type": "array", "items": _nested("Entry", dict.fromkeys(Entry.__struct_fields__, "string"))},
    Kind.GEO: _nested(
        "Geo",
        dict.fromkeys(("country_code", "country", "city"), "string")
        | {"location": _nested("Location", {"lat": "double", "lon": "double"})},
    ),
}


def avro_schema(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The Avro schema of a record type, as JSON holds it."""
    seen: set[str] = set()
    return {
        "type": "record",
        "name": record.__name__,
        "namespace": NAMESPACE,
        "doc": (getdoc(record) or "").partition("\n")[0],
        "fields": [_once(_field(column), seen) for column in columns(record)],
    }


def _field(column: Column) -> dict[str, Any]:
    field = {"name": column.name, "type": _TYPES[column.kind], "doc": column.description}
    if column.nullable:
        field |= {"type": ["null", field["type"]], "default": None}
    return field


def _once(node: Any, seen: set[str]) -> Any:
    """A named type stands where it is first used, later its name does."""
    if isinstance(node, list):
        return [_once(one, seen) for one in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "record":
        name = f"{node['namespace']}.{node['name']}"
        if name in seen:
            return name
        seen.add(name)
    return {key: _once(value, seen) if key in ("type", "items", "fields") else value for key, value in node.items()}


def avro_record(row: msgspec.Struct) -> dict[str, Any]:
    """The row as avro_schema(type(row)) has it: instants are milliseconds since 1970, values of text maps are text.

    Raises ValueError for an instant that is no time.
    """
    plan = _plan(type(row))
    record = dict(zip(plan.names, plan.values(row), strict=True))
    for name, convert in plan.conversions:
        value = record[name]
        if value is not None:
            record[name] = convert(value)
    return record


class _Plan(NamedTuple):
    """What avro_record() does for a record type, worked out once."""

    names: tuple[str, ...]
    values: Callable[[msgspec.Struct], tuple[Any, ...]]
    conversions: tuple[tuple[str, Callable[[Any], Any]], ...]


@cache
def _plan(record: type[msgspec.Struct]) -> _Plan:
    declared = columns(record)
    names = tuple(column.name for column in declared)
    conversions = tuple((c.name, _CONVERSIONS[c.kind]) for c in declared if c.kind in _CONVERSIONS)
    return _Plan(names, attrgetter(*names), conversions)


def _text_values(value: dict[str, str | int | None]) -> dict[str, str | None]:
    return {name: None if item is None else str(item) for name, item in value.items()}


_CONVERSIONS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INSTANT: millis,
    Kind.TEXT_MAP: _text_values,
    Kind.OBJECT_LIST: msgspec.to_builtins,
    Kind.GEO: msgspec.to_builtins,
}
