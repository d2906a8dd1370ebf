"""Files to records: the spans in which they are read, and what is in a span. Knows no Beam until gs://."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import BinaryIO

import msgspec

from huntbeam.transforms import evtx
from huntbeam.transforms.arrays import ARRAY_BLOCK, array
from huntbeam.transforms.files import STDIN, FileInfo, expand, open_file, standard_input
from huntbeam.transforms.formats import (
    MAX_RECORD,
    InputError,
    Records,
    Torn,
    is_array,
    is_evtx,
    is_gzip,
    refusal,
    unsupported,
    wide_codec,
    without_bom,
)
from huntbeam.transforms.lines import BLOCK, Block, lines
from huntbeam.transforms.sources import FileBytes, Gunzip, Source, Utf16, drain, fill, head_of, peek, unreadable

__all__ = [
    "STDIN",
    "Block",
    "FileInfo",
    "InputError",
    "Records",
    "Span",
    "Torn",
    "expand",
    "read",
    "read_stream",
    "spans",
]


class Span(msgspec.Struct, frozen=True):
    """One piece of work: a file or a byte range of a plain one."""

    path: str
    index: int  # of the file among all inputs: arrival order
    start: int
    end: int | None  # None: to the end
    size: int  # bytes of the file it stands for


def spans(files: Sequence[FileInfo], piece: int = 64 << 20, *, lines_only: bool = False) -> list[Span]:
    """The pieces of work: big plain files in pieces, everything else as a whole. `lines_only` is that of read()."""
    result = []
    for index, (path, size) in enumerate((f.path, f.size) for f in files):
        starts = range(0, size, piece) if size > piece and _splittable(path, lines_only) else range(1)
        for start in starts:
            last = start + piece >= size or len(starts) == 1
            end = None if last else start + piece
            result.append(Span(path, index, start, end, (size if end is None else end) - start))
    return result


def _splittable(path: str, lines_only: bool) -> bool:
    try:
        with closing(open_file(path)) as file:
            head = head_of(FileBytes(file))
    except OSError:
        return False  # read() says so where the file is met
    special = unsupported(head) or is_gzip(head) or wide_codec(head) or is_evtx(head)
    return not special and (lines_only or not is_array(without_bom(head))) and b"\n" in head


def read(
    span: Span, *, block: int = BLOCK, max_record: int = MAX_RECORD, lines_only: bool = False
) -> Iterator[Block | Records | Torn]:
    """The records of a span. What is wrong with the file comes as Torn; the run goes on.

    With `lines_only` a file is lines, though it begins as a JSON array does.
    """
    if span.path == STDIN:
        yield from read_stream(standard_input(), block=block, max_record=max_record, lines_only=lines_only)
        return
    before = min(span.start, 1)  # a line that begins at the start begins after a newline here
    start = span.start - before
    try:
        file = open_file(span.path, start)
    except OSError as error:
        torn = unreadable(error).torn(b"", None)
        torn.consumed = span.size
        yield torn
        return
    with closing(file):
        raw = FileBytes(file)
        if before:
            items = lines(raw, start, skip_first=True, end=span.end, block=block, max_record=max_record)
            yield from _metered(items, raw, span.size, before)
        else:
            yield from _metered(_items(raw, span.end, block, max_record, lines_only), raw, span.size)


def read_stream(
    stream: BinaryIO, *, block: int = BLOCK, max_record: int = MAX_RECORD, lines_only: bool = False
) -> Iterator[Block | Records | Torn]:
    """The records of standard input, which cannot be sought in."""
    raw = FileBytes(stream)
    yield from _metered(_items(raw, None, block, max_record, lines_only), raw, None)


def _metered(
    items: Iterator[Block | Records | Torn], raw: FileBytes, size: int | None, before: int = 0
) -> Iterator[Block | Records | Torn]:
    """Says with each item how much of the span is done with since the one before; in the end, that is all of it."""
    done = 0
    for item in items:
        taken = max(raw.taken - before, 0)
        taken = taken if size is None else min(taken, size)  # the last line of a span reaches beyond it
        item.consumed = taken - done
        done = taken
        yield item
    rest = (raw.taken if size is None else size) - done
    if rest:
        yield Records([], rest)


def _items(
    raw: FileBytes, end: int | None, block: int, max_record: int, lines_only: bool
) -> Iterator[Block | Records | Torn]:
    """Tells the format by the first bytes and cuts accordingly."""
    source: Source = raw
    source, head = peek(source)
    if is_gzip(head):
        source, head = peek(Gunzip(source))
        if is_gzip(head):
            yield refusal("compressed twice: unpack it once").torn(drain(source), 0)
            return
    if is_evtx(head):
        yield from evtx.records(source)
        return
    if what := unsupported(head):
        yield refusal(what).torn(drain(source), 0)
        return
    wide = wide_codec(head)
    offset = 2 if wide else len(head) - len(without_bom(head))
    fill(source, memoryview(bytearray(offset)))  # the mark is no text
    if wide:
        source = Utf16(source, wide)
    source, head = peek(source)
    if is_array(head) and not lines_only:
        yield from array(source, wide=wide, block=min(block, ARRAY_BLOCK), max_record=max_record)
    else:
        yield from lines(source, offset, wide=wide, end=end, block=block, max_record=max_record)
