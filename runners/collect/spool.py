"""The spool: batches on disk, first in, first out, in segments. It survives the process at any byte.

    SPOOL/TOPIC/00000000000000000001.spool   <length, CRC-32, packed batch> ...
    SPOOL/TOPIC/position                     how far everything was delivered: segment and offset

A batch is forgotten when Kafka has acknowledged it. `position` is written once a second, so after a crash what was
acknowledged within that second is delivered again: at least once. Batches are written to the file at once and brought
to the disk once a second.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from huntbeam.runners.collect.batches import HEAD, Batch, pack, packed_size, unpack
from huntbeam.schemas.errors import UnusableError

SEGMENT = 16 * 1024 * 1024  # bytes; a delivered segment is deleted as a whole

_MOST_SEGMENTS = 256  # each is an open file
_FRAME = struct.Struct("<II")  # length and CRC-32 of the packed batch
_LONGEST = 1 << 26  # no batch is longer: a greater length is damage
_NAME = re.compile(r"(\d{20})\.spool", re.ASCII)
_POSITION = re.compile(rb"(\d{1,20}) (\d{1,20})\n", re.ASCII)


class Place(NamedTuple):
    """Behind a batch: its segment, the offset in it, and how many records the batch has."""

    segment: int
    offset: int
    records: int = 0


class _Segment:
    """An open file; `size` bytes of it are whole batches."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.size = 0
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def append(self, framed: bytes) -> None:
        """Writes at the end, all or, with OSError, nothing."""
        written = 0
        try:
            while written < len(framed):
                written += os.pwrite(self.file, framed[written:], self.size + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.file, self.size)
            raise
        self.size += len(framed)

    def drop(self) -> None:
        os.close(self.file)
        self.path.unlink(missing_ok=True)


