"""Files to blocks of records: which files, which pieces of them, and what is in a piece. Knows no Beam until gs://."""

from __future__ import annotations

import codecs
import glob
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from huntbeam.transforms import evtx, formats
from huntbeam.transforms.evtx import InputError
from huntbeam.transforms.formats import BLOCK, HEAD, MAX_RECORD, Block, Fault, Records, Source, Torn

__all__ = ["Block", "FileInfo", "InputError", "Records", "Span", "Torn", "expand", "read", "read_stream", "spans"]

CHUNK = 128 << 10  # compressed or UTF-16 bytes read at a time
STDIN = "-"  # the path that stands for standard input


class FileInfo(msgspec.Struct, frozen=True):
    """A file of the input."""

    path: str
    size: int


class Span(msgspec.Struct, frozen=True):
    """One piece of work: a file or a byte range of a plain one."""

    path: str
    index: int  # of the file among all inputs: arrival order
    start: int
    end: int | None  # None: to the end
    size: int  # bytes of the file it stands for


def expand(patterns: Sequence[str]) -> list[FileInfo]:
    """The files that paths, folders and globs name, sorted, each once. Hidden names in folders are left out."""
    found: dict[str, FileInfo] = {}
    for pattern in patterns:
        if pattern == STDIN:
            found[STDIN] = FileInfo(STDIN, 0)
            continue
        files = _remote_files(pattern) if "://" in pattern else _local_files(pattern)
        if not files:
            raise InputError(f"{pattern} matches no file: check the path, and quote the pattern from the shell")
        for file in files:
            found.setdefault(file.path if "://" in file.path else os.path.abspath(file.path), file)  # noqa: PTH100
    return sorted(found.values(), key=lambda f: f.path)


def _local_files(pattern: str) -> list[FileInfo]:
    if not glob.has_magic(pattern) or os.path.lexists(pattern):  # a name may contain the signs of a pattern
        return [_checked(path) for path in _walk(pattern)]
    roots = [r for r in glob.glob(pattern, recursive=True) if _shown(r, pattern)]  # noqa: PTH207 (takes any path)
    if "**" in pattern:
        roots = [r for r in roots if not Path(r).is_dir()]  # each file below is there by itself
    return [_checked(path) for root in roots for path in _walk(root)]


def _walk(root: str) -> list[str]:
    if not Path(root).is_dir():
        return [root]

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed ({error.strerror}): check its permissions") from None

    paths = []
    for folder, names, files in os.walk(root, onerror=refuse):
        names[:] = [n for n in names if not _hidden(n)]
        inside = (Path(folder, f) for f in files if not _hidden(f))
        paths += [str(p) for p in inside if p.is_file() or not p.exists()]  # no sockets; a dead link is refused later
    return paths


