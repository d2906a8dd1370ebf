"""The files of the input: which ones the given paths, folders and patterns name, here or in the cloud."""

from __future__ import annotations

import glob
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from huntbeam.transforms import evtx
from huntbeam.transforms.formats import EVTX, InputError, is_evtx

STDIN = "-"  # the path that stands for standard input
_PIECE = 8 << 20  # bytes of a file that are held while it is copied


class FileInfo(msgspec.Struct, frozen=True):
    """A file of the input."""

    path: str
    size: int
    updated: float = 0.0  # seconds since 1970; of files in a bucket


def is_remote(path: str) -> bool:
    """Whether a path names something in a bucket."""
    return "://" in path


def absolute(path: str) -> str:
    """A path for another process: local ones from the root."""
    return path if is_remote(path) else str(Path(path).absolute())


def expand(patterns: Sequence[str]) -> list[FileInfo]:
    """The files that paths, folders and globs name, sorted, each once. Hidden names in folders are left out."""
    found: dict[str, FileInfo] = {}
    for pattern in patterns:
        if pattern == STDIN:
            standard_input()
            found[STDIN] = FileInfo(STDIN, 0)
            continue
        files = remote_files(pattern) if is_remote(pattern) else _local_files(pattern)
        if not files:
            raise InputError(f"{pattern} matches no file: check the path, and quote the pattern from the shell")
        for file in files:
            found.setdefault(file.path if is_remote(file.path) else os.path.abspath(file.path), file)  # noqa: PTH100
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
            if is_evtx(file.read(len(EVTX))) and evtx.missing():
                raise InputError(f"{path} is {evtx.REMEDY}")
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


def remote_files(pattern: str) -> list[FileInfo]:
    """The files in a bucket that a path, folder or glob names. Raises InputError where they cannot be listed."""
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
            raise InputError(f"{pattern} cannot be listed ({_cause(error)}): check its name and access") from error
        found = [
            FileInfo(m.path, m.size_in_bytes, m.last_updated_in_seconds or 0.0)
            for m in matched
            if not m.path.endswith("/") and _shown(m.path, one)
        ]
        if found:
            return found
    return []


def _cause(error: Exception) -> str:
    """What the storage said; Beam wraps it when it lists."""
    details: dict[str, Exception] = getattr(error, "exception_details", None) or {}
    return type(next(iter(details.values()), error)).__name__


def open_file(path: str, at: int = 0) -> Any:
    """The file's bytes as they are, unbuffered, from `at` on. What cannot be opened raises OSError."""
    try:
        file = _open(path)
        if at:
            file.seek(at)
    except (OSError, InputError):
        raise
    except Exception as error:  # each storage library has errors of its own
        raise OSError(0, type(error).__name__) from error
    return file


def content(path: str, most: int) -> bytes:
    """A file's bytes: as much as `most`, and one byte more of what is larger. Raises OSError, InputError."""
    return b"".join(_pieces(path, most))


@contextmanager
def local_copy(path: str, most: int) -> Iterator[str]:
    """A private temporary file with what a file in a bucket holds, as content() takes it; gone after the block.

    What the block opened or mapped stays readable. Raises OSError, InputError.
    """
    with tempfile.NamedTemporaryFile(prefix="huntbeam-") as copy:
        for piece in _pieces(path, most):
            copy.write(piece)
        copy.flush()
        yield copy.name


def _pieces(path: str, most: int) -> Iterator[bytes]:
    left = most + 1
    with open_file(path) as file:
        while left and (piece := _read(file, min(left, _PIECE))):
            left -= len(piece)
            yield piece


def _read(file: Any, size: int) -> bytes:
    try:
        piece: bytes = file.read(size)
    except OSError:
        raise
    except Exception as error:  # as in open_file(): a bucket may refuse at the first byte
        raise OSError(0, type(error).__name__) from error
    return piece


def _open(path: str) -> Any:
    if not is_remote(path):
        return Path(path).open("rb", buffering=0)
    systems, as_is = _filesystems(path)
    return systems.open(path, compression_type=as_is)


def standard_input() -> Any:
    """The bytes of standard input. Closed, or a terminal where nobody waits to type events, it is refused."""
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("- is standard input, which is closed: pipe the events into it")
    if sys.stdin.isatty():
        raise InputError("- is standard input, here the keyboard: pipe the events into it, or name a file")
    return sys.stdin.buffer
