"""A view: a name, the SQL that it is, and its columns. Pure; store.py runs it.

Two kinds. **Rows** are the first rows of a relation in an order, with how many there are. **Cubes** count by bucket of
time and keys, of the keys with the highest numbers; whoever brushes a span adds the buckets up.
"""

from __future__ import annotations

import msgspec

from huntbeam.schemas.clock import instant
from huntbeam.transforms.views.grid import Grid

ROWS, KEYS, KEY_TEXT = 2_000, 100, 400
LEAST = -(2**62)  # before any time
FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999  # of the years 1 to 9999


class Ask(msgspec.Struct, frozen=True):
    """What is wanted of a view: a span of event time in ms (from, to exclusive), and a text to look for."""

    since: int | None = None
    until: int | None = None
    text: str = ""


EVERYTHING = Ask()


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a relation. `columns` are SQL expressions with their names; `search` where a text is looked for."""

    name: str
    relation: str
    columns: dict[str, str]
    order: str
    search: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()  # more of these, in lower case already
    where: str = "true"
    limit: int = ROWS
    newest: bool = False  # the order begins with the newest: old rows need not be sorted

    def count_sql(self, ask: Ask) -> str:
        """How many rows there are; `$text` is a parameter where a text is looked for."""
        return f"SELECT count(*) FROM {self.relation} WHERE {self._where(ask)}"

    def oldest_sql(self, ask: Ask) -> str:
        """The time of the last of the newest rows; null where there are fewer, or some without a time among them."""
        return f"""
            SELECT CASE WHEN count(t) = {self.limit} THEN min(t) END
            FROM (SELECT t FROM {self.relation} WHERE {self._where(ask)} ORDER BY t DESC NULLS LAST LIMIT {self.limit})
        """

    def newest_sql(self, ask: Ask) -> str:
        """How many rows there are, and the places of the newest, the newest first; without a time: at LEAST."""
        return f"""
            SELECT count(*), max_by({{'instant': instant, 'file': file, 'nth': nth}}, instant, {self.limit}) FROM (
              SELECT coalesce(t, {LEAST}) AS instant, file, nth FROM {self.relation} WHERE {self._where(ask)}
            )
        """

    def sql(self, ask: Ask) -> str:
        """The rows."""
        return self._select(self.relation, self._where(ask))

    def placed_sql(self, source: str) -> str:
        """The rows that stand in the `$files` at the `$rows`; `source` is the relation, of these files alone."""
        return self._select(source, "(file, nth) IN (SELECT unnest($files), unnest($rows))")

    def _select(self, source: str, where: str) -> str:
        columns = ", ".join(f'{expression} AS "{name}"' for name, expression in self.columns.items())
        return f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {self.order} LIMIT {self.limit}"

    def _where(self, ask: Ask) -> str:
        found = [f"contains(lower(CAST({column} AS VARCHAR)), $text)" for column in self.search if ask.text]
        found += [f"contains({column}, $text)" for column in self.lower if ask.text]
        return " AND ".join([f"({self.where})", span_sql(ask), *([f"({' OR '.join(found)})"] if found else [])])


class Cube(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers by bucket and keys. The keys with the highest first number are kept."""

    name: str
    relation: str
    keys: dict[str, str]
    numbers: dict[str, str] = msgspec.field(default_factory=lambda: {"n": "count(*)"})
    where: str = "true"
    limit: int = KEYS
    many: bool = False  # keys named as columns of the relation, so many that they are counted before their buckets

    def sql(self, ask: Ask, grid: Grid) -> str:
        """Rows (bucket, keys ..., numbers ..., how many keys there are, sum of the first number over all keys)."""
        source = f"{self.relation} WHERE ({self.where}) AND {span_sql(ask)}"
        return self._best_first(source, grid) if self.many else self._cells_first(source, grid)

    def _cells_first(self, source: str, grid: Grid) -> str:
        """Counts buckets and keys in one pass."""
        named, first = listed("cells", self.keys), next(iter(self.numbers))
        return f"""
            WITH cells AS MATERIALIZED (
              SELECT {grid.bucket_sql()} AS b, {as_keys(self.keys)}, {as_keys(self.numbers)} FROM {source} GROUP BY ALL
            ), found AS MATERIALIZED (SELECT {named}, sum("{first}") AS total FROM cells GROUP BY ALL),
            best AS (SELECT * FROM found ORDER BY total DESC, {listed("found", self.keys)} LIMIT {self.limit})
            SELECT b, {shown("cells", self.keys)}, {listed("cells", self.numbers)}, {_ALL}
            FROM cells JOIN best ON {_same("cells", self.keys)} ORDER BY best.total DESC, {listed("best", self.keys)}, b
        """

    def _best_first(self, source: str, grid: Grid) -> str:
        """Counts keys, then the buckets of the best: of a million keys most are not looked at twice."""
        named, first = listed("best", self.keys), next(iter(self.numbers.values()))
        return f"""
            WITH found AS MATERIALIZED (SELECT {as_keys(self.keys)}, {first} AS total FROM {source} GROUP BY ALL),
            best AS MATERIALIZED (
              SELECT * FROM found ORDER BY total DESC, {listed("found", self.keys)} LIMIT {self.limit}
            ),
            cells AS (
              SELECT {grid.bucket_sql()} AS b, {named}, best.total, {as_keys(self.numbers)}
              FROM (SELECT * REPLACE ({as_keys(self.keys)}) FROM {source}) AS rows
              JOIN best ON {_same("rows", self.keys)}
              GROUP BY b, {named}, best.total
            )
            SELECT b, {shown("cells", self.keys)}, {listed("cells", self.numbers)}, {_ALL}
            FROM cells ORDER BY total DESC, {listed("cells", self.keys)}, b
        """


View = Rows | Cube


_ALL = "(SELECT count(*) FROM found), (SELECT sum(total) FROM found)"


def as_keys(expressions: dict[str, str]) -> str:
    """SQL of expressions with their names."""
    return ", ".join(f'{expression} AS "{name}"' for name, expression in expressions.items())


def listed(table: str, names: dict[str, str]) -> str:
    """SQL of a table's columns."""
    return ", ".join(f'{table}."{name}"' for name in names)


def shown(table: str, names: dict[str, str]) -> str:
    """SQL of keys as texts. They are shown, not read: a command line of 32,000 characters is cut."""
    return ", ".join(f'left(CAST({table}."{name}" AS VARCHAR), {KEY_TEXT})' for name in names)


def _same(table: str, names: dict[str, str]) -> str:
    return " AND ".join(f'{table}."{name}" IS NOT DISTINCT FROM best."{name}"' for name in names)


def span_sql(ask: Ask) -> str:
    """SQL that holds for rows in the span; a row without a time is only in the span that is everything."""
    bounds = [f"moment >= {_moment(ask.since)}"] if ask.since is not None else []
    bounds += [f"moment < {_moment(ask.until)}"] if ask.until is not None else []
    return " AND ".join(bounds) or "true"


def _moment(time: int) -> str:
    """A constant of the column's own type: parts of files that lie outside are not read then."""
    return f"TIMESTAMPTZ '{instant(max(FIRST, min(time, LAST)))}'"
