"""Cuts text into blocks of whole lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from huntbeam.transforms.formats import MAX_RECORD, Fault, OriginalDigest, Torn, original_bytes, too_long
from huntbeam.transforms.sources import Source, fill

BLOCK = 1 << 20  # bytes of lines handed on at once: what is read stays in the processor's cache until it is decoded
TAIL = 64 << 10  # read at a time beyond the end of a span, where only the rest of one line is wanted


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
        return original_bytes(bytes(self.buffer[start:stop]), self.wide)


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
            most = None if end is None else end - offset
            passed, held, _ = _pass_line(source, buffer, view, fill(source, view), OriginalDigest(), most)
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
            digest = OriginalDigest(wide)
            _, held, closed = _pass_line(source, buffer, view, held, digest)
            seen = 0
            original = digest.original()
            yield too_long(original, offset, max_record)
            offset += original.length + newline * closed
    if source.fault is not None:
        yield source.fault.torn(original_bytes(bytes(view[cut:have]), wide), offset)


def _pass_line(
    source: Source, buffer: bytearray, view: memoryview, have: int, digest: OriginalDigest, most: int | None = None
) -> tuple[int, int, bool]:
    """Digests up to the next newline and moves what follows to the front: bytes passed, bytes left, newline found.

    Gives up behind `most` bytes, where the newline is of no more interest.
    """
    passed = 0
    while have and (most is None or passed < most):
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