def _shown(path: str, pattern: str) -> bool:
    """Whether a match has no hidden name where the pattern left the name open; a pattern may ask for hidden ones."""
    parts = pattern.split("/")
    fixed = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return any(map(_hidden, parts[fixed:])) or not any(map(_hidden, path.split("/")[fixed:]))


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _checked(path: str) -> FileInfo:
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise InputError(f"{path} is no regular file: give a pipe as standard input")
        with Path(path).open("rb") as file:
            return FileInfo(path, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from None


def _filesystems(path: str) -> Any:
    try:
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems
    except ImportError:
        raise InputError(f"{path} needs Apache Beam: pip install huntbeam") from None
    return FileSystems, CompressionTypes.UNCOMPRESSED


def _remote_files(pattern: str) -> list[FileInfo]:
    systems, _ = _filesystems(pattern)
    folder = pattern.rstrip("/") + "/**"
    tries = [pattern]
    if not glob.has_magic(pattern):  # a file, or else the folder of this name
        only_folder = pattern.endswith("/") or pattern.count("/") == 2
        tries = [folder] if only_folder else [pattern, folder]
    for one in tries:
        try:
            matched = systems.match([one])[0].metadata_list
        except Exception as error:  # each storage library has errors of its own
            raise InputError(
                f"{pattern} cannot be listed ({type(error).__name__}): check its name and access"
            ) from error
        found = [FileInfo(m.path, m.size_in_bytes) for m in matched if not m.path.endswith("/") and _shown(m.path, one)]
        if found:
            return found
    return []


def spans(files: Sequence[FileInfo], piece: int = 64 << 20) -> list[Span]:
    """The pieces of work: big plain files in pieces, everything else as a whole."""
    result = []
    for index, (path, size) in enumerate((f.path, f.size) for f in files):
        starts = range(0, size, piece) if size > piece and _splittable(path) else range(1)
        for start in starts:
            last = start + piece >= size or len(starts) == 1
            end = None if last else start + piece
            result.append(Span(path, index, start, end, (size if end is None else end) - start))
    return result


def _splittable(path: str) -> bool:
    try:
        with closing(_open(path)) as file:
            raw = _Raw(file)
            head = _head(raw)
    except OSError:
        return False  # read() says so where the file is met
    special = formats.unsupported(head) or formats.is_gzip(head) or formats.wide_codec(head) or _is_evtx(head)
    return not special and not formats.is_array(_without_bom(head)) and b"\n" in head


def read(span: Span, *, block: int = BLOCK, max_record: int = MAX_RECORD) -> Iterator[Block | Records | Torn]:
    """The records of a span. What is wrong with the file comes as Torn; the run goes on."""
    if span.path == STDIN:
        yield from read_stream(sys.stdin.buffer, STDIN, block=block, max_record=max_record)
        return
    try:
        with closing(_open(span.path)) as file:
            raw = _Raw(file)
            if span.start:
                before = span.start - 1  # a line that begins at the start begins after a newline here
                file.seek(before)
                yield from _metered(
                    formats.lines(raw, before, skip_first=True, end=span.end, block=block, max_record=max_record),
                    raw,
                    span.size,
                )
            else:
                yield from _metered(_items(raw, span.path, span.end, block, max_record), raw, span.size)
    except OSError as error:
        yield _unreadable(error).torn(b"", None)


def read_stream(
    stream: BinaryIO, name: str, *, block: int = BLOCK, max_record: int = MAX_RECORD
) -> Iterator[Block | Records | Torn]:
    """The records of standard input, which cannot be sought in."""
    raw = _Raw(stream)
    yield from _metered(_items(raw, name, None, block, max_record), raw, None)


def _metered(items: Iterator[Block | Records | Torn], raw: _Raw, size: int | None) -> Iterator[Block | Records | Torn]:
    seen = 0
    for item in items:
        taken = raw.taken if size is None else min(raw.taken, size)  # the last line of a span reaches beyond it
        item.consumed = taken - seen
        seen = taken
        yield item


def _items(raw: _Raw, name: str, end: int | None, block: int, max_record: int) -> Iterator[Block | Records | Torn]:
    """Tells the format by the first bytes and cuts accordingly."""
    source: Source = raw
    source, head = _peek(source)
    if formats.is_gzip(head):
        source, head = _peek(_Gunzip(source))
        if formats.is_gzip(head):
            yield formats.refusal("compressed twice: unpack it once").torn(formats.drain(source), 0)
            return
    if _is_evtx(head):
        yield from evtx.records(source, name)
        return
    if what := formats.unsupported(head):
        yield formats.refusal(what).torn(formats.drain(source), 0)
        return
    wide = formats.wide_codec(head)
    offset = 2 if wide else len(head) - len(_without_bom(head))
    formats.fill(source, memoryview(bytearray(offset)))  # the mark is no text
    if wide:
        source = _Utf16(source, wide)
    source, head = _peek(source)
    if formats.is_array(head):
        yield from formats.array(source, wide=wide, block=min(block, formats.ARRAY_BLOCK), max_record=max_record)
    else:
        yield from formats.lines(source, offset, wide=wide, end=end, block=block, max_record=max_record)


def _is_evtx(head: bytes) -> bool:
    return head.startswith(formats.EVTX)


def _without_bom(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8)


def _open(path: str) -> Any:
    """The file's bytes as they are, unbuffered."""
    if "://" not in path:
        return Path(path).open("rb", buffering=0)
    systems, as_is = _filesystems(path)
    try:
        return systems.open(path, compression_type=as_is)
    except OSError:
        raise
    except Exception as error:  # each storage library has errors of its own
        raise OSError(0, type(error).__name__) from error


def _unreadable(error: BaseException) -> Fault:
    return Fault("ReadError", f"reading failed: {getattr(error, 'strerror', None) or type(error).__name__}")


class _Raw:
    """The bytes of a file; counts them, and ends where reading fails."""

    def __init__(self, file: Any) -> None:
        self.taken = 0
        self.fault: Fault | None = None
        self._file = file
        self._into = getattr(file, "readinto", None)
        self._ended = False  # a terminal or a growing file might give more after its end

    def readinto(self, view: memoryview) -> int:
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
            self.fault = _unreadable(error)
            got = 0
        self._ended = got == 0
        self.taken += got
        return got


class _Peeked:
    """A source whose first bytes have been looked at."""

    def __init__(self, source: Source, head: bytes) -> None:
        self._source = source
        self._head = head

    @property
    def fault(self) -> Fault | None:
        return self._source.fault

    def readinto(self, view: memoryview) -> int:
        if not self._head:
            return self._source.readinto(view)
        piece = self._head[: len(view)]
        view[: len(piece)] = piece
        self._head = self._head[len(piece) :]
        return len(piece)


def _head(source: Source) -> bytes:
    buffer = bytearray(HEAD)
    return bytes(buffer[: formats.fill(source, memoryview(buffer))])


def _peek(source: Source) -> tuple[Source, bytes]:
    head = _head(source)
    return _Peeked(source, head), head


class _Gunzip:
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
        if not formats.is_gzip(self._input):
            self.fault = self._garbage()
            return False
        self._first = False
        self._member = zlib.decompressobj(wbits=31)
        return True

    def _garbage(self) -> Fault:
        garbage = formats.drain(self._source, self._input)
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


class _Utf16:
    """UTF-16 as UTF-8; lone surrogates pass, so that the original can be made of it again."""

    def __init__(self, source: Source, codec: str) -> None:
        self.fault: Fault | None = None
        self._source = source
        self._decoder = codecs.getincrementaldecoder(codec)("surrogatepass")
        self._ready = memoryview(b"")
        self._ended = False
        self._buffer = memoryview(bytearray(CHUNK))

    def readinto(self, view: memoryview) -> int:
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
