"""Forgiving values: what the same field looks like in different shapes becomes one type. Null is what says nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

Json = Any  # what a JSON decoder gives: text, number, boolean, null, list or dict

_GUID = re.compile(r"\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?", re.ASCII | re.IGNORECASE)
GUID_LENGTHS = (36, 38)  # without and with braces
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,16}", re.ASCII)
_INT64 = range(-(2**63), 2**63)
SHOWN_VALUE = 32_768  # characters of a value that a row shows
SHOWN_NAME = 128  # and of a name
SHOWN_NAMES = 200

_encode = msgspec.json.Encoder(order="sorted").encode


def text(value: Json) -> str | None:
    """The text of a value: numbers and booleans as JSON text, null and empty as null.

    >>> text(True), text(443), text(""), text("-")
    ('true', '443', None, '-')
    """
    if isinstance(value, str):
        return value or None
    return None if value is None else _encode(value).decode()


def first(*values: Json) -> Json:
    """The first that is not null; null where all are.

    >>> first(None, "", 0)
    ''
    """
    return next((value for value in values if value is not None), None)


def integer(value: Json) -> int | None:
    """A number, also as text or hexadecimal; null for what is none, such as `-`, or needs more than 64 bits.

    >>> integer("443"), integer("0x1a4"), integer(7.0), integer("-"), integer(True)
    (443, 420, 7, None, None)
    """
    number: int | None = None
    if isinstance(value, str):
        if value.isdecimal() and value.isascii() and len(value) < 19:
            return int(value)
        stripped = value.strip()
        if _INTEGER.fullmatch(stripped):
            number = int(stripped)
        elif _HEXADECIMAL.fullmatch(stripped):
            number = int(stripped, 16)
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else None
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    return number if number is not None and number in _INT64 else None


def guid(value: Json) -> str | None:
    """A GUID in its one spelling, lower case without braces; null for anything else.

    >>> guid("{905CC552-2045-5CC5-0000-00105B2A0100}")
    '905cc552-2045-5cc5-0000-00105b2a0100'
    """
    return _guid(value) if isinstance(value, str) and len(value) < 64 else None


@lru_cache(maxsize=65_536)
def _guid(value: str) -> str | None:
    """Remembered: a process's GUID stands in all of its events."""
    match = _GUID.fullmatch(value.strip())
    return match[1].lower() if match else None


def shown(fields: Mapping[str, Json]) -> dict[str, str | int | None]:
    """Values as a map of text has them: numbers as they are, whatever is nested as its text, cut where it is long.

    Whoever writes an event chooses the names, too: of more than 200 the others are counted under `(more fields)`.

    >>> shown({"DestinationPort": 443, "Data": ["a", None], "Archived": True, "User": None})
    {'DestinationPort': 443, 'Data': '["a",null]', 'Archived': 'true', 'User': None}
    """
    found = {
        name[:SHOWN_NAME]: value
        if value is None or value.__class__ is int
        else value[:SHOWN_VALUE]
        if value.__class__ is str
        else (text(value) or "")[:SHOWN_VALUE]
        for name, value in islice(fields.items(), SHOWN_NAMES)
    }
    if len(fields) > SHOWN_NAMES:
        found["(more fields)"] = len(fields) - SHOWN_NAMES
    return found


def canonical(value: Json) -> str | None:
    """The text by which an event is identified: GUIDs in their one spelling, the rest as text()."""
    if isinstance(value, str):
        return (guid(value) or value) if len(value) in GUID_LENGTHS else value or None
    return text(value)
