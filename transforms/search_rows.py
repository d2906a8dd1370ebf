"""Rows of streams as documents of a search index, and refused documents as dead letters. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache

import msgspec

from huntbeam.schemas.dead_letter import DeadLetter, Original, RecordError, dead_letter
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.search import OUT_OF_RANGE, target
from huntbeam.transforms.search_bulk import TOO_LARGE, Document, Refused

YEARS = 10  # back; what is older, or beyond tomorrow, is a clock that is wrong or an attacker's choice
_PREFIX = re.compile(r"([a-z0-9][a-z0-9_.-]{0,60})?", re.ASCII)
_encode = msgspec.json.Encoder().encode


def check_prefix(prefix: str) -> str:
    """A prefix that index names may have. Raises UnusableError."""
    if _PREFIX.fullmatch(prefix) is None:
        raise UnusableError(f"--index_prefix {prefix}: write lower-case letters, digits and - only, such as lab-")
    return prefix


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


class DocumentMaker:
    """Makes documents of the rows of one stream."""

    def __init__(self, stream: str, prefix: str = "") -> None:
        self._target = target(stream)
        self._name = f"{prefix}{self._target.name}-"

    def document(self, row: msgspec.Struct, today: date) -> Document:
        """The document of a row; `today` says which days can be."""
        return Document(self._index(row, today), self._id(row), _encode(row), self._version(row))

    def _index(self, row: msgspec.Struct, today: date) -> str:
        day: str | None = None
        for name in self._target.times:
            day = getattr(row, name)
            if day:
                break
        first, last = _days(today)
        if not day or not first <= day[:10] <= last:
            return self._name + OUT_OF_RANGE
        return self._name + day[:10].replace("-", ".")

    def _id(self, row: msgspec.Struct) -> str:
        uid: str = row.event_uid  # type: ignore[attr-defined]  # every row has one
        generation = row.generation if self._target.generation else None  # type: ignore[attr-defined]  # says the target
        return uid if generation is None else f"{uid}-{generation}"

    def _version(self, row: msgspec.Struct) -> int | None:
        return getattr(row, self._target.version) if self._target.version else None


@cache
def _days(today: date) -> tuple[str, str]:
    """The first and the last day that have an index of their own, as rows write them."""
    first = today.replace(day=min(today.day, 28), year=today.year - YEARS)
    return first.isoformat(), (today + timedelta(days=1)).isoformat()


def refusal(refused: Refused) -> DeadLetter:
    """The dead letter of a document: its bytes are the document, its source the index that it was for."""
    document = refused.document
    if refused.error == TOO_LARGE:
        error = RecordError("index", "DocumentTooLarge", "the search server takes no document of this size")
    else:
        where = f"field {refused.field}: " if refused.field else ""
        error = RecordError("index", "DocumentRefused", f"the search server refuses it: {where}{refused.error}")
    return dead_letter(error, Original.of(document.source), f"index:{document.index}", None)
