"""Rows on their way from topics into files, and their identities on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec

from huntbeam.runners.kafka.seen import Identity, identity
from huntbeam.schemas.clock import instant, parse_time
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.streams import STREAMS

_IDENTITY = ("event_uid", "generation", "count", "revision", "record_id", "source", "position")
_INT64 = range(-(1 << 63), 1 << 63)


def typed_row(row: Mapping[str, Any], stream: str) -> msgspec.Struct:
    """The row as the stream's record type; columns that it does not know, such as schema_version, are left out.

    Raises RecordError for what one of the file formats could not hold.
    """
    try:
        typed = msgspec.convert(row, STREAMS[stream])
    except msgspec.ValidationError as error:
        raise RecordError("read", "NotARow", f"the value is no row of {stream}") from error
    for name, fits in _checks(stream):
        value = getattr(typed, name)
        if value is not None and not fits(value):
            raise RecordError("read", "NotARow", f"the value is no row of {stream}: {name} is out of range")
    return typed


@cache
def _checks(stream: str) -> tuple[tuple[str, Callable[[Any], bool]], ...]:
    return tuple((c.name, _FITS[c.kind]) for c in columns(STREAMS[stream]) if c.kind in _FITS)


def _is_instant(text: str) -> bool:
    millis = parse_time(text)
    return millis is not None and instant(millis) == text


_FITS: dict[Kind, Callable[[Any], bool]] = {
    Kind.INSTANT: _is_instant,
    Kind.INTEGER: lambda value: value in _INT64,
    Kind.TEXT_MAP: lambda value: all(not isinstance(item, int) or item in _INT64 for item in value.values()),
    Kind.INTEGER_MAP: lambda value: all(count in _INT64 for count in value.values()),
}


def identity_of(row: msgspec.Struct, stream: str) -> Identity | None:
    """The identity of a row, from the columns that a file of it gives back."""
    return identity({name: getattr(row, name) for name in _identifying(stream)}, stream)


@cache
def _identifying(stream: str) -> list[str]:
    return [name for name in _IDENTITY if name in STREAMS[stream].__struct_fields__]


def identities(path: Path, stream: str) -> Iterator[Identity]:
    """The identities of the rows of a landed file. Raises UnusableError when it cannot be read."""
    try:
        for row in _READERS[path.suffix](path, _identifying(stream)):
            found = identity(row, stream)
            if found:
                yield found
    except (OSError, ValueError, msgspec.MsgspecError) as error:  # Arrow's and fastavro's errors are ValueErrors
        raise UnusableError(f"{path} cannot be read ({error}): move it away, its rows are not landed again") from error


def _parquet(path: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(columns=names):
            yield from batch.to_pylist()


def _jsonl(path: Path, _names: list[str]) -> Iterator[dict[str, Any]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        for line in file:
            yield decode(line)


def _avro(path: Path, _names: list[str]) -> Iterator[dict[str, Any]]:
    from fastavro import reader

    with path.open("rb") as file:
        for row in reader(file):
            yield cast(dict[str, Any], row)


_READERS: dict[str, Callable[[Path, list[str]], Iterable[dict[str, Any]]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".avro": _avro,
}
