"""Bytes to be cut into records: a file's as they are, unpacked, or decoded."""

from __future__ import annotations

import codecs
import zlib
from typing import Any, Protocol

from huntbeam.schemas.dead_letter import Original
from huntbeam.transforms.formats import Fault, OriginalDigest, is_gzip

HEAD = 64 << 10  # enough to tell every format
CHUNK = 128 << 10  # compressed or UTF-16 bytes read at a time
DRAIN = 1 << 20  # bytes read at a time when nothing is made of them


class Source(Protocol):
    """Bytes to be cut into records."""

    @property
    def fault(self) -> Fault | None:
        """At the end: why it is not a true end."""

    def readinto(self, view: memoryview) -> int:
        """Some bytes into the view: how many, 0 at the end and ever after."""
        ...


def fill(source: Source, view: memoryview) -> int:
    """Reads until the view is full or the source has ended."""
    have = 0
    while have < len(view) and (got := source.readinto(view[have:])):
        have += got
    return have


def drain(source: Source, begun: bytes = b"") -> Original:
    """What is kept of all that is left of a source."""
    digest = OriginalDigest()
    digest.update(begun)
    view = memoryview(bytearray(DRAIN))
    while got := source.readinto(view):
        digest.update(view[:got])
    return digest.original()


def unreadable(error: BaseException) -> Fault:
    """The fault of a file that cannot be read, or not to its end."""
    return Fault("ReadError", f"reading failed: {getattr(error, 'strerror', None) or type(error).__name__}")


class FileBytes:
    """The bytes of a file; counts them, and ends where reading fails."""

    def __init__(self, file: Any) -> None:
        self.taken = 0
        self.fault: Fault | None = None
        self._file = file
        self._into = getattr(file, "readinto", None)
        self._ended = False  # a growing file might give more after its end

    def readinto(self, view: memoryview) -> int:
        """See Source."""
        if self._ended:
            return 0
        try:
            got: int
            if self._into is not None:
                got = self._into(view) or 0
            else:
                data = self._file.read(len(view))
                got = len(data)
                view[:got] = data
        except Exception as error:  # a storage library has errors of its own
            self.fault = unreadable(error)
            got = 0
        self._ended = got == 0
        self.taken += got
        return got


def head_of(source: Source) -> bytes:
    """Its first bytes, by which the format is told."""
    buffer = bytearray(HEAD)
    return bytes(buffer[: fill(source, memoryview(buffer))])


def peek(source: Source) -> tuple[Source, bytes]:
    """The same source, not yet begun, and its first bytes."""
    head = head_of(source)
    return Peeked(source, head), head


class Peeked:
    """A source whose first bytes have been looked at."""

    def __init__(self, source: Source, head: bytes) -> None:
        self._source = source
        self._head = head

    @property
    def fault(self) -> Fault | None:
        """See Source."""
        return self._source.fault

    def readinto(self, view: memoryview) -> int:
        """See Source."""
        if not self._head:
            return self._source.readinto(view)
        piece = self._head[: len(view)]
        view[: len(piece)] = piece
        self._head = self._head[len(piece) :]
        return len(piece)


class Gunzip:
    """The content of a gzip file of any number of members, never more than one view of it at a time."""

    def __init__(self, source: Source) -> None:
        self.fault: Fault | None = None
        self._source = source
        self._ended = False
        self._input = b""
        self._member: Any = None
        self._first = True
        self._spill = b""  # what a corrupt member still gave

    def readinto(self, view: memoryview) -> int:
        """See Source."""
        while self.fault is None and not self._ended:
            if self._member is None:
                self._ended = not self._next_member()
                continue
            data = self._inflate(len(view))
            if self._member.eof:
                self._input, self._member = self._member.unused_data, None
            if data:
                view[: len(data)] = data
                return len(data)
        piece = self._spill[: len(view)]
        view[: len(piece)] = piece
        self._spill = self._spill[len(piece) :]
        return len(piece)

    def _more(self) -> bool:
        view = memoryview(bytearray(CHUNK))
        got = self._source.readinto(view)
        self._input += view[:got]
        return got > 0

    def _next_member(self) -> bool:
        while True:
            if not self._first:
                self._input = self._input.lstrip(b"\0")  # padding
            if len(self._input) > 1 or not self._more():
                break
        if not self._input:
            self.fault = self._source.fault
            return False
        if not is_gzip(self._input):
            self.fault = self._garbage()
            return False
        self._first = False
        self._member = zlib.decompressobj(wbits=31)
        return True

    def _garbage(self) -> Fault:
        garbage = drain(self._source, self._input)
        return Fault("TrailingGarbage", "bytes follow the end of the compressed data", garbage=garbage)

    def _inflate(self, limit: int) -> bytes:
        """Up to `limit` bytes of the member; sets the fault when there will be no more."""
        member = self._member
        spare = member.copy()
        try:
            data: bytes = member.decompress(self._input, limit)
        except zlib.error:
            self.fault = Fault("CorruptGzip", "the compressed data are corrupt")
            self._spill = _inflate_until_error(spare, self._input)
            return b""
        self._input = member.unconsumed_tail
        if not data and not member.eof and not self._input and not self._more():
            self.fault = self._source.fault or Fault("TruncatedGzip", "the compressed data end before their time")
        return data


def _inflate_until_error(member: Any, data: bytes) -> bytes:
    """What the bytes before the corrupt one give: zlib itself throws it away."""
    parts = []
    try:
        for at in range(len(data)):
            parts.append(member.decompress(data[at : at + 1]))  # noqa: PERF401 (kept when it raises)
    except zlib.error:
        pass
    return b"".join(parts)


class Utf16:
    """UTF-16 as UTF-8; lone surrogates pass, so that the original can be made of it again."""

    def __init__(self, source: Source, codec: str) -> None:
        self.fault: Fault | None = None
        self._source = source
        self._decoder = codecs.getincrementaldecoder(codec)("surrogatepass")
        self._ready = memoryview(b"")
        self._ended = False
        self._buffer = memoryview(bytearray(CHUNK))

    def readinto(self, view: memoryview) -> int:
        """See Source."""
        while not self._ready:
            got = self._source.readinto(self._buffer)
            if not got:
                if self._ended:
                    return 0
                self._end()
                continue
            text = self._decoder.decode(bytes(self._buffer[:got]))
            self._ready = memoryview(text.encode("utf-8", "surrogatepass"))
        got = min(len(view), len(self._ready))
        view[:got] = self._ready[:got]
        self._ready = self._ready[got:]
        return got

    def _end(self) -> None:
        self._ended = True
        pending, _ = self._decoder.getstate()
        self._decoder.reset()
        if len(pending) > 1:  # a high surrogate that waits for its low one
            self._ready = memoryview(self._decoder.decode(pending[:2], final=True).encode("utf-8", "surrogatepass"))
        self.fault = self._source.fault
        if len(pending) % 2:
            self.fault = self.fault or Fault("TruncatedUtf16", "the UTF-16 text ends inside a character")
            self.fault.tail = pending[-1:]
