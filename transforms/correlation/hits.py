"""Hits of correlations: the group and the value of an event that matches a rule, and of an alert that is one itself.

Texts are compared as Sigma compares them: without case, numbers as their text. An account written in another case is
the same account, so that nobody stays below a threshold by spelling, or comes over one. A field that an event does not
have is a value of its own in group-by, and no value elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.clock import millis
from huntbeam.schemas.correlation import NUMERIC, Correlation, CorrelationAlert, Reference
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.values import Json, integer, text
from huntbeam.transforms.correlation.evaluate import Group, Hit, Value

GROUP_LENGTH = 1024  # characters of a value of group-by; of a longer one its beginning and its hash
VALUE_LENGTH = 64  # as much of a value that is only counted: 10,000 of them are in the state of a group

_DECIMAL = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_encode = msgspec.json.Encoder().encode


class Grouped(NamedTuple):
    """A hit and the group that it is of."""

    group: Group
    hit: Hit


def hits(
    correlation: Correlation, rule: str, fields: Mapping[str, Json], time_ms: int, event_uid: str
) -> Iterator[Grouped]:
    """What an event is to a correlation that names a rule it matches; nothing, where none of its references does."""
    for reference in correlation.references:
        if reference.rule == rule:
            value = _value(correlation, reference, fields)
            yield Grouped(_group(correlation, reference, fields), Hit(time_ms, event_uid, rule, value))
            return


def alert_hits(correlation: Correlation, row: CorrelationAlert) -> Iterator[Grouped]:
    """The same of another correlation's alert, whose fields are those it was grouped by."""
    return hits(correlation, row.rule_id, row.group, millis(row.time), row.event_uid)


def number(value: Json) -> int | float | None:
    """A number, also as text; null for what is none.

    >>> number("443"), number("0x10"), number("-1.5"), number("12 kB"), number(True)
    (443, 16, -1.5, None, None)
    """
    whole = integer(value)
    if whole is not None:
        return whole
    if isinstance(value, str) and len(value) < VALUE_LENGTH and _DECIMAL.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if isfinite(value) else None
    return None


def levels(correlations: Iterable[Correlation]) -> list[list[Correlation]]:
    """Correlations by level: those of one name events and alerts of the levels before it alone.

    Raises UnusableError for correlations that wait for one another.
    """
    left = list(correlations)
    found: list[list[Correlation]] = []
    while left:
        waiting = {correlation.rule_id for correlation in left}
        ready = [c for c in left if waiting.isdisjoint(reference.rule for reference in c.references)]
        if not ready:
            titles = ", ".join(sorted(c.title for c in left))
            raise UnusableError(f"these correlations name one another in a circle, or themselves: {titles}; break it")
        found.append(ready)
        left = [c for c in left if c not in ready]
    return found


def _group(correlation: Correlation, reference: Reference, fields: Mapping[str, Json]) -> Group:
    values = (text(fields.get(name)) for name in _names(correlation.group_by, reference))
    return tuple(None if value is None else _short(value.lower(), GROUP_LENGTH) for value in values)


def _value(correlation: Correlation, reference: Reference, fields: Mapping[str, Json]) -> Value | None:
    found = [fields.get(name) for name in _names(correlation.fields, reference)]
    if correlation.type in NUMERIC:
        return number(found[0])
    texts = [value.lower() for value in map(text, found) if value is not None]
    if not texts or len(texts) < len(found):
        return None
    return _short(texts[0] if len(texts) == 1 else _encode(texts).decode(), VALUE_LENGTH)


def _names(names: Sequence[str], reference: Reference) -> Iterator[str]:
    return (reference.fields.get(name, name) for name in names)


def _short(value: str, length: int) -> str:
    """A value that is as long as it may be, and differs where the values differ."""
    return value if len(value) <= length else value[: length - 32] + uid.digest(value)
