"""One command at a time on a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock file `name` of a folder, which is made; waits for another process that holds it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _wait(descriptor, folder, say)
            if _is(path, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


def _wait(descriptor: int, folder: Path, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"waiting for another command that works on {folder}")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one with that name: who held it before may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
