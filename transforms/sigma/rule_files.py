"""The files that rules stand in: below folders, in zip and tar archives, here or in a bucket.

Nothing is unpacked; sizes are bounded.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple

from huntbeam.schemas import uid
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.files import FileInfo, is_remote, remote_files
from huntbeam.transforms.files import content as content_of
from huntbeam.transforms.sigma.plan import RuleError

SUFFIXES = (".yml", ".yaml")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_AT_ONCE = 8  # files of a bucket that are read at a time: each takes a round trip

# RuntimeError: encrypted; the others: damaged, or packed in a way that Python does not know
_ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(OSError, RuntimeError, EOFError, ValueError),
)


class Limits(NamedTuple):
    """What is read at most; more is an error of that file."""

    file_bytes: int = 4 << 20
    files: int = 100_000
    total_bytes: int = 512 << 20
    documents: int = 10_000  # of one file
    archive_bytes: int = 128 << 20  # of an archive in a bucket, which is read as a whole


class RuleFile(NamedTuple):
    """A file and what stands in it, or why that cannot be read."""

    name: str
    content: bytes | RuleError


def rule_files(paths: Iterable[str | os.PathLike[str]], limits: Limits) -> Iterator[RuleFile]:
    """The files in order of the paths, and by name within a folder or archive.

    Raises UnusableError for a path that does not exist.
    """
    for one in paths:
        path = os.fspath(one)
        yield from _remote(path, limits) if is_remote(path) else _local(Path(path), limits)


def rule_file(path: str, limits: Limits) -> RuleFile:
    """One file, here or in a bucket."""
    try:
        content = content_of(path, limits.file_bytes)
    except (OSError, UnusableError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return refused(path, "Unreadable", f"the file cannot be read: {reason or type(error).__name__}")
    return RuleFile(path, _whole(path, content, limits))


def refused(name: str, error_class: str, reason: str) -> RuleFile:
    """A file that cannot be used."""
    return RuleFile(name, RuleError(name, 1, "", error_class, reason))


def stamp(paths: Iterable[str | os.PathLike[str]]) -> str:
    """A digest of the names, sizes and times of all files below paths: another one says that something changed.

    Raises UnusableError for a path that does not exist.
    """
    return uid.digest("t1", [_described(os.fspath(path), _times) for path in paths])


def fingerprint(paths: Iterable[str | os.PathLike[str]]) -> str:
    """A digest of the names of all files below paths and of what stands in them; in a bucket of sizes and times.

    Archives stay unopened. Raises UnusableError for a path that does not exist.
    """
    return uid.digest("f1", [_described(os.fspath(path), _content) for path in paths])


def _described(path: str, describe: Callable[[Path], tuple[str, ...]]) -> list[tuple[str, ...]]:
    if is_remote(path):
        return [(one.path, str(one.size), str(one.updated)) for one in _listed(path)]
    found = _below(Path(path)) if Path(path).is_dir() else [_existing(Path(path))]
    return [(os.fsencode(file).hex(), *describe(file)) for file in found]


def _times(file: Path) -> tuple[str, ...]:
    try:
        status = file.stat()
    except OSError:  # gone meanwhile, or a link to nowhere
        return ()
    return str(status.st_size), str(status.st_mtime_ns), str(status.st_ctime_ns)


def _content(file: Path) -> tuple[str, ...]:
    try:
        with file.open("rb") as opened:
            return (hashlib.file_digest(opened, "sha256").hexdigest(),)
    except OSError:
        return ()


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise _nothing(str(path))
    return path


def _nothing(path: str) -> UnusableError:
    return UnusableError(f"there is no rule file, folder or archive {path}: name one that exists")


def _local(path: Path, limits: Limits) -> Iterator[RuleFile]:
    if path.is_dir():
        for file in _below(path):
            yield rule_file(str(file), limits)
    elif _archive(_existing(path).name):
        try:
            with path.open("rb") as archive:
                yield from _members(str(path), archive, limits)
        except OSError as error:
            yield refused(str(path), "Unreadable", f"the file cannot be read: {error.strerror}")
    else:
        yield rule_file(str(path), limits)


def _below(path: Path) -> list[Path]:
    return sorted(
        Path(folder, name)
        for folder, _, names in os.walk(path)  # links to folders are not followed: no rule twice, no end of it
        for name in names
        if name.lower().endswith(SUFFIXES)
    )


def _listed(path: str) -> list[FileInfo]:
    found = remote_files(path)
    if not found:
        raise _nothing(path)
    if len(found) == 1 and found[0].path == path:
        return found
    return sorted((one for one in found if one.path.lower().endswith(SUFFIXES)), key=lambda one: one.path)


def _remote(path: str, limits: Limits) -> Iterator[RuleFile]:
    found = _listed(path)
    if len(found) == 1 and _archive(found[0].path):
        whole = rule_file(path, limits._replace(file_bytes=limits.archive_bytes))
        if isinstance(whole.content, RuleError):
            yield whole
        else:
            yield from _members(path, io.BytesIO(whole.content), limits)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(found), _AT_ONCE):  # no more than these are held at a time
            yield from pool.map(lambda one: rule_file(one.path, limits), found[start : start + _AT_ONCE])


def _whole(name: str, content: bytes, limits: Limits) -> bytes | RuleError:
    if len(content) > limits.file_bytes:
        return RuleError(name, 1, "", "TooMuch", f"the file is larger than {limits.file_bytes} bytes")
    return content


def _archive(name: str) -> bool:
    return name.lower().endswith((".zip", *_TARS))


def _members(name: str, file: IO[bytes], limits: Limits) -> Iterator[RuleFile]:
    yield from (_zip if name.lower().endswith(".zip") else _tar)(name, file, limits)


def _zip(name: str, source: IO[bytes], limits: Limits) -> Iterator[RuleFile]:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [one for one in archive.infolist() if one.filename.lower().endswith(SUFFIXES)]
            for member in sorted(members, key=lambda one: one.filename)[: limits.files + 1]:
                inside = f"{name}!{member.filename}"
                with archive.open(member) as file:
                    yield RuleFile(inside, _whole(inside, file.read(limits.file_bytes + 1), limits))
    except _ARCHIVE_ERRORS as error:
        yield refused(name, "Unreadable", f"the archive cannot be read: {error}")


def _tar(name: str, source: IO[bytes], limits: Limits) -> Iterator[RuleFile]:
    """Sorted when all is read: order decides the indices of rules, and a tar may hold its members in any."""
    found: list[RuleFile] = []
    passed = 0
    try:
        with tarfile.open(fileobj=source, mode="r:*") as archive:
            for member in archive:
                passed += member.size
                if passed > limits.total_bytes or len(found) > limits.files:
                    found.append(refused(name, "TooMuch", "the archive is too large"))
                    break
                if member.isfile() and member.name.lower().endswith(SUFFIXES):
                    inside = f"{name}!{member.name}"
                    file = archive.extractfile(member)
                    content = file.read(limits.file_bytes + 1) if file else b""
                    found.append(RuleFile(inside, _whole(inside, content, limits)))
            else:
                if not _has_end(archive):
                    reason = "the archive is torn: its end is missing, and rules perhaps with it"
                    found.append(refused(name, "Unreadable", reason))
    except _ARCHIVE_ERRORS as error:
        found.append(refused(name, "Unreadable", f"the archive cannot be read: {error}"))
    yield from sorted(found, key=lambda one: one.name)


def _has_end(archive: tarfile.TarFile) -> bool:
    """Python takes a header that is cut off for the end; the real one is a block of zeros."""
    archive.fileobj.seek(archive.offset)
    return archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
