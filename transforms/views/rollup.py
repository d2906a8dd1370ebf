"""Rollups: cubes counted once for each file, so that an answer over ten million rows adds up a few numbers. Pure SQL.

Files do not change once they are there. Of each the cells (time, key, numbers) go into a table, and their keys into
another, in which each has a number: what groups millions of cells compares integers, not five texts. A cell's time is a
multiple of the grid's width, so that it lies in one bucket, and the rollup serves spans that begin and end with one.
"""

from __future__ import annotations

from huntbeam.transforms.views.grid import Grid
from huntbeam.transforms.views.view import Ask, Cube, as_keys, listed, shown

_AGAIN = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}  # what adds up numbers of each kind


def serves(ask: Ask, width: int) -> bool:
    """Whether cells of `width` ms lie either in the span that is asked or out of it."""
    return all(edge is None or edge % width == 0 for edge in (ask.since, ask.until))


def fill_sql(cube: Cube, source: str, width: int, *, first: bool) -> list[str]:
    """Statements that take up the rows of the relation `source`; `first` makes the tables."""
    names = ", ".join(f'"{name}"' for name in cube.keys)
    same = " AND ".join(f'fresh."{name}" IS NOT DISTINCT FROM known."{name}"' for name in cube.keys)
    numbers = ", ".join(f'fresh."{name}"' for name in cube.numbers)
    count = ", ".join(f'{expression} AS "{name}"' for name, expression in cube.numbers.items())
    make = [
        f"CREATE TABLE keys_{cube.name} AS SELECT 0::INTEGER AS id, {names} FROM fresh LIMIT 0",
        f"CREATE TABLE cells_{cube.name} AS SELECT fresh.t, 0::INTEGER AS id, {numbers} FROM fresh LIMIT 0",
    ]
    return [
        f"CREATE OR REPLACE TEMP TABLE fresh AS SELECT t - ((t % {width}) + {width}) % {width} AS t, "
        f"{as_keys(cube.keys)}, {count} FROM {source} WHERE {cube.where} GROUP BY ALL",
        *(make if first else []),
        f"INSERT INTO keys_{cube.name} SELECT row_number() OVER () + (SELECT coalesce(max(id), 0) FROM "
        f"keys_{cube.name}), {names} FROM (SELECT DISTINCT {names} FROM fresh) AS fresh "
        f"ANTI JOIN keys_{cube.name} AS known ON {same}",
        f"INSERT INTO cells_{cube.name} SELECT fresh.t, known.id, {numbers} "
        f"FROM fresh JOIN keys_{cube.name} AS known ON {same}",
        "DROP TABLE fresh",
    ]


def drop_sql(name: str) -> list[str]:
    """Statements that forget a cube's rollup."""
    return [f"DROP TABLE IF EXISTS {kind}_{name}" for kind in ("keys", "cells")]


def cube_sql(cube: Cube, ask: Ask, grid: Grid) -> str:
    """The rows of Cube.sql, of the rollup. Only of keys with the highest numbers are the texts looked at."""
    first, *_ = cube.numbers
    numbers = ", ".join(f'{_again(expression)}("{name}") AS "{name}"' for name, expression in cube.numbers.items())
    cells = f"cells_{cube.name} WHERE {_span(ask)}"
    best = listed("best", cube.keys)
    return f"""
        WITH found AS MATERIALIZED (
          SELECT id, {_again(cube.numbers[first])}("{first}") AS total FROM {cells} GROUP BY id
        ), least AS (SELECT min(total) FROM (SELECT total FROM found ORDER BY total DESC LIMIT {cube.limit})),
        best AS MATERIALIZED (
          SELECT best.*, total FROM found JOIN keys_{cube.name} AS best USING (id) WHERE total >= (FROM least)
          ORDER BY total DESC, {best} LIMIT {cube.limit}
        ), cells AS (
          SELECT {grid.bucket_sql()} AS b, id, {numbers} FROM {cells} AND id IN (SELECT id FROM best) GROUP BY b, id
        )
        SELECT b, {shown("best", cube.keys)}, {listed("cells", cube.numbers)},
          (SELECT count(*) FROM found), (SELECT sum(total) FROM found)
        FROM cells JOIN best USING (id) ORDER BY best.total DESC, {best}, b
    """


def _again(expression: str) -> str:
    return _AGAIN[expression.partition("(")[0]]


def _span(ask: Ask) -> str:
    bounds = [f"t >= {ask.since}"] if ask.since is not None else []
    return " AND ".join([*bounds, *([f"t < {ask.until}"] if ask.until is not None else [])]) or "true"
