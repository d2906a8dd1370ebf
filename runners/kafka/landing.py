"""The folder of an archive: `<stream>/part-<partition>-<first offset>-<last offset>.parquet`.

A file's name says which records it stands for, and it gets its name when it is complete: so the names tell where to go
on, also when the process was killed before it committed the offsets. No range of records is ever landed twice.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import msgspec

from huntbeam.schemas.dead_letter import DeadLetter
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.row_writers import Format, RowWriter, row_writer

UNDECODABLE = "undecodable"
TOPICS = "_archive.json"  # which topic each stream's folder is from

_ASIDE = ".huntbeam-archive"
_LOCK = "lock"
_SUCCESS = "_SUCCESS"  # a finished replay's
_PART = re.compile(r"part-(\d{1,10})-(\d{20})-(\d{20})\.(?:jsonl|parquet|avro)", re.ASCII)
_UNDECODABLE = re.compile(r"(.+)-(part-\d+-\d{20}-\d{20})\.jsonl", re.ASCII)


class Landed(NamedTuple):
    """A file and the offsets it stands for, both inclusive."""

    path: Path
    partition: int
    first: int
    last: int


class Origin(msgspec.Struct, frozen=True):
    """The topic a stream's folder is from; the id tells it from a later one of the same name."""

    topic: str
    id: str


class Folder:
    """An output folder, for as long as it is open this process's alone, and for the same topics (`origins`, by stream)
    each time. Raises UnusableError.
    """

    def __init__(self, output: str, origins: Mapping[str, Origin]) -> None:
        if "://" in output:
            raise UnusableError(f"{output} is no local folder: land to one, and copy its files from there")
        self.root = Path(output)
        self.aside = self.root / _ASIDE
        try:
            self.aside.mkdir(parents=True, exist_ok=True)
            self._lock = (self.aside / _LOCK).open("wb")
        except OSError as error:
            raise UnusableError(
                f"{output} cannot be used ({error.strerror}): choose another folder for --output"
            ) from error
        try:
            self._claim(output)
            self._bind(origins)
        except BaseException:
            self._lock.close()
            raise

    def _claim(self, output: str) -> None:
        if (self.root / _SUCCESS).exists():
            raise UnusableError(f"{output} holds the results of a replay: choose another folder for --output")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
        except OSError as error:
            raise UnusableError(
                f"another huntbeam archive writes to {output}: stop it, or choose another --output"
            ) from error
        for path in self.aside.iterdir():
            if path.name != _LOCK:
                path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _bind(self, origins: Mapping[str, Origin]) -> None:
        """Notes which topics the streams are from. Raises UnusableError when they were from others before."""
        path = self.root / TOPICS
        try:
            known = msgspec.json.decode(path.read_bytes(), type=dict[str, Origin]) if path.exists() else {}
        except (OSError, msgspec.MsgspecError) as error:
            raise UnusableError(f"{path} cannot be read ({error}): choose another folder for --output") from error
        for stream, origin in origins.items():
            before = known.setdefault(stream, origin)
            if before.topic != origin.topic:
                raise UnusableError(
                    f"{self.root / stream} is from the topic {before.topic}: land {origin.topic} into another --output"
                )
            if before.id != origin.id:
                raise UnusableError(
                    f"{origin.topic} was deleted and made again since {self.root / stream} was landed: "
                    "choose another folder for --output"
                )
        self._write(path, msgspec.json.format(msgspec.json.encode(known)))
        self._remove_stale(known)

    def _write(self, path: Path, content: bytes) -> None:
        aside = self.aside / path.name
        with aside.open("wb") as file:
            file.write(content)
            durable(file)
        publish(aside, path)

    def landed(self, stream: str) -> Iterator[Landed]:
        """The files of a stream, in no order."""
        folder = self.root / stream
        for path in folder.iterdir() if folder.is_dir() else ():
            match = _PART.fullmatch(path.name)
            if match:
                yield Landed(path, int(match[1]), int(match[2]), int(match[3]))

    def _remove_stale(self, origins: Mapping[str, Origin]) -> None:
        """Dead letters whose rows' file did not land: their records are read again."""
        stream_of = {origin.topic: stream for stream, origin in origins.items()}
        folder = self.root / UNDECODABLE
        for path in folder.iterdir() if folder.is_dir() else ():
            match = _UNDECODABLE.fullmatch(path.name)
            if match and match[1] in stream_of and not any((self.root / stream_of[match[1]]).glob(f"{match[2]}.*")):
                path.unlink()


class Chunk:
    """Records of one partition, one after the other, on their way into files."""

    def __init__(
        self, folder: Folder, stream: str, topic: str, partition: int, first: int, file_format: Format
    ) -> None:
        self._folder = folder
        self._stream, self._topic = stream, topic
        self._partition, self._first, self.last = partition, first, first
        self._format = file_format
        self._rows: _Part | None = None
        self._letters: _Part | None = None
        self.rows = self.bytes = 0
        self.opened = time.monotonic()

    def took(self, offset: int, size: int) -> None:
        """A record, with or without a row."""
        self.last = offset
        self.bytes += size

    def add(self, row: msgspec.Struct) -> None:
        """A row to land."""
        if self._rows is None:
            self._rows = self._rows_part()
        self._rows.write(row)
        self.rows += 1

    def refuse(self, letter: DeadLetter) -> None:
        """A record that could not be decoded."""
        if self._letters is None:
            name = f"{UNDECODABLE}-{self._stream}-{self._partition}"
            self._letters = _Part(self._folder.aside / name, DeadLetter, Format.JSONL)
        self._letters.write(letter)

    def land(self) -> int:
        """Gives the files their names and returns how many hold rows: the dead letters' first, which count only beside
        a rows' file (without any rows it is there, too).
        """
        name = f"part-{self._partition}-{self._first:020}-{self.last:020}"
        if self._letters:
            self._letters.land(self._folder.root / UNDECODABLE / f"{self._topic}-{name}{Format.JSONL.suffix}")
            self._rows = self._rows or self._rows_part()
        if self._rows:
            self._rows.land(self._folder.root / self._stream / f"{name}{self._format.suffix}")
        return int(self.rows > 0)

    def abandon(self) -> None:
        """Closes the files; what is in them is read again."""
        for part in (self._rows, self._letters):
            if part:
                part.abandon()

    def _rows_part(self) -> _Part:
        aside = self._folder.aside / f"{self._stream}-{self._partition}"
        return _Part(aside, STREAMS[self._stream], self._format)


class _Part:
    """A file aside."""

    def __init__(self, path: Path, record: type[msgspec.Struct], file_format: Format) -> None:
        self._path = path
        self._file = path.open("wb")
        self._writer: RowWriter = row_writer(self._file, record, file_format)

    def write(self, row: msgspec.Struct) -> None:
        self._writer.write([row])

    def land(self, target: Path) -> None:
        with self._file:
            self._writer.close()
            durable(self._file)
        publish(self._path, target)

    def abandon(self) -> None:
        with suppress(Exception), self._file:  # the error that led here is the one to report
            self._writer.close()


def durable(file: BinaryIO) -> None:
    """Brings a file's content to the disk: the offsets are committed next."""
    file.flush()
    os.fsync(file.fileno())


def publish(aside: Path, target: Path) -> None:
    """Renames, and brings the name to the disk."""
    if not target.parent.exists():
        target.parent.mkdir()
        _sync(target.parent.parent)
    aside.replace(target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
