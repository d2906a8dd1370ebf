"""Arrow schemas and record batches, derived from the declared columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from huntbeam.schemas.monster import Entry
from huntbeam.schemas.record import Column, Kind, columns

_TYPES: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.GUID: pa.string(),
    Kind.IP: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.INSTANT: pa.timestamp("ms", tz="UTC"),
    Kind.TEXT_MAP: pa.map_(pa.string(), pa.string()),
    Kind.INTEGER_MAP: pa.map_(pa.string(), pa.int64()),
    Kind.TEXT_LIST: pa.list_(pa.string()),
    Kind.IP: pa.string(),
    Kind.OBJECT_LIST: pa.list_(pa.struct([(name, pa.string()) for name in Entry.__struct_fields__])),
    Kind.GEO: pa.struct(
        [
            ("country_code", pa.string()),
            ("country", pa.string()),
            ("city", pa.string()),
            ("location", pa.struct([("lat", pa.float64()), ("lon", pa.float64())])),
        ]
    ),
}


@cache
def arrow_schema(record: type[msgspec.Struct]) -> pa.Schema:
    """The Arrow schema of a record type; field metadata has `description` and `source`."""
    return pa.schema([_field(column) for column in columns(record)])


def _field(column: Column) -> pa.Field[Any]:
    metadata = {"description": column.description, "source": column.source}
    return pa.field(column.name, _TYPES[column.kind], nullable=column.nullable, metadata=metadata)


def record_batch(rows: Sequence[msgspec.Struct], record: type[msgspec.Struct]) -> pa.RecordBatch:
    """The rows as one batch of arrow_schema(record). Instants may lie in the years 0000 to 9999.

    Raises pa.ArrowInvalid for an instant that is no time and for an integer beyond 64 bits.
    """
    arrays = [_array(column, list(map(attrgetter(column.name), rows))) for column in columns(record)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(record))


def batch_of_rows(rows: Sequence[Mapping[str, Any]], record: type[msgspec.Struct]) -> pa.RecordBatch:
    """The same of rows as JSON has them; a column that a row does not have is null."""
    arrays = [_array(column, [row.get(column.name) for row in rows]) for column in columns(record)]
    fields = [_field(column).with_nullable(True) for column in columns(record)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _array(column: Column, values: list[Any]) -> pa.Array[Any]:
    match column.kind:
        case Kind.INSTANT:
            return pa.array(values, pa.string()).cast(_TYPES[column.kind])
        case Kind.TEXT_MAP:
            values = [None if value is None else _text_items(value) for value in values]
        case Kind.INTEGER_MAP:
            values = [None if value is None else list(value.items()) for value in values]
        case Kind.OBJECT_LIST | Kind.GEO:
            values = msgspec.to_builtins(values)
    return pa.array(values, _TYPES[column.kind])


def _text_items(value: Mapping[str, str | int | None]) -> list[tuple[str, str | None]]:
    return [(name, None if item is None else str(item)) for name, item in value.items()]
