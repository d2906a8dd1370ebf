"""Rows of the results in a folder: JSON lines, Parquet and Avro files, all as JSON lines have them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from huntbeam.schemas.clock import instant
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.row_writers import Format

Row = dict[str, Any]

_BATCH = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def folder_rows(folder: Path) -> Iterator[Row]:
    """The rows of a replay's output, stream by stream, or of one stream's folder. Raises UnusableError."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _READERS and not _hidden(path, folder))
    if not files:
        suffixes = ", ".join(_READERS)
        raise UnusableError(f"{folder} holds no results ({suffixes}): name the --output of a replay or a folder in it")
    for path in files:
        try:
            yield from _READERS[path.suffix](path)
        except (ValueError, OSError) as error:  # Arrow's errors are ValueErrors, fastavro's and msgspec's as well
            reason = str(error).partition("\n")[0]
            raise UnusableError(f"{path} cannot be read ({reason}): leave it out or run the replay again") from error


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _jsonl(path: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(Row).decode
    with path.open("rb") as file:
        for line in file:
            yield decode(line)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist(maps_as_pydicts="strict"):
                yield _plain(row)


def _avro(path: Path) -> Iterator[Row]:
    import fastavro

    with path.open("rb") as file:
        rows: Any = fastavro.reader(file)
        for row in rows:
            yield _plain(row)


def _plain(row: Row) -> Row:
    """The row with its times as text."""
    return {
        name: instant((value - _EPOCH) // _MILLISECOND) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


_READERS = {Format.JSONL.suffix: _jsonl, Format.PARQUET.suffix: _parquet, Format.AVRO.suffix: _avro}
