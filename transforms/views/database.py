"""The database in a temporary folder, and the files of results that it reads: Parquet where it is, others as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huntbeam.schemas.alert import Alert
from huntbeam.schemas.ecs import as_columns
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.record import columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.views.relations import PLACES, sql_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
_BATCH = 5_000


def connect(aside: Path) -> DuckDBPyConnection:
    """A database in the folder. Raises UnusableError where DuckDB is missing."""
    try:
        import duckdb
    except ImportError as error:
        raise UnusableError("DuckDB is missing: install it with `pip install 'huntbeam[report]'`") from error
    connection = duckdb.connect(str(aside / "views.duckdb"))
    for setting in (
        f"memory_limit = '{MEMORY}'",
        f"temp_directory = '{aside / 'spilled'}'",
        "TimeZone = 'UTC'",
        "preserve_insertion_order = false",
        "parquet_metadata_cache = true",  # files do not change
        "autoinstall_known_extensions = false",  # nothing is fetched
        "autoload_known_extensions = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def result_files(folder: Path) -> tuple[str, ...]:
    """The files of rows in a folder, sorted; none where there is no such folder."""
    suffixes = tuple(f.suffix for f in Format)
    try:
        found = sorted(str(path) for path in folder.iterdir() if path.suffix in suffixes and path.name[0] not in "._")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(found)


def is_parquet(path: str) -> bool:
    """Whether DuckDB reads the file where it is."""
    return path.endswith(Format.PARQUET.suffix)


def parquet_sql(paths: Iterable[str]) -> str:
    """SQL for the rows of Parquet files, each with its place. The last file first: what looks for the newest has it."""
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in sorted(paths, reverse=True))
    return (
        f"FROM read_parquet([{listed}], union_by_name = true, filename = '{PLACES['file'][0]}', file_row_number = true)"
    )


def table_sql(table: str) -> str:
    """SQL for the rows of a table of `load`, each with its place."""
    return f"SELECT *, '' AS {PLACES['file'][0]}, rowid AS {PLACES['nth'][0]} FROM {table}"


def load(cursor: DuckDBPyConnection, table: str, stream: str, paths: Sequence[str]) -> None:
    """Appends JSON lines and Avro files to a table, which is made where it is missing."""
    types = {column.name: sql_type(column.kind) for column in columns(STREAMS[stream])}
    declared = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({declared})")
    for path in paths:
        _load(cursor, table, path, types, stream)


def _load(cursor: DuckDBPyConnection, table: str, path: str, types: dict[str, str], stream: str) -> None:
    if path.endswith(Format.JSONL.suffix) and not _ecs(path, stream):
        declared = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
        cursor.execute(
            f"INSERT INTO {table} SELECT {_kept(types)} FROM read_json([$path], format = 'newline_delimited', "
            f"columns = {{{declared}}}, maximum_object_size = 67108864)",
            {"path": path},
        )
        return
    for batch in _batches(Path(path), stream):  # noqa: B007  # DuckDB finds it by its name
        cursor.execute(f"INSERT INTO {table} SELECT {_kept(types)} FROM batch")


def _kept(types: Iterable[str]) -> str:
    """A dead letter's bytes are shown, not read: their beginning is enough."""
    return ", ".join('left("raw_b64", 2048)' if name == "raw_b64" else f'"{name}"' for name in types)


def _ecs(path: str, stream: str) -> bool:
    """Whether a file has alerts as documents of the Elastic Common Schema."""
    if STREAMS[stream] is not Alert:
        return False
    with Path(path).open("rb") as file:
        return '"ecs":' in file.readline().decode("utf-8", "replace")


def _batches(path: Path, stream: str) -> Iterator[Any]:
    from huntbeam.schemas.arrow import batch_of_rows
    from huntbeam.transforms.row_files import file_rows

    rows: Iterator[dict[str, Any]] = file_rows(path)
    if STREAMS[stream] is Alert:
        rows = map(as_columns, rows)
    while some := list(islice(rows, _BATCH)):
        yield batch_of_rows(some, STREAMS[stream])
