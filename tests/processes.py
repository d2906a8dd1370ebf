"""The processes of this machine that are alive, by /proc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells living processes by /proc")


class Living(NamedTuple):
    """A process, with the one that started it and its session."""

    pid: int
    parent: int
    session: int


def living() -> Iterator[Living]:
    """All but those that have ended and wait for somebody to ask how."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            yield Living(int(stat.parent.name), int(parent), int(session))
