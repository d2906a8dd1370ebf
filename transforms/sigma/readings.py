"""What a rule reads in the value of an event's field: its texts, without case, as a number, a time or an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from huntbeam.schemas.values import Json, integer, text

Fields = Mapping[str, Json]
Address = IPv4Address | IPv6Address

MISSING: Any = object()

# Where lower() is not what Unicode calls simple folding: it looks at what stands around a sigma, and keeps apart the
# letters that have two small forms. The dotted capital I (U+0130), which it expands, folds to itself.
_ODD = {
    0xB5: 0x3BC, 0x17F: 0x73, 0x345: 0x3B9, 0x3A3: 0x3C3, 0x3C2: 0x3C3, 0x3D0: 0x3B2, 0x3D1: 0x3B8, 0x3D5: 0x3C6,
    0x3D6: 0x3C0, 0x3F0: 0x3BA, 0x3F1: 0x3C1, 0x3F5: 0x3B5, 0x1C80: 0x432, 0x1C81: 0x434, 0x1C82: 0x43E, 0x1C83: 0x441,
    0x1C84: 0x442, 0x1C85: 0x442, 0x1C86: 0x44A, 0x1C87: 0x463, 0x1C88: 0xA64B, 0x1E9B: 0x1E61, 0x1FBE: 0x3B9,
}  # fmt: skip
_DOTTED = "\u0130"
_IS_ODD = re.compile("[" + "".join(map(chr, _ODD)) + _DOTTED + "]")

_DECIMAL = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_DATE_TIME = re.compile(r"\s*(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)", re.ASCII)


def fold(value: str) -> str:
    """The text without case, by Unicode's simple folding: one character for each, whatever stands around it.

    >>> fold("CMD.exe"), fold("ΣΑΣ") == fold("σας"), len(fold("İß"))
    ('cmd.exe', True, 2)
    """
    if value.isascii() or _IS_ODD.search(value) is None:
        return value.lower()
    return _DOTTED.join(part.translate(_ODD).lower() for part in value.split(_DOTTED))


def texts(value: Json) -> tuple[str, ...]:
    """The texts of a value: none for null, one for a number or text, and those of its elements for a list.

    >>> texts("a"), texts(443), texts(True), texts(None), texts(["a", None, 7.0])
    (('a',), ('443',), ('true',), (), ('a', '7'))
    """
    if value.__class__ is str:
        return (value,)
    if value.__class__ is int:
        return (str(value),)
    if isinstance(value, list):
        return tuple(one for element in value if (one := _text(element)) is not None)
    one = _text(value)
    return () if one is None else (one,)


def _text(value: Json) -> str | None:
    if isinstance(value, str):
        return value  # an empty one is no null here
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text(value)


def number(value: str) -> int | float | None:
    """The number that a text is: decimal, hexadecimal or with a fraction; null for what is none. Above 64 bits rounded.

    >>> number("443"), number("0x1A4"), number("1.5"), number("-")
    (443, 420, 1.5, None)
    """
    whole = integer(value)
    if whole is not None:
        return whole
    stripped = value.strip() if len(value) < 96 else ""
    return float(stripped) if _DECIMAL.fullmatch(stripped) else None


def time_part(value: str, part: str) -> int | None:
    """A part of a date and time as it is written, whatever its zone; `week` is ISO 8601's. Null for what is none.

    >>> time_part("2026-03-04 05:06:07.089", "hour"), time_part("2026-03-04T05:06:07Z", "week"), time_part("-", "day")
    (5, 10, None)
    """
    found = _DATE_TIME.match(value)
    if found is None:
        return None
    year, month, day, hour, minute = (int(digits) for digits in found.groups())
    try:
        whole_day = date(year, month, day)
    except ValueError:
        return None
    parts = {"year": year, "month": month, "day": day, "hour": hour, "minute": minute}
    return whole_day.isocalendar().week if part == "week" else parts[part]


@lru_cache(maxsize=4_096)
def address(value: str) -> Address | None:
    """The IP address that a text is; one of IPv4 that is written as IPv6 is IPv4. Null for what is none.

    >>> address("::ffff:192.0.2.1"), address("-")
    (IPv4Address('192.0.2.1'), None)
    """
    if len(value) > 64:
        return None
    try:
        found = ip_address(value.strip())
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
