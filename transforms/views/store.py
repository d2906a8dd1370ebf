"""A folder of results as relations in DuckDB, and views run on them: read only, in bounded memory.

Parquet is queried where it is. JSON lines and Avro are loaded once into a database in a temporary folder, file by file,
so that a folder that grows is not read again. So are rows of which a later file may hold a better copy, and the rollups
of cubes, for who asks more than once.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.views import rollup
from huntbeam.transforms.views.database import connect, is_parquet, result_files
from huntbeam.transforms.views.grid import EMPTY, Grid, Hours, grid_of, merged
from huntbeam.transforms.views.relations import RELATIONS, Relation
from huntbeam.transforms.views.sources import batches, counted, drop_copies, fresh, load_others, select
from huntbeam.transforms.views.table import Table, cube_table, row_table
from huntbeam.transforms.views.view import EVERYTHING, LEAST, Ask, Cube, Rows, View

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ARCHIVE, _SUCCESS = "_archive.json", "_SUCCESS"
_TIMED = ("creates", "connects", "alerts", "events", "monster", "joins", "enriched")
_FETCHED = 5_000
PATIENCE = 0.1  # seconds to wait for who takes up files, before the files themselves are asked


class _Rolled(NamedTuple):
    """What a cube's rollup holds: which files, in cells of which width."""

    width: int
    files: frozenset[str]


