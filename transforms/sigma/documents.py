"""The YAML documents below paths: files, folders, zip and tar archives. Nothing is unpacked; sizes are bounded."""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.plan import RuleError

SUFFIXES = (".yml", ".yaml")
SECTIONS = frozenset(("detection", "correlation", "filter", "action"))  # a document of Sigma has one of them
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

_MARK = re.compile(r"^---(?=[ \t\r\n]|\Z)[ \t]*", re.MULTILINE)
_NOTHING = re.compile(r"(?:[ \t\r]*(?:[#%][^\n]*)?(?:\n|\Z))+?(?=[ \t\r]*[^\s#%]|\Z)")


def is_sigma(data: Iterable[object]) -> bool:
    """Whether a document with these keys is one of Sigma."""
    return not SECTIONS.isdisjoint(data)


class Limits(NamedTuple):
    """What is read at most; more is an error of that file."""

    file_bytes: int = 4 << 20
    files: int = 100_000
    total_bytes: int = 512 << 20
    documents: int = 10_000  # of one file


class Document(NamedTuple):
    """One YAML document: `line` is its first with anything on it, from 1."""

    file: str
    line: int
    text: str


class _File(NamedTuple):
    name: str
    content: bytes | RuleError


def documents(paths: Iterable[str | os.PathLike[str]], limits: Limits = Limits()) -> Iterator[Document | RuleError]:  # noqa: B008  # immutable
    """The documents in order of the paths, and by name within a folder or archive; what cannot be read as errors.

    Raises UnusableError for a path that does not exist.
    """
    total = 0
    for number, file in enumerate(one for path in paths for one in _files(Path(path), limits)):
        if isinstance(file.content, RuleError):
            yield file.content
            continue
        total += len(file.content)
        if number >= limits.files or total > limits.total_bytes:
            yield _error(file.name, "TooMuch", "there are more rule files than are read; later ones are left out")
            return
        yield from documents_of(file.name, file.content, limits)


def documents_of(name: str, content: bytes, limits: Limits) -> Iterator[Document | RuleError]:
    """The documents of one file: what stands between lines that begin with three dashes."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield _error(name, "NotText", f"the file is not UTF-8: byte {error.start} is wrong")
        return
    bounds = [0, *(found.end() for found in _MARK.finditer(text))]
    ends = [*(found.start() for found in _MARK.finditer(text)), len(text)]
    if len(bounds) > limits.documents:
        yield _error(name, "TooMuch", f"the file has more than {limits.documents} documents")
        return
    line, counted = 1, 0
    for start, end in zip(bounds, ends, strict=True):
        nothing = _NOTHING.match(text, start, end)
        begin = nothing.end() if nothing else start
        line += text.count("\n", counted, begin)
        counted = begin
        if begin < end:
            yield Document(name, line, text[begin:end])


def _error(name: str, error_class: str, reason: str) -> RuleError:
    return RuleError(name, 1, "", error_class, reason)


def _files(path: Path, limits: Limits) -> Iterator[_File]:
    if path.is_dir():
        yield from _folder(path, limits)
    elif not path.is_file():
        raise UnusableError(f"there is no rule file, folder or archive {path}: name one that exists")
    elif path.name.lower().endswith(".zip"):
        yield from _zip(path, limits)
    elif path.name.lower().endswith(_TARS):
        yield from _tar(path, limits)
    else:
        yield _read(path, str(path), limits)


def _folder(path: Path, limits: Limits) -> Iterator[_File]:
    found = [
        Path(folder, name)
        for folder, _, names in os.walk(path)  # links to folders are not followed: no rule twice, no end of it
        for name in names
        if name.lower().endswith(SUFFIXES)
    ]
    for file in sorted(found):
        yield _read(file, str(file), limits)


def _read(path: Path, name: str, limits: Limits) -> _File:
    try:
        with path.open("rb") as file:
            return _File(name, _whole(name, file.read(limits.file_bytes + 1), limits))
    except OSError as error:
        return _File(name, _error(name, "Unreadable", f"the file cannot be read: {error.strerror}"))


def _whole(name: str, content: bytes, limits: Limits) -> bytes | RuleError:
    if len(content) > limits.file_bytes:
        return _error(name, "TooMuch", f"the file is larger than {limits.file_bytes} bytes")
    return content


def _zip(path: Path, limits: Limits) -> Iterator[_File]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.lower().endswith(SUFFIXES)]
            for member in sorted(members, key=lambda one: one.filename)[: limits.files + 1]:
                name = f"{path}!{member.filename}"
                with archive.open(member) as file:
                    yield _File(name, _whole(name, file.read(limits.file_bytes + 1), limits))
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        # RuntimeError: encrypted; the others: damaged, or packed in a way that Python does not know
        yield _File(str(path), _error(str(path), "Unreadable", f"the archive cannot be read: {error}"))


def _tar(path: Path, limits: Limits) -> Iterator[_File]:
    """Sorted when all is read: order decides the indices of rules, and a tar may hold its members in any."""
    found: list[_File] = []
    passed = 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                passed += member.size
                if passed > limits.total_bytes or len(found) > limits.files:
                    found.append(_File(str(path), _error(str(path), "TooMuch", "the archive is too large")))
                    break
                if member.isfile() and member.name.lower().endswith(SUFFIXES):
                    name = f"{path}!{member.name}"
                    file = archive.extractfile(member)
                    content = file.read(limits.file_bytes + 1) if file else b""
                    found.append(_File(name, _whole(name, content, limits)))
            else:
                if not _has_end(archive):
                    reason = "the archive is torn: its end is missing, and rules perhaps with it"
                    found.append(_File(str(path), _error(str(path), "Unreadable", reason)))
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        found.append(_File(str(path), _error(str(path), "Unreadable", f"the archive cannot be read: {error}")))
    yield from sorted(found, key=lambda one: one.name)


def _has_end(archive: tarfile.TarFile) -> bool:
    """Python takes a header that is cut off for the end; the real one is a block of zeros."""
    archive.fileobj.seek(archive.offset)
    return archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
