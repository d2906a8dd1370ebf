"""What every record type shares: how a column says its name, kind and source, and how others read that."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec


class Kind(StrEnum):
    """What a column holds; JSON, Arrow and Avro types follow from it."""

    TEXT = "text"
    INTEGER = "integer"  # 64 bit
    NUMBER = "number"  # 64 bit floating point
    BOOLEAN = "boolean"
    GUID = "guid"  # lower case, no braces
    INSTANT = "instant"  # RFC 3339 text, UTC, milliseconds: 2019-05-18T20:36:50.123Z
    TEXT_MAP = "text_map"  # name -> value; in Parquet and Avro both are text
    INTEGER_MAP = "integer_map"  # name -> 64 bit integer
    TEXT_LIST = "text_list"
    IP = "ip"  # IPv4 or IPv6 address as text
    OBJECT_LIST = "object_list"  # of schemas.monster.Entry
    GEO = "geo"  # schemas.geo.Geo


class Column(NamedTuple):
    """One column of a record type, as declared."""

    name: str
    kind: Kind
    nullable: bool
    source: str
    description: str


def column(kind: Kind, source: str, description: str) -> msgspec.Meta:
    """Declares a column: `source` is the Sysmon field for event data, else where the value comes from."""
    return msgspec.Meta(description=description, extra={"kind": kind, "source": source})


@cache
def columns(record: type[msgspec.Struct]) -> tuple[Column, ...]:
    """The columns of a record type in their order. Raises TypeError for a field without a declaration."""
    hints = get_type_hints(record, include_extras=True)
    return tuple(_column(record, name, hints[name]) for name in record.__struct_fields__)


Record = TypeVar("Record", bound=msgspec.Struct)


def positional(record: type[Record]) -> Callable[..., Record]:
    """The constructor of a record type for values in column order, which no type checker can count."""
    return record


def _column(record: type[msgspec.Struct], name: str, hint: Any) -> Column:
    nullable = False
    meta = next((a for a in get_args(hint)[1:] if isinstance(a, msgspec.Meta)), None) if _annotated(hint) else None
    if meta is None or not meta.extra:
        raise TypeError(f"{record.__name__}.{name} is not declared with column()")
    nullable = type(None) in get_args(get_args(hint)[0])
    return Column(name, meta.extra["kind"], nullable, meta.extra["source"], meta.description or "")


def _annotated(hint: Any) -> bool:
    return get_origin(hint) is not None and hasattr(hint, "__metadata__")
