"""Checkpoints that Flink left behind: what a job is resumed from that Flink itself has forgotten."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from huntbeam.runners.flink_rest import FlinkUnusable

_JOB = re.compile(r"[0-9a-f]{32}")
_CHECKPOINT = re.compile(r"chk-(\d+)")
_SHOWN = 3  # jobs in a message


class Retained(NamedTuple):
    """The last complete checkpoint of a job, and when it was completed (s since 1970)."""

    jid: str
    folder: Path
    completed: float

    def time(self) -> str:
        """When it was completed, UTC."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.completed))


def last_checkpoint(folder: str, named: str) -> Retained:
    """The last checkpoint of the job whose id is, or begins as, `named`. `folder` is state.checkpoints.dir.

    Raises FlinkUnusable when there is none, or several jobs begin so.
    """
    local = local_folder(folder)
    every = retained(local)
    found = [one for one in every if named and one.jid.startswith(named)]
    if len(found) == 1:
        return found[0]
    what = f"several jobs with checkpoints in {local} have" if found else f"no job with a checkpoint in {local} has"
    raise FlinkUnusable(f"{what} an id that begins with {named}: {_hint(found or every)}")


def retained(folder: Path) -> list[Retained]:
    """The last complete checkpoint of each job in a folder of checkpoints, the latest first."""
    if not folder.is_dir():
        raise FlinkUnusable(
            f"there is no folder {folder}: give the one of Flink's state.checkpoints.dir (--checkpoints)"
        )
    found = [one for job in folder.iterdir() if _JOB.fullmatch(job.name) for one in _last(job)]
    return sorted(found, key=lambda one: -one.completed)


def local_folder(place: str) -> Path:
    """A path, or a file: URI as Flink's settings have it, as a path. Raises FlinkUnusable for other file systems.

    >>> local_folder("file:///srv/flink%20state/checkpoints").as_posix()
    '/srv/flink state/checkpoints'
    """
    parts = urlsplit(place)
    if not parts.scheme:
        return Path(place).absolute()
    if parts.scheme != "file":
        raise FlinkUnusable(
            f"the checkpoints at {place} cannot be looked into from here: give --savepoint the newest chk-N with a "
            "_metadata in the job's folder there"
        )
    return Path(unquote(parts.path))


def _last(job: Path) -> Iterator[Retained]:
    """Flink writes _metadata last and renames it into place: a checkpoint that has it is whole."""
    numbers = {path: _CHECKPOINT.fullmatch(path.parent.name) for path in job.glob("chk-*/_metadata")}
    whole = {path: int(number[1]) for path, number in numbers.items() if number}
    if whole:
        last = max(whole, key=whole.__getitem__)
        yield Retained(job.name, last.parent, last.stat().st_mtime)


def _hint(jobs: Sequence[Retained]) -> str:
    if not jobs:
        return "check its id, or give another folder with --checkpoints"
    shown = ", ".join(f"{one.jid} ({one.time()})" for one in jobs[:_SHOWN])
    return f"name one by its id; the latest checkpoints are of {shown}"
