"""Rows of the results in a folder: JSON lines, Parquet and Avro files, all as JSON lines have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from huntbeam.schemas.clock import instant
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.json_rows import as_json
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.row_writers import Format

Row = dict[str, Any]
Read = tuple[list[Row], int]  # rows, and how far in the file they end
Progress = Callable[[int, int], object]

_BATCH = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def folder_rows(folder: Path, progress: Progress | None = None) -> Iterator[Row]:
    """The rows of a replay's output, stream by stream, or of one stream's folder. Raises UnusableError.

    `progress` is told, now and then, how many bytes and rows more were read.
    """
    for path in result_files(folder):
        yield from file_rows(path, progress)


def file_rows(path: Path, progress: Progress | None = None) -> Iterator[Row]:
    """The rows of one file. Raises UnusableError."""
    record = STREAMS.get(path.parent.name)
    try:
        done = 0
        for rows, position in _READERS[path.suffix](path):
            yield from rows if record is None else (as_json(row, record) for row in rows)
            if progress is not None:
                progress(position - done, len(rows))
            done = position
    except (ValueError, OSError) as error:  # Arrow's errors are ValueErrors, fastavro's and msgspec's as well
        reason = str(error).partition("\n")[0]
        raise UnusableError(f"{path} cannot be read ({reason}): leave it out or run the replay again") from error


def result_files(folder: Path) -> list[Path]:
    """The files of rows in a folder, sorted. Raises UnusableError where there are none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _READERS and not _hidden(path, folder))
    if not files:
        suffixes = ", ".join(_READERS)
        raise UnusableError(f"{folder} holds no results ({suffixes}): name the --output of a replay or a folder in it")
    return files


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _jsonl(path: Path) -> Iterator[Read]:
    decode = msgspec.json.Decoder(Row).decode
    with path.open("rb") as file:
        while lines := list(islice(file, _BATCH)):
            yield [decode(line) for line in lines], file.tell()


def _parquet(path: Path) -> Iterator[Read]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        total, done = max(file.metadata.num_rows, 1), 0
        for batch in file.iter_batches(batch_size=_BATCH):
            done += batch.num_rows
            yield (
                [_plain(row) for row in batch.to_pylist(maps_as_pydicts="strict")],
                path.stat().st_size * done // total,
            )


def _avro(path: Path) -> Iterator[Read]:
    import fastavro

    with path.open("rb") as file:
        reader: Any = fastavro.reader(file)
        while rows := [_plain(row) for row in islice(reader, _BATCH)]:
            yield rows, file.tell()


def _plain(row: Row) -> Row:
    """The row with its times as text."""
    return {
        name: instant((value - _EPOCH) // _MILLISECOND) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


_READERS = {Format.JSONL.suffix: _jsonl, Format.PARQUET.suffix: _parquet, Format.AVRO.suffix: _avro}
