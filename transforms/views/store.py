"""A folder of results as relations in DuckDB, and views run on them: read only, in bounded memory.

Parquet is queried where it is. JSON lines and Avro are loaded once into a database in a temporary folder, file by file,
so that a folder that grows is not read again.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from huntbeam.schemas.alert import Alert
from huntbeam.schemas.ecs import as_columns
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.record import columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.views.grid import EMPTY, Grid, grid_of
from huntbeam.transforms.views.relations import RELATIONS, Relation, relation_sql, sql_type
from huntbeam.transforms.views.table import Table, cube_table, row_table
from huntbeam.transforms.views.view import Ask, Rows, View

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
_ARCHIVE, _SUCCESS = "_archive.json", "_SUCCESS"
_HOUR = 3_600_000
_TIMED = ("creates", "connects", "alerts", "events", "monster", "joins", "enriched")
_BATCH = 5_000


class Store:
    """The relations of a folder. `refresh` looks whether it has grown; `run` may be called by many threads.

    Raises UnusableError for a folder that is none of results, and where DuckDB is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archived = (folder / _ARCHIVE).is_file()
        self.version = 0
        self.grid: Grid = EMPTY
        self.rows: dict[str, int] = {}  # by stream
        self._files: dict[str, tuple[str, ...]] = {}
        self._loaded: set[str] = set()
        self._lock = threading.Lock()
        self._aside = tempfile.TemporaryDirectory(prefix="huntbeam-", ignore_cleanup_errors=True)
        self._connection = _connect(Path(self._aside.name))
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if not self.refresh():
            raise UnusableError(
                f"{self.folder} holds no results: name the --output of a replay, or the folder of `huntbeam archive`"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the database and its files."""
        self._connection.close()
        self._aside.cleanup()

    def refresh(self) -> bool:
        """Takes up files that came or went since the last time; whether there were any."""
        with self._lock, self._told():
            files = {relation.stream: _files(self.folder / relation.stream) for relation in RELATIONS.values()}
            files = {stream: found for stream, found in files.items() if found}
            if files == self._files:
                return False
            for name, relation in RELATIONS.items():
                self._relate(name, relation, files.get(relation.stream, ()))
            self._files = files
            self.rows = {
                r.stream: self._one(f"SELECT count(*) FROM {n}") for n, r in RELATIONS.items() if r.stream in files
            }
            self.grid = grid_of(self._hours())
            self.version += 1
            return True

    def success(self) -> Mapping[str, Any]:
        """What `_SUCCESS` of a replay says; nothing for a stream's folder."""
        try:
            return msgspec.json.decode((self.folder / _SUCCESS).read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            return {}

    def run(self, view: View, ask: Ask = Ask()) -> Table:  # noqa: B008  # immutable
        """What the view gives for what is asked; for a stream that is not there, nothing."""
        if isinstance(view, Rows):
            total = int(self.query(view.count_sql(ask), ask)[0][0])
            rows = self._each(view.sql(self._newest(view, ask)), ask)
            return row_table(list(view.columns), rows, total)
        return cube_table(list(view.keys), list(view.numbers), self._each(view.sql(ask, self.grid), ask))

    def _newest(self, view: Rows, ask: Ask) -> Ask:
        """What is asked, without what is too old to be shown: to sort all of a year's rows takes memory."""
        cutoff = self.query(view.cutoff_sql(ask), ask)[0][0] if view.newest else None
        return ask if cutoff is None else msgspec.structs.replace(ask, since=int(cutoff))

    def query(self, sql: str, ask: Ask | None = None, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query of ours; values of others are its parameters, `$name`."""
        return list(self._each(sql, ask, **parameters))

    def _each(self, sql: str, ask: Ask | None = None, **parameters: Any) -> Iterator[tuple[Any, ...]]:
        if ask is not None and "$text" in sql:
            parameters["text"] = ask.text.lower()
        with self._told(), closing(self._connection.cursor()) as cursor:  # each thread its own
            cursor.execute(sql, parameters or None)
            while rows := cursor.fetchmany(_BATCH):
                yield from rows

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Says where a file that cannot be read is."""
        from duckdb import Error

        try:
            yield
        except Error as error:
            reason = str(error).partition("\n")[0]
            raise UnusableError(
                f"{self.folder} cannot be read ({reason}): leave the file out or run the replay again"
            ) from error

    def _one(self, sql: str) -> int:
        return int(self.query(sql)[0][0])

    def _hours(self) -> list[tuple[int, int, int, int]]:
        times = " UNION ALL ".join(
            f"SELECT t // {_HOUR} AS h, count(*) AS n, min(t) AS first, max(t) AS last FROM {name} "
            "WHERE t IS NOT NULL GROUP BY h"
            for name in _TIMED
        )
        rows = self.query(f"SELECT h, sum(n), min(first), max(last) FROM ({times}) GROUP BY h ORDER BY h")
        return [(int(h), int(n), int(first), int(last)) for h, n, first, last in rows]

    def _relate(self, name: str, relation: Relation, files: Sequence[str]) -> None:
        raw = f"raw_{name}"
        tables = [*self._parquet(raw, files), *self._table(raw, relation.stream, files)]
        present: dict[str, str] = {}
        if tables:
            self._connection.execute(
                f"CREATE OR REPLACE VIEW {raw} AS " + " UNION ALL BY NAME ".join(f"FROM {table}" for table in tables)
            )
            present = {row[0]: row[1] for row in self.query(f"DESCRIBE {raw}")}
        sql = relation_sql(name, relation, present, raw if tables else "(SELECT 1 WHERE false)", self.archived)
        self._connection.execute(sql)

    def _parquet(self, raw: str, files: Sequence[str]) -> Iterator[str]:
        found = [path for path in files if path.endswith(Format.PARQUET.suffix)]
        if found:
            paths = ", ".join("'" + path.replace("'", "''") + "'" for path in found)
            self._connection.execute(
                f"CREATE OR REPLACE VIEW {raw}_parquet AS FROM read_parquet([{paths}], union_by_name = true)"
            )
            yield f"{raw}_parquet"

    def _table(self, raw: str, stream: str, files: Sequence[str]) -> Iterator[str]:
        found = [path for path in files if not path.endswith(Format.PARQUET.suffix)]
        if not found or stream not in STREAMS:
            return
        types = {column.name: sql_type(column.kind) for column in columns(STREAMS[stream])}
        declared = ", ".join(f'"{name}" {sql_type}' for name, sql_type in types.items())
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {raw}_rows ({declared})")
        for path in found:
            if path not in self._loaded:
                self._load(f"{raw}_rows", path, types, stream)
                self._loaded.add(path)
        yield f"{raw}_rows"

    def _load(self, table: str, path: str, types: dict[str, str], stream: str) -> None:
        if path.endswith(Format.JSONL.suffix) and not _ecs(path, stream):
            declared = ", ".join(f"'{name}': '{sql_type}'" for name, sql_type in types.items())
            self._connection.execute(
                f"INSERT INTO {table} SELECT {_kept(types)} FROM read_json([$path], format = 'newline_delimited', "
                f"columns = {{{declared}}}, maximum_object_size = 67108864)",
                {"path": path},
            )
            return
        for batch in _batches(Path(path), stream):  # noqa: B007  # DuckDB finds it by its name
            self._connection.execute(f"INSERT INTO {table} SELECT {_kept(types)} FROM batch")


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


def _connect(aside: Path) -> duckdb.DuckDBPyConnection:
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
        "autoinstall_known_extensions = false",  # nothing is fetched
        "autoload_known_extensions = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _files(folder: Path) -> tuple[str, ...]:
    suffixes = tuple(f.suffix for f in Format)
    try:
        found = sorted(str(path) for path in folder.iterdir() if path.suffix in suffixes and path.name[0] not in "._")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return tuple(found)
