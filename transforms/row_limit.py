"""Rows that are too long for a Kafka record: the longest texts are cut, the same row always in the same way."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from huntbeam.schemas.json_rows import json_names
from huntbeam.schemas.record import Kind, columns

# What readers find rows by. Other columns of free text count as text, ids too (user_logon_id, record_id): whoever
# writes an event can make them as long as he likes, and a row that fits is worth more than a logon id of 100 kB.
_KEPT = frozenset({"event_uid", "raw_sha256", "contributing"})
_GUID = 36  # a longer one is none, but what stands where it should be
_RAW = "raw_b64"  # base64: cut at a multiple of four characters, what is left can still be decoded
_LIST_BYTES = 24  # of the list of cut columns, without its names: `,"truncated_fields":[]`
_NAME_BYTES = 3  # of a name in it, beside the name: quotes and comma

Size = Callable[[str], int]  # bytes that a text has in an encoding


class _Text(NamedTuple):
    """A text of a row that may be cut; `entry` is its name in the map or its place in the list `column`."""

    column: str
    entry: str | int | None
    text: str

    @property
    def name(self) -> str:
        return self.column if self.entry is None else f"{self.column}.{self.entry}"


def shorten(row: msgspec.Struct, excess: int, size: Size) -> tuple[msgspec.Struct, tuple[str, ...]]:
    """The row with its longest texts cut to one length, so that at least `excess` bytes and the list of names are
    saved; and the names of what was cut, in the order of the columns (`key.host` in a map, `tags.0` in a list).

    Raises ValueError when all its texts together are not enough.
    """
    texts = list(_texts(row))
    sizes = [size(text.text) for text in texts]
    longest = sorted(range(len(texts)), key=lambda at: -sizes[at])
    count, level = _water_level(longest, sizes, texts, excess, size)
    cut = sorted(longest[:count])
    for at in cut:
        row = _replaced(row, texts[at], cut_text(texts[at].text, level, size))
    names = json_names(type(row))
    return row, tuple(names.get(texts[at].name, texts[at].name) for at in cut)


def without_objects(row: msgspec.Struct) -> tuple[msgspec.Struct, tuple[str, ...]]:
    """The row without its lists of objects, and their names."""
    gone = [c.name for c in columns(type(row)) if c.kind is Kind.OBJECT_LIST and getattr(row, c.name)]
    return msgspec.structs.replace(row, **dict.fromkeys(gone)), tuple(gone)


def _water_level(longest: list[int], sizes: list[int], texts: list[_Text], excess: int, size: Size) -> tuple[int, int]:
    """How many of the longest texts to cut, and to how many bytes: no text that stays whole is longer than that."""
    left = -excess - _LIST_BYTES
    for count, at in enumerate(longest, 1):
        left += sizes[at] - size(texts[at].name) - _NAME_BYTES
        following = sizes[longest[count]] if count < len(longest) else 0
        if left // count >= following:
            return count, left // count
    raise ValueError(f"the row is {excess} bytes too long, and its texts together are shorter")


def cut_text(text: str, limit: int, size: Size) -> str:
    """The longest beginning of a text, in whole characters, of at most `limit` bytes.

    >>> cut_text("naïve", 3, lambda text: len(text.encode()))
    'na'
    """
    within = range(min(len(text), limit) + 1)  # no character has less than one byte
    return text[: bisect_right(within, limit, key=lambda count: size(text[:count])) - 1]


def _texts(row: msgspec.Struct) -> Iterator[_Text]:
    for column in columns(type(row)):
        value = getattr(row, column.name)
        is_text = column.kind in (Kind.TEXT, Kind.IP)
        is_text = is_text or (column.kind is Kind.GUID and value and len(value) > _GUID)
        if is_text and isinstance(value, str) and column.name not in _KEPT:
            yield _Text(column.name, None, value)
        elif column.kind is Kind.TEXT_MAP:
            yield from (_Text(column.name, name, text) for name, text in value.items() if isinstance(text, str))
        elif column.kind is Kind.TEXT_LIST and column.name not in _KEPT:
            yield from (_Text(column.name, place, text) for place, text in enumerate(value))


def _replaced(row: msgspec.Struct, place: _Text, text: str) -> msgspec.Struct:
    changes: dict[str, Any] = {place.column: text}
    if isinstance(place.entry, int):
        values = getattr(row, place.column)
        changes = {place.column: [*values[: place.entry], text, *values[place.entry + 1 :]]}
    elif place.entry is not None:
        changes = {place.column: getattr(row, place.column) | {place.entry: text}}
    elif place.column == _RAW:
        changes = {_RAW: text[: len(text) // 4 * 4], "raw_truncated": True}
    return msgspec.structs.replace(row, **changes)
