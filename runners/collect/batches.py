"""Batches of records: what goes through the pipe from a receiver, and what lies in the spool. Pure."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

FULL = 256 * 1024  # bytes with which a batch goes on
MOST = 8192  # records with which it does, also empty ones
DATAGRAM = 64 * 1024  # no datagram is longer; a batch is longer than FULL by less than one
HEAD = struct.Struct("<B3xII")  # kind, records, bytes of the records together


class Kind(IntEnum):
    """What a batch holds."""

    TAKEN = 0  # records as they were taken from the network
    READY = 1  # records whose syslog header is off
    COUNTS = 2  # a receiver's counts, as one JSON object


class Batch(NamedTuple):
    """Records one behind the other, and the length of each."""

    lengths: array[int]
    body: bytes
    kind: Kind = Kind.TAKEN

    @property
    def records(self) -> int:
        """How many there are, without empty ones."""
        return len(self.lengths) - self.lengths.count(0)

    @property
    def size(self) -> int:
        """Bytes that it takes packed."""
        return HEAD.size + 4 * len(self.lengths) + len(self.body)

    def each(self) -> Iterator[bytes]:
        """The records, without empty ones."""
        at, body = 0, self.body
        for length in self.lengths:
            if length:
                yield body[at : at + length]
                at += length


def batch_of(records: Iterable[bytes], kind: Kind = Kind.TAKEN) -> Batch:
    """The records as one batch."""
    held = list(records)
    return Batch(array("I", map(len, held)), b"".join(held), kind)


def batches_of(records: Iterable[bytes], kind: Kind = Kind.TAKEN) -> Iterator[Batch]:
    """The records as batches of about FULL bytes and at most MOST records."""
    held: list[bytes] = []
    size = 0
    for record in records:
        held.append(record)
        size += len(record)
        if size >= FULL or len(held) >= MOST:
            yield batch_of(held, kind)
            held, size = [], 0
    if held:
        yield batch_of(held, kind)


def pack(batch: Batch) -> bytes:
    """The batch as bytes."""
    lengths = batch.lengths
    if sys.byteorder == "big":
        lengths = array("I", lengths)
        lengths.byteswap()
    return b"".join((HEAD.pack(batch.kind, len(lengths), len(batch.body)), lengths.tobytes(), batch.body))


def packed_size(head: bytes | bytearray, at: int = 0) -> int:
    """Bytes of the packed batch that begins at `at`, of which HEAD.size are there."""
    _, count, size = HEAD.unpack_from(head, at)
    return HEAD.size + 4 * int(count) + int(size)


def unpack(packed: bytes | memoryview) -> Batch:
    """The batch of its bytes. Raises ValueError for what is none."""
    try:
        kind, count, size = HEAD.unpack_from(packed)
    except struct.error as error:
        raise ValueError("no batch: too short") from error
    body = HEAD.size + 4 * count
    if len(packed) != body + size:
        raise ValueError("no batch: its length is another")
    lengths = array("I")
    lengths.frombytes(packed[HEAD.size : body])
    if sys.byteorder == "big":
        lengths.byteswap()
    if sum(lengths) != size:
        raise ValueError("no batch: its records' lengths do not add up")
    return Batch(lengths, bytes(packed[body:]), Kind(kind))
