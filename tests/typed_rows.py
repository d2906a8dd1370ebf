"""Rows of any record type for properties, and the form that JSON has of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from huntbeam.schemas.geo import Geo, Location
from huntbeam.schemas.monster import Entry
from huntbeam.schemas.record import Kind, columns

WIDE = 60  # columns: of more, only some are filled at a time
FILLED = 12

Values = Mapping[Kind, st.SearchStrategy[Any]]


def nested(text: st.SearchStrategy[str]) -> dict[Kind, st.SearchStrategy[Any]]:
    """Values of the kinds that have names of their own."""
    some = st.none() | text
    name = st.none() | st.text(max_size=20)  # of a file that the user chose
    degrees = st.floats(-90, 90)
    return {
        Kind.IP: st.ip_addresses().map(str),
        Kind.OBJECT_LIST: st.lists(st.builds(Entry, text, some, some), max_size=3),
        Kind.GEO: st.builds(Geo, name, name, name, st.none() | st.builds(Location, degrees, degrees)),
    }


@st.composite
def rows_of(draw: st.DrawFn, record: type[msgspec.Struct], values: Values, fixed: Mapping[str, Any]) -> msgspec.Struct:
    """A row; `fixed` are strategies of columns by name."""
    of = {c.name: fixed.get(c.name, values[c.kind]) for c in columns(record)}
    nullable = [c.name for c in columns(record) if c.nullable]
    if len(of) > WIDE:
        filled = draw(st.sets(st.sampled_from(nullable), max_size=FILLED))
        of = {name: one for name, one in of.items() if name in filled or name not in nullable}
        return draw(st.builds(record, **of))
    return draw(st.builds(record, **{name: st.none() | one if name in nullable else one for name, one in of.items()}))


def as_written(row: msgspec.Struct) -> dict[str, Any]:
    """The row as JSON has it."""
    written: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
    return written
