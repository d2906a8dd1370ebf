"""JSON lines: one object per row, keys in column order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from huntbeam.schemas.record import Kind, columns

_encoder = msgspec.json.Encoder()


def json_lines(rows: Sequence[msgspec.Struct]) -> bytes:
    """The rows as UTF-8, one object a line, each line ended by LF; b"" without rows.

    Text goes out as it is, so U+2028 and U+2029 may stand within a line; LF and NUL are escaped.
    Raises UnicodeEncodeError for half of a surrogate pair, which no decoded JSON holds.
    """
    return _encoder.encode_lines(rows)


class _Shape(NamedTuple):
    """Where JSON differs from other formats of a record type."""

    names: dict[str, str]  # columns whose name in JSON is another
    left_out: frozenset[str]  # columns that are left out when they are null
    nested: frozenset[str]


@cache
def _shape(record: type[msgspec.Struct]) -> _Shape:
    fields = msgspec.structs.fields(record)
    left_out = {f.name for f in fields if f.default is None} if record.__struct_config__.omit_defaults else ()
    return _Shape(
        {f.name: f.encode_name for f in fields if f.name != f.encode_name},
        frozenset(left_out),
        frozenset(c.name for c in columns(record) if c.kind in (Kind.OBJECT_LIST, Kind.GEO)),
    )


def json_names(record: type[msgspec.Struct]) -> dict[str, str]:
    """Columns that have another name in JSON, and that name."""
    return _shape(record).names


def as_json(row: dict[str, Any], record: type[msgspec.Struct]) -> dict[str, Any]:
    """A row as other formats have it, as JSON has it: the names, and what is left out because it is null."""
    shape = _shape(record)
    if not (shape.names or shape.left_out or shape.nested):
        return row
    return {
        shape.names.get(name, name): _without_nulls(value) if name in shape.nested else value
        for name, value in row.items()
        if value is not None or name not in shape.left_out
    }


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return value
