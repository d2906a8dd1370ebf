"""What files are made of: the formats told by content, lines cut into blocks, arrays cut into elements."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from huntbeam.schemas.dead_letter import RAW_LIMIT, Original, RecordError

BLOCK = 1 << 20  # bytes of lines handed on at once: what is read stays in the processor's cache until it is decoded
MAX_RECORD = 16 << 20  # a longer line or element is refused: the longest real one seen has 45 kB
HEAD = 64 << 10  # enough to tell every format
ARRAY_BLOCK = 1 << 20  # bytes of an array read, and at most of elements handed on, at once
TAIL = 64 << 10  # read at a time beyond the end of a span, where only the rest of one line is wanted

GZIP = b"\x1f\x8b"
EVTX = b"ElfFile\0"
BLANK = b" \t\r\n"
QUOTE, CLOSE = b'"]'


class Fault:
    """Why a source ended early. Without `garbage` the unfinished record before it belongs to the fault."""

    def __init__(self, error_class: str, message: str, tail: bytes = b"", garbage: Original | None = None) -> None:
        self.error = RecordError("read", error_class, message)
        self.tail = tail  # bytes behind the unfinished record
        self.garbage = garbage

    def torn(self, unfinished: bytes | Original, position: int | None) -> Torn:
        """The item that stands for it."""
        if isinstance(unfinished, bytes):
            unfinished = Original.of(unfinished + self.tail)
        return Torn(self.error, self.garbage or unfinished, position)


class Source(Protocol):
    """Bytes to be cut into records."""

    @property
    def fault(self) -> Fault | None:
        """At the end: why it is not a true end."""

    def readinto(self, view: memoryview) -> int:
        """Some bytes into the view: how many, 0 at the end and ever after."""
        ...


@dataclass(slots=True)
class Block:
    """Many lines, each ended by a newline, the last of the file perhaps not."""

    buffer: bytearray  # valid only until the next item is asked for: it is reused
    stop: int  # the lines are buffer[:stop]
    offset: int  # of buffer[0] in the decompressed original
    consumed: int = 0  # bytes of the file taken since the item before
    wide: str | None = None  # the UTF-16 codec of the original
    _mark: tuple[int, int] = field(default=(0, 0), repr=False)

    @property
    def start(self) -> int:
        """Where the lines begin in the buffer: the reader moves what is left of the block before to the front."""
        return 0

    @property
    def data(self) -> memoryview:
        """The lines."""
        return memoryview(self.buffer)[: self.stop]

    def position(self, start: int) -> int:
        """Where the line that begins at data[start] stands in the decompressed original."""
        if self.wide is None:
            return self.offset + start
        # Asked line by line: go on from the last answer instead of measuring from the front each time.
        at, original = self._mark if self._mark[0] <= start else (0, 0)
        original += len(self.original(at, start))
        self._mark = (start, original)
        return self.offset + original

    def original(self, start: int, stop: int) -> bytes:
        """The bytes of the original that data[start:stop] came from."""
        return encode(bytes(self.buffer[start:stop]), self.wide)


@dataclass(slots=True)
class Records:
    """Elements of an array or records of an EVTX file: (number, JSON text)."""

    items: list[tuple[int, bytes]]
    consumed: int = 0


@dataclass(slots=True)
class Torn:
    """A piece of the file that cannot be used, with its bytes and why."""

    error: RecordError
    original: Original
    position: int | None
    consumed: int = 0


def encode(raw: bytes, wide: str | None) -> bytes:
    """The bytes of the original that this text was made of."""
    return raw if wide is None else raw.decode("utf-8", "surrogatepass").encode(wide, "surrogatepass")


class Digest:
    """An Original made piece by piece, for what is too long to hold."""

    def __init__(self, wide: str | None = None) -> None:
        self._head = bytearray()
        self._length = 0
        self._hash = sha256()
        self._wide = wide
        self._text = codecs.getincrementaldecoder("utf-8")("surrogatepass")  # a piece may end inside a character

    def update(self, piece: bytes | memoryview) -> None:
        """Adds a piece."""
        raw = bytes(piece) if self._wide is None else self._text.decode(piece).encode(self._wide, "surrogatepass")
        self._head += raw[: RAW_LIMIT - len(self._head)]
        self._length += len(raw)
        self._hash.update(raw)

    def original(self) -> Original:
        """What is kept of all pieces."""
        return Original(bytes(self._head), self._length, self._hash.hexdigest())


UNSUPPORTED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a zip archive: unpack it first"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (0, b"\xfd7zXZ\0", "compressed with xz: unpack it first"),
    (0, b"BZh", "compressed with bzip2: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (0, b"PAR1", "a Parquet file: export it as one JSON object per line"),
    (0, b"Obj\x01", "an Avro file: export it as one JSON object per line"),
    (0, b"\xd4\xc3\xb2\xa1", "a packet capture, no event records: leave it out"),
    (0, b"\xa1\xb2\xc3\xd4", "a packet capture, no event records: leave it out"),
    (0, b"\x4d\x3c\xb2\xa1", "a packet capture, no event records: leave it out"),
    (0, b"\xa1\xb2\x3c\x4d", "a packet capture, no event records: leave it out"),
    (0, b"\x0a\x0d\x0d\x0a", "a packet capture, no event records: leave it out"),
    (0, codecs.BOM_UTF32_LE, "UTF-32 text: convert it to UTF-8"),
    (0, codecs.BOM_UTF32_BE, "UTF-32 text: convert it to UTF-8"),
    (257, b"ustar", "a tar archive: unpack it first"),
)


def unsupported(head: bytes) -> str | None:
    """What a file of a known but unreadable format is and what to do with it."""
    return next((what for at, magic, what in UNSUPPORTED if head.startswith(magic, at)), None)


def refusal(what: str) -> Fault:
    """The fault of a file that is no event records."""
    return Fault("UnsupportedFormat", f"the file is {what}")


def is_gzip(head: bytes) -> bool:
    """Whether it is gzip; a file of its first byte alone is a gzip file torn there."""
    return head.startswith(GZIP) or head == GZIP[:1]


def wide_codec(head: bytes) -> str | None:
    """The codec of a file that begins with a UTF-16 byte order mark."""
    if head.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    return "utf-16-be" if head.startswith(codecs.BOM_UTF16_BE) else None


def is_array(head: bytes) -> bool:
    """Whether the text begins with `[`."""
    return head.lstrip(BLANK).startswith(b"[")


def fill(source: Source, view: memoryview) -> int:
    """Reads until the view is full or the source has ended."""
    have = 0
    while have < len(view) and (got := source.readinto(view[have:])):
        have += got
    return have


def drain(source: Source, begun: bytes = b"") -> Original:
    """What is kept of all that is left of a source."""
    digest = Digest()
    digest.update(begun)
    view = memoryview(bytearray(ARRAY_BLOCK))
    while got := source.readinto(view):
        digest.update(view[:got])
    return digest.original()


class _CarriageReturns:
    """A source whose lines end with CR, seen as lines that end with LF: as long, byte for byte."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def fault(self) -> Fault | None:
        return self._source.fault

    def readinto(self, view: memoryview) -> int:
        got = self._source.readinto(view)
        view[:got] = bytes(view[:got]).replace(b"\r", b"\n")
        return got


