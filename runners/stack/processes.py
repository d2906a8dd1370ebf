"""Processes that outlive the command that starts them: known by pid and start time, so that a pid used again is safe.

Each part leads a session of its own, and with it a process group; its children carry its mark in their environment.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

MARK = "HUNTBEAM_STACK_MARK"
PATIENCE = 10.0  # seconds from TERM to KILL
_PROC = Path("/proc")
_children: dict[int, subprocess.Popen[bytes]] = {}  # what this very process started, and has to wait for


class Running(msgspec.Struct, frozen=True):
    """A started process: its id, its start in clock ticks since boot, and the mark of all it starts."""

    pid: int
    started: int
    mark: str


class _Stat(NamedTuple):
    state: str
    group: int
    threads: int
    started: int

    def ended(self) -> bool:
        """A first thread that is gone while others still end keeps ports and files open: not ended yet."""
        return self.state in "ZX" and self.threads <= 1


def new_mark() -> str:
    """Tells one start of a part from every other."""
    return secrets.token_hex(8)


def spawn(command: Sequence[str], environment: Mapping[str, str], log: Path, mark: str) -> Running:
    """Starts a command in a session of its own. The log of the run before is kept as `<log>.1`."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | environment | {MARK: mark},
            start_new_session=True,
        )
    _children[child.pid] = child
    stat = _stat(child.pid)
    return Running(child.pid, stat.started if stat else 0, mark)


def alive(running: Running) -> bool:
    """Whether that very process still runs; one that ended and another with its pid do not count."""
    _reap(running.pid)
    stat = _stat(running.pid)
    return stat is not None and stat.started == running.started and not stat.ended()


def members(*everything: Running) -> list[int]:
    """The living processes of their groups: they and what they started, also after their own end."""
    for running in everything:
        _reap(running.pid)
    by_group = {running.pid: running for running in everything}
    return [pid for pid, stat in _all() if stat.group in by_group and _belongs(pid, stat, by_group[stat.group])]


def stop(*everything: Running, patience: float = PATIENCE) -> None:
    """TERM to all, KILL to what is left after the patience; returns when they are gone."""
    _signal(everything, signal.SIGTERM)
    _wait(everything, patience)
    kill(*everything)


def kill(*everything: Running) -> None:
    """KILL to all of each group; returns when they are gone."""
    _signal(everything, signal.SIGKILL)
    _wait(everything, PATIENCE)


def _signal(everything: Sequence[Running], number: signal.Signals) -> None:
    for pid in members(*everything):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait(everything: Sequence[Running], patience: float) -> None:
    end = time.monotonic() + patience
    while members(*everything) and time.monotonic() < end:
        time.sleep(0.05)


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]


def _all() -> list[tuple[int, _Stat]]:
    pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [(pid, stat) for pid in pids if (stat := _stat(pid)) is not None and not stat.ended()]


def _belongs(pid: int, stat: _Stat, running: Running) -> bool:
    return (pid == running.pid and stat.started == running.started) or _marked(pid, running.mark)


def _marked(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or it is another user's
        return False


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return _Stat(state=fields[0], group=int(fields[2]), threads=int(fields[17]), started=int(fields[19]))
