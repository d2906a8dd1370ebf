"""Hits of correlations: the group and the value of an event that matches a rule, and of an alert that is one itself.

Texts are compared as Sigma compares them: without case, numbers as their text. An account written in another case is
the same account, so that nobody stays below a threshold by spelling, or comes over one. A field that an event does not
have is a value of its own in group-by, and no value elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Protocol

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.clock import millis
from huntbeam.schemas.correlation import (
    NUMERIC,
    Correlation,
    CorrelationAlert,
    Group,
    Grouped,
    GroupKey,
    Hit,
    Reference,
    Value,
)
from huntbeam.schemas.values import Json, integer, text

GROUP_LENGTH = 1024  # characters of a value of group-by; of a longer one its beginning and its hash
VALUE_LENGTH = 64  # as much of a value that is only counted: 10,000 of them are in the state of a group

_DECIMAL = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_encode = msgspec.json.Encoder().encode


class Fields(Protocol):
    """What an event says, by the names that a rule has for it."""

    def get(self, name: str, /) -> Json: ...  # noqa: D102


def hits(correlation: Correlation, rule: str, fields: Fields, time_ms: int, event_uid: str) -> Iterator[Grouped]:
    """What an event is to a correlation that names a rule it matches; nothing, where none of its references does."""
    for reference in correlation.references:
        if reference.rule == rule:
            key = GroupKey(correlation.rule_id, correlation.version, _group(correlation, reference, fields))
            hit = Hit(time_ms, event_uid, rule, _value(correlation, reference, fields))
            yield Grouped(key, correlation.depth, hit)
            return


def alert_hits(correlation: Correlation, row: CorrelationAlert) -> Iterator[Grouped]:
    """The same of another correlation's alert, whose fields are those it was grouped by."""
    for found in hits(correlation, row.key.rule_id, row.group, millis(row.time), row.event_uid):
        yield msgspec.structs.replace(found, revision=row.revision, retracted=row.retracted)


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


def _group(correlation: Correlation, reference: Reference, fields: Fields) -> Group:
    values = (text(fields.get(name)) for name in _names(correlation.group_by, reference))
    return tuple(None if value is None else _short(value.lower(), GROUP_LENGTH) for value in values)


def _value(correlation: Correlation, reference: Reference, fields: Fields) -> Value | None:
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