def lines(
    source: Source,
    offset: int = 0,
    *,
    wide: str | None = None,
    skip_first: bool = False,
    end: int | None = None,
    block: int = BLOCK,
    max_record: int = MAX_RECORD,
) -> Iterator[Block | Torn]:
    """Cuts a source into blocks of whole lines.

    `offset` is where the source stands in the original. A span in the middle of a file skips the line that began
    before it and, with `end`, stops behind the last line that begins before `end`.
    """
    buffer = bytearray(min(block, max_record + 1))  # never holds a whole line that is too long
    view = memoryview(buffer)
    held = 0  # bytes at the front that wait for their newline
    seen = 0  # of them without a newline
    newline = 2 if wide else 1  # bytes of a newline in the original
    whole = end is None and not skip_first
    while True:
        if skip_first:
            skip_first = False
            passed, held, _ = _pass_line(source, buffer, view, fill(source, view), Digest())
            offset += passed
            seen = 0
        if end is not None and offset >= end:
            return
        room = len(buffer) if end is None else min(len(buffer), max(end - offset, held + min(TAIL, block)))
        have = held + fill(source, view[held:room]) if held < room else held
        if whole:
            whole = False  # only the first block tells
            if buffer.find(b"\r", 0, have) >= 0 and buffer.find(b"\n", 0, have) < 0:
                source = _CarriageReturns(source)
                view[:have] = bytes(view[:have]).replace(b"\r", b"\n")
        last = have < room
        cut = 0
        if end is not None and offset + have >= end:
            cut = buffer.find(b"\n", max(seen, end - 1 - offset), have) + 1
            last = last or cut > 0
        if not cut:
            cut = buffer.rfind(b"\n", seen, have) + 1
            if last and (source.fault is None or source.fault.garbage):
                cut = have
        if cut:
            piece = Block(buffer, cut, offset, wide=wide)
            yield piece
            offset = piece.position(cut)
        held = seen = have - cut
        if last:
            break
        if cut:
            view[:held] = bytes(view[cut:have])
        elif held == len(buffer) <= max_record:
            buffer = buffer + bytes(min(held, max_record + 1 - held))  # a new one: the old is lent out
            view = memoryview(buffer)
        elif held == len(buffer):
            digest = Digest(wide)
            _, held, closed = _pass_line(source, buffer, view, held, digest)
            seen = 0
            original = digest.original()
            yield _too_long(original, offset, max_record)
            offset += original.length + newline * closed
    if source.fault is not None:
        yield source.fault.torn(encode(bytes(view[cut:have]), wide), offset)


def _pass_line(source: Source, buffer: bytearray, view: memoryview, have: int, digest: Digest) -> tuple[int, int, bool]:
    """Digests up to the next newline and moves what follows to the front: bytes passed, bytes left, newline found."""
    passed = 0
    while have:
        cut = buffer.find(b"\n", 0, have)
        if cut >= 0:
            digest.update(view[:cut])
            left = have - cut - 1
            view[:left] = bytes(view[cut + 1 : have])
            return passed + cut + 1, left, True
        digest.update(view[:have])
        passed += have
        have = fill(source, view)
    return passed, 0, False


def _too_long(original: Original, position: int, limit: int) -> Torn:
    return Torn(RecordError("read", "RecordTooLong", f"longer than {limit} bytes"), original, position)


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
        self._too_long: Digest | None = None

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
                self._too_long = Digest(self._wide)
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
        return rest if whole else encode(rest, self._wide), whole

    def garbage(self) -> Original | None:
        """What follows the array, unless it is blank."""
        digest = None
        while True:
            rest = bytes(self._view[self._start : self._have])
            if digest is None and (rest := rest.lstrip(BLANK)):
                digest = Digest(self._wide)
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
                yield _too_long(element, number, max_record)
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