class Store:
    """The relations of a folder. `refresh` looks whether it has grown; `run` may be called by many threads.

    `rollups`: cubes are counted once a file, which pays for who asks more than once.
    Raises UnusableError for a folder that is none of results, and where DuckDB is missing.
    """

    def __init__(self, folder: Path, *, rollups: bool = False) -> None:
        self.folder = folder
        self.archived = (folder / _ARCHIVE).is_file()
        self.version = 0
        self.grid: Grid = EMPTY
        self.rows: dict[str, int] = {}  # by stream
        self._files: dict[str, tuple[str, ...]] = {}  # by relation
        self._hours: dict[str, Hours] = {}  # by relation
        self._rollups = rollups
        self._rolled: dict[str, _Rolled] = {}  # by cube
        self._lock = threading.RLock()  # of what is written: tables, and what is known of them
        self._aside = tempfile.TemporaryDirectory(prefix="huntbeam-", ignore_cleanup_errors=True)
        self._connection = connect(Path(self._aside.name))
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with self._told(), closing(self._connection.cursor()) as cursor:
            for name, relation in RELATIONS.items():
                self._relate(cursor, name, relation, ())
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
            there = {name: result_files(self.folder / relation.stream) for name, relation in RELATIONS.items()}
            changed = [name for name, files in there.items() if files != self._files.get(name, ())]
            try:
                for name in changed:
                    self._take_up(name, there[name])
                    self.version += 1
            finally:  # a torn file keeps what came before it from nobody
                hours = merged(*self._hours.values())
                self.grid = grid_of([(hour, *hours[hour]) for hour in sorted(hours)])
            return bool(changed)

    def success(self) -> Mapping[str, Any]:
        """What `_SUCCESS` of a replay says; nothing for a stream's folder."""
        try:
            return msgspec.json.decode((self.folder / _SUCCESS).read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            return {}

    def run(self, view: View, ask: Ask = EVERYTHING) -> Table:
        """What the view gives for what is asked; for a stream that is not there, nothing."""
        if isinstance(view, Cube):
            grid = self.grid
            sql = rollup.cube_sql(view, ask, grid) if self._roll(view, ask, grid) else view.sql(ask, grid)
            return cube_table(list(view.keys), list(view.numbers), self._each(sql, ask))
        if view.newest:
            total, rows = self._newest(view, ask)
        else:
            total, rows = int(self.query(view.count_sql(ask), ask)[0][0]), self._each(view.sql(ask), ask)
        return row_table(list(view.columns), rows, total)

    def query(self, sql: str, ask: Ask | None = None, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query of ours; values of others are its parameters, `$name`."""
        return list(self._each(sql, ask, **parameters))

    def _newest(self, view: Rows, ask: Ask) -> tuple[int, Iterator[tuple[Any, ...]]]:
        """How many rows there are, and the newest: to sort all of a year's rows would take memory."""
        if not ask.text:  # the number stands in the files, and times alone are quick
            total, oldest = (self.query(sql)[0][0] for sql in (view.count_sql(ask), view.oldest_sql(ask)))
            return total, self._each(view.sql(_since(ask, oldest)), ask)
        total, places = self.query(view.newest_sql(ask), ask)[0]
        files = {place["file"] for place in places or ()}
        if files and all(map(is_parquet, files)):  # (of rows of one time at the end, any)
            with self._told(), closing(self._connection.cursor()) as cursor:
                sql = view.placed_sql(fresh(cursor, RELATIONS[view.relation], sorted(files)))
            named, numbered = ([place[name] for place in places] for name in ("file", "nth"))
            return total, self._each(sql, files=named, rows=numbered)
        oldest = places[-1]["instant"] if places and total >= view.limit else LEAST
        return total, self._each(view.sql(_since(ask, oldest if oldest > LEAST else None)), ask)

    def _each(self, sql: str, ask: Ask | None = None, **parameters: Any) -> Iterator[tuple[Any, ...]]:
        if ask is not None and "$text" in sql:
            parameters["text"] = ask.text.lower()
        with self._told(), closing(self._connection.cursor()) as cursor:  # each thread its own
            cursor.execute(sql, parameters or None)
            while rows := cursor.fetchmany(_FETCHED):
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

    @contextmanager
    def _writing(self) -> Iterator[DuckDBPyConnection]:
        """A cursor whose statements are seen by others all at once, or not at all."""
        with self._told(), closing(self._connection.cursor()) as cursor:
            cursor.begin()
            try:
                yield cursor
            except BaseException:
                cursor.rollback()
                raise
            cursor.commit()

    def _take_up(self, name: str, files: tuple[str, ...]) -> None:
        """A relation as its files are now; those that it has are not read again, unless some went."""
        relation, had = RELATIONS[name], set(self._files.get(name, ()))
        again = not had or not had.issubset(files)
        new = [path for path in files if again or path not in had]
        with self._writing() as cursor:
            if again:
                cursor.execute(f"DROP TABLE IF EXISTS rows_{name}")
                cursor.execute(f"DROP TABLE IF EXISTS kept_{name}")
            if relation.latest:
                self._keep(cursor, name, relation, new)
            else:
                self._relate(cursor, name, relation, files, new)
            part = not again and not relation.latest and all(map(is_parquet, files))
            hours, rows = counted(cursor, fresh(cursor, relation, new) if part else name, timed=name in _TIMED)
        old = self._hours.get(name, {}) if part else {}
        self._hours[name] = merged(old, hours)
        self.rows[relation.stream] = rows + (self.rows[relation.stream] if part else 0)
        if not files:
            del self.rows[relation.stream]
        self._files[name] = files

    def _relate(
        self, cursor: DuckDBPyConnection, name: str, relation: Relation, files: Sequence[str], new: Sequence[str] = ()
    ) -> None:
        """The relation as a view: of Parquet where it is, and of a table with all that was loaded."""
        load_others(cursor, f"rows_{name}", relation, new)
        cursor.execute(f"CREATE OR REPLACE VIEW {name} AS {select(cursor, relation, files, f'rows_{name}')}")

    def _keep(self, cursor: DuckDBPyConnection, name: str, relation: Relation, new: Sequence[str]) -> None:
        """The relation as a table, with one copy of each row where the folder is a stream's (docs/archive.md)."""
        cursor.execute(f"CREATE TABLE IF NOT EXISTS kept_{name} AS {select(cursor, relation, ())}")
        for batch in batches(new):
            cursor.execute(f"INSERT INTO kept_{name} FROM {fresh(cursor, relation, batch)}")
        if self.archived and new:
            drop_copies(cursor, f"kept_{name}", relation.latest)
        where = relation.where if self.archived else "true"
        cursor.execute(f"CREATE OR REPLACE VIEW {name} AS FROM kept_{name} WHERE {where}")

    def warm(self, view: View) -> bool:
        """Takes a batch of files into the rollup of a view that lacks some; whether there was one to take."""
        if not isinstance(view, Cube) or not self._rollable(view):
            return False
        with self._lock, self._told():
            if self._is_rolled(view, self.grid):
                return False
            self._roll_some(view, self.grid)
            return True

    def _roll(self, cube: Cube, ask: Ask, grid: Grid) -> bool:
        """Whether a rollup answers. It takes up a few new files first; where it lacks many, the files are asked."""
        if not self._rollable(cube) or not rollup.serves(ask, grid.width):
            return False
        if not self._is_rolled(cube, grid) and self._lock.acquire(timeout=PATIENCE):
            try:
                if len(list(batches(self._lacks(cube, grid)))) == 1:
                    self._roll_some(cube, grid)
            finally:
                self._lock.release()
        return self._is_rolled(cube, grid)

    def _rollable(self, cube: Cube) -> bool:
        """Whether the cube may have a rollup. What is not Parquet, or is kept, is a table already."""
        if not self._rollups or cube.relation not in RELATIONS or RELATIONS[cube.relation].latest:
            return False
        files = self._files.get(cube.relation, ())
        return bool(files) and all(map(is_parquet, files))

    def _lacks(self, cube: Cube, grid: Grid) -> list[str]:
        """The files that the rollup does not have; all, where it has to be made again."""
        files, rolled = self._files[cube.relation], self._rolled.get(cube.name)
        if rolled is None or grid.width % rolled.width or not rolled.files.issubset(files):
            self._rolled.pop(cube.name, None)
            return list(files)
        return [path for path in files if path not in rolled.files]

    def _is_rolled(self, cube: Cube, grid: Grid) -> bool:
        rolled = self._rolled.get(cube.name)
        return rolled is not None and grid.width % rolled.width == 0 and rolled.files == set(self._files[cube.relation])

    def _roll_some(self, cube: Cube, grid: Grid) -> None:
        batch = next(batches(self._lacks(cube, grid)))
        rolled = self._rolled.get(cube.name) or _Rolled(grid.width, frozenset())
        with self._writing() as cursor:
            for statement in () if rolled.files else rollup.drop_sql(cube.name):
                cursor.execute(statement)
            source = fresh(cursor, RELATIONS[cube.relation], batch)
            for statement in rollup.fill_sql(cube, source, rolled.width, first=not rolled.files):
                cursor.execute(statement)
        self._rolled[cube.name] = _Rolled(rolled.width, rolled.files.union(batch))


def _since(ask: Ask, since: int | None) -> Ask:
    """What is asked, without what is too old to be shown."""
    return ask if since is None else msgspec.structs.replace(ask, since=max(int(since), ask.since or int(since)))
