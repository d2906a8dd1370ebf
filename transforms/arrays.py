"""Cuts the text of one JSON array into its elements, as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from huntbeam.schemas.dead_letter import Original
from huntbeam.transforms.formats import (
    BLANK,
    MAX_RECORD,
    Fault,
    OriginalDigest,
    Records,
    Torn,
    original_bytes,
    too_long,
)
from huntbeam.transforms.sources import Source, fill

ARRAY_BLOCK = 1 << 20  # bytes of an array read, and at most of elements handed on, at once
QUOTE, CLOSE = b'"]'

# Every loop below is possessive: what has matched is never given back, so scanning is linear whatever the bytes.
_STRING_REST = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_STRING = rb'"' + _STRING_REST + rb'"'
_INSIDE = rb'[^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+'  # to the next bracket outside strings
_NESTED = rb"[\[{]" + _INSIDE + rb"[\]}]"
for _ in range(5):  # six levels are enough for every event seen; what is deeper goes the slow way
    _NESTED = rb"[\[{]" + _INSIDE + rb"(?:" + _NESTED + _INSIDE + rb")*+[\]}]"

_ELEMENT = re.compile(rb"[ \t\r\n]*+(" + _NESTED + rb")[ \t\r\n]*+,", re.DOTALL)
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_IN_STRING = re.compile(_STRING_REST, re.DOTALL)
_IN_VALUE = re.compile(_INSIDE, re.DOTALL)
_AT_TOP = re.compile(rb'[^"\[\]{},]*+(?:' + _STRING + rb'[^"\[\]{},]*+)*+', re.DOTALL)


class _Elements:
    """Cuts the text of one array into elements; remembers where it stands when the text runs out."""

    def __init__(self, source: Source, wide: str | None, block: int, max_record: int) -> None:
        self._source = source
        self._wide = wide
        self._max_record = max_record
        self._buffer = bytearray(min(block, max_record + 1))
        self._view = memoryview(self._buffer)
        self._start = self._at = self._have = 0  # the element begun, how far it is scanned, what is read
        self._depth = 0
        self._quoted = False
        self._too_long: OriginalDigest | None = None

    def open(self) -> None:
        """Goes behind the opening bracket, which is known to come."""
        while self.more() and (at := self._buffer.find(b"[", 0, self._have)) < 0:
            self._start = self._at = self._have
        self._start = self._at = at + 1

    def more(self) -> bool:
        """Reads on behind what is unfinished."""
        buffer, view = self._buffer, self._view
        begin = self._start if self._too_long is None else self._at
        if self._too_long is not None:
            self._too_long.update(view[self._start : self._at])
        left = self._have - begin
        view[:left] = bytes(view[begin : self._have])
        self._start, self._at, self._have = 0, self._at - begin, left
        if left == len(buffer):
            if left > self._max_record:
                self._too_long = OriginalDigest(self._wide)
                return self.more()
            self._buffer = buffer + bytes(min(left, self._max_record + 1 - left))
            self._view = view = memoryview(self._buffer)
        got = fill(self._source, view[left:])
        self._have += got
        return got > 0

    def simple(self) -> Iterator[bytes]:
        """The elements that one look finds: objects not nested too deep with the comma behind them."""
        if self._start == self._at and self._too_long is None:
            while found := _ELEMENT.match(self._buffer, self._at, self._have):
                self._start = self._at = found.end()
                yield found[1]

    def step(self) -> int | None:
        """Scans on: the byte that ended an element, comma or closing bracket, or None when the text runs out."""
        buffer, have = self._buffer, self._have
        if self._start == self._at and self._too_long is None and not self._depth and not self._quoted:
            self._start = self._at = _matched(_BLANKS, buffer, self._at, have)
        while self._at < have:
            if self._quoted:
                self._at = _matched(_IN_STRING, buffer, self._at, have)
                if self._at == have or buffer[self._at] != QUOTE:
                    return None  # in the middle of a string, or between a backslash and what it escapes
                self._quoted = False
                self._at += 1
                continue
            self._at = _matched(_IN_VALUE if self._depth else _AT_TOP, buffer, self._at, have)
            if self._at == have:
                return None
            byte = buffer[self._at]
            if not self._depth and byte in b",]":
                return byte
            self._at += 1
            if byte == QUOTE:
                self._quoted = True
            elif byte in b"[{":
                self._depth += 1
            elif self._depth:  # a closing bracket too many is left to the parser of the element
                self._depth -= 1
        return None

    def take(self) -> bytes | Original:
        """What has been scanned of the element, blanks around it removed, or what is kept of one too long."""
        piece = self._view[self._start : self._at]
        if self._too_long is None:
            return bytes(piece).strip(BLANK)
        self._too_long.update(piece)
        return self._too_long.original()

    def next(self) -> None:
        """Goes behind the byte that ended the element."""
        self._at += 1
        self._start = self._at
        self._too_long = None

    def unfinished(self) -> tuple[bytes | Original, bool]:
        """What there is of the element when all is read, and whether that is a whole value."""
        self._at = self._have
        rest = self.take()
        if isinstance(rest, Original):
            return rest, False
        whole = not self._depth and not self._quoted and rest.endswith((b"}", b"]", b'"'))
        return rest if whole else original_bytes(rest, self._wide), whole

    def garbage(self) -> Original | None:
        """What follows the array, unless it is blank."""
        digest = None
        while True:
            rest = bytes(self._view[self._start : self._have])
            if digest is None and (rest := rest.lstrip(BLANK)):
                digest = OriginalDigest(self._wide)
            if digest is not None:
                digest.update(rest)
            self._start = self._at = self._have
            if not self.more():
                return None if digest is None else digest.original()


def _matched(pattern: re.Pattern[bytes], buffer: bytearray, start: int, stop: int) -> int:
    found = pattern.match(buffer, start, stop)
    return found.end() if found else start


def array(
    source: Source, *, wide: str | None = None, block: int = ARRAY_BLOCK, max_record: int = MAX_RECORD
) -> Iterator[Records | Torn]:
    """Cuts a JSON array into its elements as they are: whether they are JSON is for their parser to say.

    Memory holds one buffer and one element. An empty element (a comma too many) is passed over like a blank line.
    """
    text = _Elements(source, wide, block, max_record)
    text.open()
    items: list[tuple[int, bytes]] = []
    number = 0
    ended: int | None = None
    while ended != CLOSE:
        for raw in text.simple():
            items.append((number, raw))
            number += 1
        ended = text.step()
        if ended is not None:
            element = text.take()
            text.next()
            if isinstance(element, Original):
                yield too_long(element, number, max_record)
            elif element:
                items.append((number, element))
            number += 1
            continue
        if items:  # at most a buffer full
            yield Records(items)
            items = []
        if not text.more():
            break
    rest, whole = (text.garbage(), False) if ended == CLOSE else text.unfinished()
    if whole and isinstance(rest, bytes):
        items.append((number, rest))
        number += 1
        rest = b""
    if items:
        yield Records(items)
    if ended != CLOSE and (source.fault is None or source.fault.garbage):
        yield Fault("TruncatedArray", "the array has no end").torn(rest or b"", number)
    elif ended == CLOSE and rest is not None:
        yield Fault("TrailingGarbage", "bytes follow the end of the array").torn(rest, number)
        rest = None
    if source.fault is not None:
        yield source.fault.torn(rest or b"", number)
