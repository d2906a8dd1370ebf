"""Conditions on rows, as `--where FIELD=VALUE` writes them."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from huntbeam.schemas.errors import UnusableError

_ABSENT = object()


class Condition(NamedTuple):
    """A field, with dots into maps, and the pattern that its text has to match as a whole."""

    field: str
    pattern: re.Pattern[str]

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether the row has the field and it matches; of a list one item is enough."""
        value = _value(row, self.field)
        values = value if isinstance(value, list) else [value]
        return any(item is not _ABSENT and self.pattern.fullmatch(_text(item)) for item in values)


def conditions(written: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions of `FIELD=VALUE` texts. Raises UnusableError for what is none."""
    return tuple(_condition(text) for text in written)


def _condition(text: str) -> Condition:
    field, equals, pattern = text.partition("=")
    if not (field and equals):
        raise UnusableError(f"--where {text}: write FIELD=VALUE, such as dst_port=445 or key.host='ws-*'")
    # fnmatch's expressions take linear time, whatever the text; [ stands for itself here
    return Condition(field, re.compile(fnmatch.translate(pattern.replace("[", "[[]")), re.IGNORECASE))


def _value(row: Any, field: str) -> Any:
    """The value of `a.b.c`: a name that holds dots itself, as in some logs, comes first."""
    if not isinstance(row, Mapping):
        return _ABSENT
    if field in row:
        return row[field]
    parts = field.split(".")
    for count in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:count])
        if name in row:
            return _value(row[name], ".".join(parts[count:]))
    return _ABSENT


def _text(value: Any) -> str:
    """Null is the empty text."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
