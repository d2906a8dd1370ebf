"""One writer per file format; they write to a file that somebody else opens and closes.

A format's library is imported with its first writer: a run without Parquet or Avro does not need theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

import msgspec

from huntbeam.schemas import ecs
from huntbeam.schemas.alert import Alert
from huntbeam.schemas.ecs import AlertFormat
from huntbeam.schemas.json_rows import json_lines

GROUP_ROWS = 50_000  # a Parquet row group ends at whichever comes first
GROUP_BYTES = 32 * 1024 * 1024
PENDING_ROWS = 256  # fewer rows than this are not worth a conversion to Arrow of their own
BLOCK_BYTES = 256 * 1024  # of an Avro block, before compression


class Format(StrEnum):
    """File formats; the value is the suffix too."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    AVRO = "avro"

    @property
    def suffix(self) -> str:
        """The end of file names: `.jsonl`."""
        return f".{self}"


class RowWriter(Protocol):
    """Writes rows of one type to a binary file that somebody else opens and closes."""

    def write(self, rows: Sequence[msgspec.Struct]) -> None:
        """Takes rows; they may stay in memory up to the format's bounds."""

    def close(self) -> None:
        """Completes the format. The file stays open. Without any write() it is a valid file without rows."""


class JsonLinesWriter:
    """One JSON object a line; `lines` makes them of rows."""

    def __init__(self, file: BinaryIO, lines: Callable[[Sequence[Any]], bytes] = json_lines) -> None:
        self._file = file
        self._lines = lines

    def write(self, rows: Sequence[msgspec.Struct]) -> None:
        """Writes the rows at once."""
        self._file.write(self._lines(rows))

    def close(self) -> None:
        """JSON lines have no end mark."""


class ParquetRowWriter:
    """Parquet, zstd, typed; a row group is held in memory until it is full."""

    def __init__(self, file: BinaryIO, record: type[msgspec.Struct]) -> None:
        from pyarrow.parquet import ParquetWriter

        from huntbeam.schemas.arrow import arrow_schema, record_batch

        self._to_batch = record_batch
        self._record = record
        self._writer = ParquetWriter(file, arrow_schema(record), compression="zstd")
        self._pending: list[msgspec.Struct] = []
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, rows: Sequence[msgspec.Struct]) -> None:
        """Takes rows; writes a row group when there are 50,000 or 32 MB of them."""
        self._pending += rows
        if len(self._pending) >= PENDING_ROWS:
            self._convert()

    def close(self) -> None:
        """Writes the last row group and the footer, and lets go of the file even if that fails."""
        try:
            self._convert()
            self._write_group()
        finally:
            self._writer.close()

    def _convert(self) -> None:
        pending, self._pending = self._pending, []
        for start in range(0, len(pending), GROUP_ROWS):
            batch = self._to_batch(pending[start : start + GROUP_ROWS], self._record)
            self._batches.append(batch)
            self._rows += batch.num_rows
            self._bytes += batch.nbytes
            if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._write_group()

    def _write_group(self) -> None:
        if not self._batches:
            return
        import pyarrow as pa

        table = pa.Table.from_batches(self._batches)
        self._batches, self._rows, self._bytes = [], 0, 0
        self._writer.write_table(table, row_group_size=table.num_rows)


class AvroRowWriter:
    """Avro object container, deflate; a block is held in memory until it is full."""

    def __init__(self, file: BinaryIO, record: type[msgspec.Struct]) -> None:
        from fastavro.write import Writer

        from huntbeam.schemas.avro import avro_record, avro_schema

        self._to_record = avro_record
        self._writer = Writer(file, avro_schema(record), codec="deflate", sync_interval=BLOCK_BYTES)

    def write(self, rows: Sequence[msgspec.Struct]) -> None:
        """Writes full blocks, keeps the rest."""
        write, to_record = self._writer.write, self._to_record
        for row in rows:
            write(to_record(row))

    def close(self) -> None:
        """Writes the last block."""
        self._writer.flush()


def row_writer(
    file: BinaryIO, record: type[msgspec.Struct], file_format: Format, alerts: AlertFormat = AlertFormat.COLUMNS
) -> RowWriter:
    """The writer of a format for rows of one type; `alerts` is how JSON lines have alerts."""
    match file_format:
        case Format.PARQUET:
            return ParquetRowWriter(file, record)
        case Format.AVRO:
            return AvroRowWriter(file, record)
        case Format.JSONL if record is Alert and alerts is AlertFormat.ECS:
            return JsonLinesWriter(file, ecs.json_lines)
        case Format.JSONL:
            return JsonLinesWriter(file)
