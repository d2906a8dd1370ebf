"""What a view gives: rows or cells, bounded in bytes, with how many there are in all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

TEXT = 4_000  # characters of a value that a page shows; the files have all of them
BYTES = 3_000_000  # of a view, as JSON


class RowTable(msgspec.Struct, frozen=True, kw_only=True):
    """The first rows: of `total` rows; `rows` are lists in the order of `columns`."""

    columns: list[str]
    rows: list[list[Any]]
    total: int


class CubeTable(msgspec.Struct, frozen=True, kw_only=True):
    """Cells [bucket or null, position in `keys`, numbers ...], of `found` keys; `total` adds up all, kept or not."""

    columns: list[str]
    keys: list[list[Any]]
    numbers: list[str]
    cells: list[list[Any]]
    found: int
    total: int


Table = RowTable | CubeTable
_size = msgspec.json.Encoder().encode


def row_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], total: int, most: int = BYTES) -> RowTable:
    """As many of the rows as fit into `most` bytes of JSON, their long texts cut."""
    kept: list[list[Any]] = []
    for row in rows:
        clipped = [clip(value) for value in row]
        most -= len(_size(clipped))
        if most < 0:
            break
        kept.append(clipped)
    return RowTable(columns=list(columns), rows=kept, total=total)


def cube_table(columns: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[Any]]) -> CubeTable:
    """The cells of Cube.sql's rows, each key written once."""
    places: dict[tuple[Any, ...], int] = {}
    cells: list[list[Any]] = []
    found = total = 0
    for bucket, *values, found, total in rows:  # noqa: B007  # the last two are the same in each
        key = tuple(values[: len(columns)])
        cells.append([bucket, places.setdefault(key, len(places)), *values[len(columns) :]])
    return CubeTable(
        columns=list(columns),
        keys=[list(key) for key in places],
        numbers=list(numbers),
        cells=cells,
        found=int(found),
        total=int(total or 0),
    )


def clip(value: Any) -> Any:
    """The value with its long texts cut, and how long they were said.

    >>> clip("x" * 5000)[-20:]
    '… (5,000 characters)'
    """
    if isinstance(value, str):
        return value if len(value) <= TEXT else f"{value[:TEXT]}… ({len(value):,} characters)"
    if isinstance(value, Mapping):
        return {clip(str(name)): clip(item) for name, item in value.items()}
    if isinstance(value, list):
        return [clip(item) for item in value]
    return value