class Spool:
    """The batches in a folder, which is this process's alone. Raises UnusableError for a folder that is of no use."""

    def __init__(self, folder: Path, max_bytes: int, say: Callable[[str], object] = lambda _: None) -> None:
        self.folder = folder
        self.records = 0  # not acknowledged
        self.unread = 0  # of them those that `next` has not given yet
        self.size = 0  # bytes of all segments
        self.trouble: str | None = None  # why the disk takes no more
        self._max = max_bytes
        self._segment_bytes = max(min(SEGMENT, max_bytes // 4 + 1), max_bytes // _MOST_SEGMENTS)
        self._say = say
        self._segments: deque[_Segment] = deque()  # from the oldest with something not acknowledged to the newest
        self._closed_to_writes = False  # the newest
        self._dirty = False
        self._lock = self._claim()
        self._acked = self._noted = self._load_position()
        self._resume()
        self._read_at = self._acked  # what lies before is read

    def append(self, batch: Batch, *, beyond: bool = False) -> bool:
        """Puts a batch at the end; False when the disk takes no more, or when it goes beyond the limit and may not."""
        framed = _framed(batch)
        if not beyond and not self.has_room(len(framed)):
            return False
        try:
            self._newest().append(framed)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return False
        self.trouble = None
        self.size += len(framed)
        self.records += batch.records
        self.unread += batch.records
        self._dirty = True
        return True

    def has_room(self, size: int) -> bool:
        """Whether so many bytes may still come."""
        return self.size + size <= self._max

    def next(self) -> tuple[Batch, Place] | None:
        """The oldest batch that was not read yet."""
        segment = next((s for s in self._segments if self._begin(s, self._read_at) < s.size), None)
        if segment is None:
            return None
        begin = self._begin(segment, self._read_at)
        batch, length = _read(segment.file, begin)
        self._read_at = Place(segment.number, begin + length)
        self.unread -= batch.records
        return batch, self._read_at._replace(records=batch.records)

    def acknowledge(self, place: Place) -> None:
        """Everything up to there is delivered, and is forgotten. Places come in the order of `next`."""
        self.records -= place.records
        self._acked = place._replace(records=0)
        while self._segments and self._begin(self._segments[0], self._acked) >= self._segments[0].size:
            self._drop_oldest()

    def put_back(self, batches: Iterable[Batch]) -> None:
        """Puts batches in front, in place of those that were read and not acknowledged. The limit does not count here.

        They and what is unread of the segment that is being read become that segment. A crash meanwhile repeats
        records and loses none.
        """
        held = list(batches)
        old = next((s for s in self._segments if self._begin(s, self._read_at) < s.size), None) or self._newest()
        if self._noted.segment == old.number:
            self._acked = Place(old.number, 0)
            self._note_position()
        front = self._front(held, old)
        while self._segments[0] is not old:
            self._drop_oldest()
        os.close(old.file)
        self._segments[0] = front
        self.size += front.size - old.size
        self.unread += sum(batch.records for batch in held)
        self.records = self.unread
        self._acked = self._read_at = Place(old.number, 0)
        self._note_position()

    def _front(self, batches: Iterable[Batch], old: _Segment) -> _Segment:
        """A segment of the batches and of what is unread in `old`, in its place."""
        aside = self.folder / "front.part"
        aside.unlink(missing_ok=True)
        segment = _Segment(aside, old.number)
        for batch in batches:
            segment.append(_framed(batch))
        begin = self._begin(old, self._read_at)
        while begin < old.size:
            batch, length = _read(old.file, begin)
            segment.append(_framed(batch))
            begin += length
        os.fsync(segment.file)
        segment.path = aside.replace(old.path)
        return segment

    def sync(self) -> None:
        """Brings what was written, and how far it is delivered, to the disk; once a second is often enough."""
        try:
            if self._dirty and self._segments:
                os.fdatasync(self._segments[-1].file)
            self._dirty = False
            self._note_position()
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def close(self) -> None:
        """Leaves the folder to the next one."""
        self.sync()
        for segment in self._segments:
            os.close(segment.file)
        self._lock.close()

    def _claim(self) -> BinaryIO:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.folder / "lock").open("wb")
        except OSError as error:
            raise UnusableError(
                f"the spool {self.folder} cannot be used ({error.strerror}): choose another folder for --spool"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
        except OSError as error:
            lock.close()
            raise UnusableError(
                f"another huntbeam collect uses the spool {self.folder}: stop it, or choose another folder for --spool"
            ) from error
        return lock

    def _load_position(self) -> Place:
        with suppress(OSError):
            match = _POSITION.fullmatch((self.folder / "position").read_bytes())
            if match:
                return Place(int(match[1]), int(match[2]))
        return Place(0, 0)

    def _note_position(self) -> None:
        if self._acked == self._noted:
            return
        aside = self.folder / "position.part"
        aside.write_bytes(b"%d %d\n" % self._acked[:2])
        aside.replace(self.folder / "position")
        self._noted = self._acked

    def _resume(self) -> None:
        """Takes up what another run left."""
        numbers = sorted(int(match[1]) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name)))
        for number in numbers:
            segment = _Segment(self._path(number), number)
            self._measure(segment)
            if self._begin(segment, self._acked) >= segment.size:
                segment.drop()
            else:
                self._segments.append(segment)
                self.size += segment.size
        self.unread = self.records
        self._closed_to_writes = True

    def _measure(self, segment: _Segment) -> None:
        """Finds how much of a segment is whole, counts its records and cuts off what is torn."""
        begin = self._begin(segment, self._acked)
        for batch, length in _scan(segment.file):
            segment.size += length
            self.records += batch.records if segment.size > begin else 0
        torn = os.fstat(segment.file).st_size - segment.size
        if torn and segment.number >= self._acked.segment:
            damaged = segment.path.with_suffix(".damaged")
            shutil.copyfile(segment.path, damaged)
            os.ftruncate(segment.file, segment.size)
            self._say(f"{torn:,} bytes at the end of {segment.path} are torn and cannot be read; see {damaged}")

    def _begin(self, segment: _Segment, place: Place) -> int:
        """Where in a segment that begins which lies behind a place."""
        if segment.number == place.segment:
            return place.offset
        return segment.size if segment.number < place.segment else 0

    def _newest(self) -> _Segment:
        """The segment to write to."""
        last = self._segments[-1] if self._segments else None
        if last is None or self._closed_to_writes or last.size >= self._segment_bytes:
            if last is not None and self._dirty:
                os.fdatasync(last.file)
            number = max(last.number if last else 0, self._acked.segment) + 1  # never one that was delivered
            last = _Segment(self._path(number), number)
            self._segments.append(last)
            self._closed_to_writes = False
        return last

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:020}.spool"

    def _drop_oldest(self) -> None:
        segment = self._segments.popleft()
        self.size -= segment.size
        segment.drop()


def _framed(batch: Batch) -> bytes:
    packed = pack(batch)
    return _FRAME.pack(len(packed), zlib.crc32(packed)) + packed


def _read(file: int, at: int) -> tuple[Batch, int]:
    """The batch at an offset, and the bytes it takes. Raises ValueError where it is torn or damaged."""
    head = os.pread(file, _FRAME.size, at)
    if len(head) < _FRAME.size:
        raise ValueError("torn")
    length, crc = _FRAME.unpack(head)
    packed = os.pread(file, length, at + _FRAME.size) if HEAD.size <= length <= _LONGEST else b""
    if len(packed) != length or zlib.crc32(packed) != crc or packed_size(packed) != length:
        raise ValueError("torn")
    return unpack(packed), _FRAME.size + length


def _scan(file: int) -> Iterator[tuple[Batch, int]]:
    """The whole batches from the beginning on."""
    at = 0
    with suppress(ValueError):
        while True:
            batch, length = _read(file, at)
            at += length
            yield batch, length
