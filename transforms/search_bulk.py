"""The body of a `_bulk` request and its answer: what goes out together, what was stored, what goes out again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple

import msgspec

from huntbeam.schemas.errors import UnusableError

FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason"  # of the answer, what is looked at
TOO_LARGE = "too_large"
_WRAPPING = 160  # bytes of a document's action line without its names, about

_encode = msgspec.json.Encoder().encode


class Document(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A document on its way. Of two with one id the one with the higher version is kept; without versions the later."""

    index: str
    id: str
    source: bytes  # JSON object, without a line feed
    version: int | None = None

    def size(self) -> int:
        """Bytes in a body, about."""
        return len(self.source) + len(self.index) + len(self.id) + _WRAPPING


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """A document that the server will never take, and why; without content."""

    document: Document
    error: str  # the server's name for it: mapper_parsing_exception
    field: str | None = None  # which field, of which type: "dst_ip_addr (ip)"


class Written(msgspec.Struct, frozen=True, array_like=True):
    """What became of documents."""

    stored: int = 0
    superseded: int = 0  # a copy with as high a version is there
    refused: list[Refused] = []

    def __add__(self, other: Written) -> Written:
        """Of both."""
        return Written(self.stored + other.stored, self.superseded + other.superseded, [*self.refused, *other.refused])


class Limits(NamedTuple):
    """What goes out in one request."""

    documents: int = 5_000
    bytes: int = 5_000_000  # before compression; one document may be larger, and goes alone then


LIMITS = Limits()


class Batch:
    """Documents that go out together, each id once."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._documents: dict[tuple[str, str], Document] = {}
        self._bytes = 0
        self._superseded = 0

    def full(self, document: Document) -> bool:
        """Whether the document has to wait for the next request."""
        held = len(self._documents)
        over = held >= self._limits.documents or self._bytes + document.size() > self._limits.bytes
        return held > 0 and over

    def add(self, document: Document) -> None:
        """Takes a document. One request may store its documents in parts: two with one id would race."""
        key = document.index, document.id
        known = self._documents.get(key)
        if known is not None:
            self._superseded += 1
            if (known.version or 0) > (document.version or 0):
                return
            self._bytes -= known.size()
        self._documents[key] = document
        self._bytes += document.size()

    def take(self) -> tuple[list[Document], int]:
        """All of them, and how many gave way to another of the same id; it is empty then."""
        taken = list(self._documents.values()), self._superseded
        self._documents, self._bytes, self._superseded = {}, 0, 0
        return taken


def body(documents: Iterable[Document], kind: str | None = None) -> bytes:
    """The lines of a request. `kind` is the type that Elasticsearch 6 asks for."""
    return b"".join(_lines(documents, kind))


def _lines(documents: Iterable[Document], kind: str | None) -> Iterator[bytes]:
    for document in documents:
        action: dict[str, object] = {"_index": document.index, "_id": document.id}
        if kind is not None:
            action["_type"] = kind
        if document.version is not None:
            action |= {"version": document.version, "version_type": "external"}
        yield _encode({"index": action})
        yield b"\n"
        yield document.source
        yield b"\n"


class Verdict(Enum):
    """What is done about a document."""

    STORED = auto()
    SUPERSEDED = auto()
    AGAIN = auto()
    REFUSED = auto()
    FATAL = auto()  # nothing more would go in: the index or the login is not right


_BUSY = (429, 502, 503, 504)
_AGAIN = frozenset({"cluster_block_exception", "es_rejected_execution_exception", "unavailable_shards_exception"})
_FATAL = frozenset({"security_exception", "index_not_found_exception", "index_closed_exception"})
_CONFLICT = 409


def verdict(status: int, error: str | None) -> Verdict:
    """What a status of one document means. A full disk blocks the index with 403 or 429: it is waited for."""
    if status < 300:
        return Verdict.STORED
    if status == _CONFLICT:
        return Verdict.SUPERSEDED
    if status in _BUSY or error in _AGAIN:
        return Verdict.AGAIN
    return Verdict.FATAL if error in _FATAL else Verdict.REFUSED


class _Error(msgspec.Struct):
    type: str | None = None
    reason: str | None = None


class _Item(msgspec.Struct):
    status: int
    error: _Error | None = None


class _Answer(msgspec.Struct):
    items: list[dict[str, _Item]] = []


class Outcome(NamedTuple):
    """What an answer says: what is done with, and what goes out again."""

    written: Written
    again: list[Document]


_answers = msgspec.json.Decoder(_Answer)


def outcome(answer: bytes, sent: Sequence[Document]) -> Outcome:
    """The documents of a request by the items of its answer. Raises UnusableError; DecodeError for no such answer."""
    items = [item for one in _answers.decode(answer).items for item in one.values()]
    if len(items) != len(sent):
        raise msgspec.DecodeError(f"{len(sent)} documents were sent, the answer has {len(items)}")
    stored = superseded = 0
    refused, again = [], []
    for document, item in zip(sent, items, strict=True):
        error = item.error.type if item.error else None
        match verdict(item.status, error):
            case Verdict.STORED:
                stored += 1
            case Verdict.SUPERSEDED:
                superseded += 1
            case Verdict.AGAIN:
                again.append(document)
            case Verdict.REFUSED:
                refused.append(Refused(document, _name(error), _field(item.error)))
            case Verdict.FATAL:
                raise UnusableError(
                    f"the index {document.index} cannot be written ({_name(error)}, status {item.status}): let the "
                    "login create and write it, or name another with --index_prefix"
                )
    return Outcome(Written(stored, superseded, refused), again)


_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)
_FIELD = re.compile(r"field \[([\w.() -]{1,100})\] of type \[([\w]{1,40})\]", re.ASCII)


def _name(error: str | None) -> str:
    return error if error and _NAME.fullmatch(error) else "unknown"


def _field(error: _Error | None) -> str | None:
    """Which field it is about; the rest of the reason quotes its value."""
    found = _FIELD.search(error.reason or "") if error else None
    return f"{found[1]} ({found[2]})" if found else None


def delays(draw: Iterator[float], first: float = 0.5, most: float = 15.0) -> Iterator[float]:
    """Seconds between attempts: twice as long each time up to `most`, of which the second half is left to chance.

    `draw` gives numbers from 0 to 1. Writers that failed together would come back together otherwise.
    """
    whole = first
    for chance in draw:
        yield whole / 2 + chance * whole / 2
        whole = min(whole * 2, most)
