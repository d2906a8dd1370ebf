"""Relations of files, as SQL that a cursor runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from huntbeam.schemas.clock import HOUR
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.views.database import is_parquet, load, parquet_sql, table_sql
from huntbeam.transforms.views.grid import Hours
from huntbeam.transforms.views.relations import Relation, relation_sql

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_BYTES = 32 * 1024 * 1024  # of files that are taken up at a time


def select(cursor: DuckDBPyConnection, relation: Relation, files: Sequence[str], table: str = "") -> str:
    """SQL for a relation of Parquet files and of a table, which has the rows of the other files."""
    paths = [path for path in files if is_parquet(path)]
    loaded = len(paths) < len(files) and relation.stream in STREAMS
    parts = [*([parquet_sql(paths)] if paths else []), *([table_sql(table)] if loaded else [])]
    if not parts:
        return relation_sql(relation, {}, "(SELECT 1 WHERE false)")
    raw = f"({' UNION ALL BY NAME '.join(f'({part})' for part in parts)})"
    return relation_sql(relation, {row[0]: row[1] for row in cursor.execute(f"DESCRIBE FROM {raw}").fetchall()}, raw)


def load_others(cursor: DuckDBPyConnection, table: str, relation: Relation, files: Sequence[str]) -> None:
    """Appends the files that are not Parquet to a table."""
    others = [path for path in files if not is_parquet(path)]
    if others and relation.stream in STREAMS:
        load(cursor, table, relation.stream, others)


def fresh(cursor: DuckDBPyConnection, relation: Relation, files: Sequence[str]) -> str:
    """SQL for a relation of some files alone."""
    cursor.execute("DROP TABLE IF EXISTS rows_fresh")
    load_others(cursor, "rows_fresh", relation, files)
    return f"({select(cursor, relation, files, 'rows_fresh')})"


def drop_copies(cursor: DuckDBPyConnection, table: str, latest: str) -> None:
    """Leaves the latest copy of each row. Most rows have one, and are not sorted."""
    several = f"SELECT event_uid FROM {table} GROUP BY event_uid HAVING count(*) > 1"
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE copied AS FROM {table} WHERE event_uid IN ({several}) {latest}")
    cursor.execute(f"DELETE FROM {table} WHERE event_uid IN (SELECT event_uid FROM copied)")
    cursor.execute(f"INSERT INTO {table} FROM copied")
    cursor.execute("DROP TABLE copied")


def counted(cursor: DuckDBPyConnection, source: str, *, timed: bool) -> tuple[Hours, int]:
    """The hours with events of a relation, if they are `timed`, and how many rows it has."""
    hours = f"SELECT t // {HOUR}, count(*), min(t), max(t) FROM {source} WHERE t IS NOT NULL GROUP BY 1"
    found = cursor.execute(hours).fetchall() if timed else []
    rows = cursor.execute(f"SELECT count(*) FROM {source}").fetchone()
    return {hour: (n, first, last) for hour, n, first, last in found}, rows[0] if rows else 0


def batches(files: Sequence[str]) -> Iterator[list[str]]:
    """The files, some megabytes at a time: what is made of a batch has to go into memory."""
    batch: list[str] = []
    size = 0
    for path in files:
        batch.append(path)
        size += Path(path).stat().st_size
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
