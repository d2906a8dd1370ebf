"""Windows' own .evtx files, chunk by chunk. The package `evtx` reads the records; it is loaded when a file is met.

The package gets one chunk at a time, as a file of its own: so a file can be a stream, what is broken stays within its
chunk, and a record that does not come out is known with its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any, NamedTuple
from zlib import crc32

from huntbeam.transforms.formats import EVTX, Fault, Records, Torn, refusal
from huntbeam.transforms.sources import Source, drain, fill

HEADER = 4096  # bytes before the first chunk
CHUNK = 1 << 16
FIRST = 512  # where the records of a chunk begin
FREE = 48  # where its header says where they end
LEAST = 28  # bytes of a record without content
NO_ID = (1 << 64) - 1

_CHUNK_MAGIC = b"ElfChnk\0"
_RECORD_MAGIC = b"**\0\0"
_RECORD = struct.Struct("<4sIQ")  # magic, size, record id; the size again at the end
_SIZE = struct.Struct("<I")


def _one_chunk_header() -> bytes:
    head = struct.pack("<8sQQQIHHHH80x", EVTX, 0, 0, 1, 128, 1, 3, HEADER, 1)
    return (head + _SIZE.pack(crc32(head[:120]))).ljust(HEADER, b"\0")


_HEADER = _one_chunk_header()


class _Piece(NamedTuple):
    """A record as its header tells it, or the bytes up to the next record where there is no header."""

    at: int
    size: int
    record_id: int | None


REMEDY = "an EVTX file: to read it, pip install 'huntbeam[evtx]'"


def missing() -> bool:
    """Whether the package that reads EVTX files is not there."""
    try:
        import evtx  # noqa: F401
    except ImportError:
        return True
    return False


def records(source: Source) -> Iterator[Records | Torn]:
    """The records of an EVTX file as JSON text, numbered by their record ids. A corrupt one does not end the file.

    Without the package, the whole file is one Torn: the run goes on with the others.
    """
    if missing():
        yield refusal(REMEDY).torn(drain(source), 0)
        return
    from evtx import PyEvtxParser

    chunk = bytearray(CHUNK)
    view = memoryview(chunk)
    have = fill(source, view[:HEADER])
    if have < HEADER:
        yield _end(source).torn(bytes(view[:have]), None)
        return
    while (have := fill(source, view)) == CHUNK:
        yield from _chunk(PyEvtxParser, chunk, CHUNK, None)
    if have:
        view[have:] = bytes(CHUNK - have)
        yield from _chunk(PyEvtxParser, chunk, have, _end(source))
    elif source.fault is not None:
        yield source.fault.torn(b"", None)


def _end(source: Source) -> Fault:
    return source.fault or Fault("TruncatedEvtx", "the file ends inside a chunk")


def _chunk(parser: Any, chunk: bytearray, have: int, end: Fault | None) -> Iterator[Records | Torn]:
    """One chunk, of which a file that ends early has not all the bytes."""
    if not chunk.startswith(_CHUNK_MAGIC):
        if end is not None or any(chunk):  # else it was laid out in advance and never used
            yield (end or Fault("CorruptEvtx", "this is no EVTX chunk")).torn(bytes(chunk[:have]), None)
        return
    pieces = list(_pieces(chunk, have))
    originals = {p: bytes(chunk[p.at : p.at + p.size]) for p in pieces if p.record_id is None}
    for piece in originals:
        _step_over(chunk, piece)
    if pieces:
        _SIZE.pack_into(chunk, FREE, pieces[-1].at + pieces[-1].size)
    read = _read(parser, chunk, len(pieces)) if pieces else []
    items: list[tuple[int, bytes]] = []
    torn: list[Torn] = []
    for piece in pieces:
        if piece.record_id is not None and len(items) < len(read) and read[len(items)][0] == piece.record_id:
            items.append(read[len(items)])
            continue
        original = originals.get(piece) or bytes(chunk[piece.at : piece.at + piece.size])
        if end is not None and piece.record_id is None and piece.at + piece.size == have:
            torn.append(end.torn(original, None))
            end = None
        else:
            torn.append(Fault("CorruptEvtx", "the record cannot be read").torn(original, piece.record_id))
    if items:
        yield Records(items)
    yield from torn
    if end is not None:
        yield end.torn(b"" if pieces else bytes(chunk[:have]), None)


def _pieces(chunk: bytearray, have: int) -> Iterator[_Piece]:
    """What the chunk is made of, without a look into the records."""
    (free,) = _SIZE.unpack_from(chunk, FREE)
    stop = min(free if FIRST <= free <= CHUNK else CHUNK, have)
    at = FIRST
    while at < stop:
        piece = _record(chunk, at, stop)
        if piece is None:
            if not any(chunk[at:stop]):
                return
            following = at + LEAST  # less than that could not be stepped over
            while (following := chunk.find(_RECORD_MAGIC, following, stop)) >= 0:
                if _record(chunk, following, stop):
                    break
                following += 1
            piece = _Piece(at, (stop if following < 0 else following) - at, None)
        yield piece
        at += piece.size


def _record(chunk: bytearray, at: int, stop: int) -> _Piece | None:
    if at + LEAST > stop:
        return None
    magic, size, record_id = _RECORD.unpack_from(chunk, at)
    if magic != _RECORD_MAGIC or size < LEAST or at + size > stop or record_id == NO_ID:
        return None
    return _Piece(at, size, record_id) if _SIZE.unpack_from(chunk, at + size - 4)[0] == size else None


def _step_over(chunk: bytearray, piece: _Piece) -> None:
    """Gives broken bytes the frame of a record, so that the parser reaches the records behind them."""
    if piece.size >= LEAST:
        _RECORD.pack_into(chunk, piece.at, _RECORD_MAGIC, piece.size, NO_ID)
        _SIZE.pack_into(chunk, piece.at + piece.size - 4, piece.size)


def _read(parser: Any, chunk: bytearray, most: int) -> list[tuple[int, bytes]]:
    """The records of the chunk that the package can read, in their order."""
    read: list[tuple[int, bytes]] = []
    source = parser(BytesIO(_HEADER + chunk), 1).records_json()
    for _ in range(most):
        try:
            record = next(source, None)
        except (RuntimeError, OSError, ValueError):
            continue  # of this record; what is missing in the end is found by comparison
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # Rust's own, which has no importable name
                raise
            break
        if record is None:
            break
        if record["event_record_id"] != NO_ID:
            read.append((record["event_record_id"], record["data"].encode("utf-8", "surrogatepass")))
    return read
