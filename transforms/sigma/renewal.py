"""Rules compiled aside: by a process of its own and of low priority, so that the one that matches events goes on.

One process of a machine compiles; those that wait for it find what it kept. A child is this module run by the same
interpreter: a Watch comes in on its standard input, a Renewed goes out on its standard output.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.locks import locked
from huntbeam.transforms.sigma.cache import compiled
from huntbeam.transforms.sigma.plan import RuleSet
from huntbeam.transforms.sigma.watch import Watch

PATIENCE = 600.0  # seconds; what takes longer is given up
_LOWER = 10  # priority below that of the process that asks


class Renewed(msgspec.Struct, frozen=True):
    """The packed rules, or why there are none."""

    packed: bytes = b""
    reason: str = ""


def renewed(watch: Watch) -> RuleSet:
    """The rules as they stand in the files now. Raises UnusableError with the reason why there are none."""
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, input=msgspec.json.encode(watch), capture_output=True, timeout=PATIENCE, check=False
        )
        answer = msgspec.msgpack.decode(done.stdout, type=Renewed)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnusableError(f"the rules could not be compiled: {error}") from error
    except msgspec.MsgspecError as error:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason is known"])[-1]
        raise UnusableError(f"compiling the rules ended with exit code {done.returncode}: {last}") from error
    if answer.reason:
        raise UnusableError(answer.reason)
    return RuleSet.unpack(answer.packed)


def _answer(watch: Watch) -> Renewed:
    folder = _shared_folder(watch.cache)
    try:
        if folder is None:
            return Renewed(compiled(watch.paths, watch.pipelines, None, watch.records).pack())
        with locked(folder, ".lock", lambda _: None):
            return Renewed(compiled(watch.paths, watch.pipelines, folder, watch.records).pack())
    except UnusableError as error:
        return Renewed(reason=str(error))


def _shared_folder(cache: str | None) -> Path | None:
    """Where processes of this machine find what one of them compiled; without a cache a folder of this user alone."""
    folder = Path(cache) if cache else Path(tempfile.gettempdir(), f"huntbeam-rules-{os.getuid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    if not cache and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022):
        return None  # somebody else's: what stands there would be taken for our rules
    return folder if os.access(folder, os.W_OK) else None


if __name__ == "__main__":
    os.nice(_LOWER)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Watch)
    sys.stdout.buffer.write(msgspec.msgpack.encode(_answer(asked)))
