"""What a stack remembers between commands: `stack.json` in its home, and the ports."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from huntbeam.runners.stack.processes import Running
from huntbeam.schemas.errors import UnusableError

HOST = "127.0.0.1"
PORTS = (
    "kafka",
    "kafka_controller",
    "flink",
    "flink_rpc",
    "taskmanager",
    "job",
    "artifact",
    "expansion",
    "workers",
)
SEARCH = ("opensearch", "elasticsearch")  # parts that a stack has only when it was asked for them
_SEARCH_FREE = range(9_201, 9_300)  # what starts these servers takes no higher port
_FREE = range(20_000, 32_000)  # below the ports that Linux gives to outgoing connections, so that none is taken later
_NAME = "stack.json"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `up` was asked for; kept until `down`, so that a part starts again as it was."""

    cache: str
    ports: dict[str, int]
    task_slots: int
    kafka_properties: dict[str, str] = {}
    job_server_jar: str | None = None
    search: tuple[str, ...] = ()  # names in SEARCH


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings and the processes that were started, by part."""

    settings: Settings
    processes: dict[str, Running] = {}


def load(home: Path) -> State | None:
    """The state of the stack at `home`; None when there is none."""
    path = home / _NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.DecodeError as error:
        raise UnusableError(
            f"{path} is not the state of a stack of this version ({error}); stop its processes and remove it"
        ) from None


def save(home: Path, state: State) -> None:
    """Writes the state aside and renames it. Only its owner may read it: a listener's properties may hold passwords."""
    aside = home / f"{_NAME}.part"
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - Path.open sets no mode
        file.write(msgspec.json.format(msgspec.json.encode(state)))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(home / _NAME)


def remove(home: Path) -> None:
    """Forgets the stack."""
    (home / _NAME).unlink(missing_ok=True)


def choose_ports(given: Mapping[str, int], search: Iterable[str] = ()) -> dict[str, int]:
    """A port for each name in PORTS and in `search`: the given one, else a free one."""
    high = [name for name in SEARCH if given.get(name, 0) >= _SEARCH_FREE.stop]
    if high:
        raise UnusableError(
            f"--{high[0]}_port {given[high[0]]}: this server takes ports below {_SEARCH_FREE.stop} only"
        )
    twice = [port for port in given.values() if list(given.values()).count(port) > 1]
    if twice:
        raise UnusableError(f"port {twice[0]} is given to two services; give each its own")
    free = iter(_free(len(PORTS), set(given.values())))
    ports = {name: given.get(name) or next(free) for name in PORTS}
    low = iter(_free(len(SEARCH), set(given.values()), _SEARCH_FREE))
    return ports | {name: given.get(name) or next(low) for name in search}


def taken(port: int) -> bool:
    """Whether someone listens on the port, on loopback or on all interfaces."""
    with socket.socket() as probe:
        return not _binds(probe, port)


def answers(port: int) -> bool:
    """Whether a connection to the port on loopback is accepted."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _free(count: int, but: Iterable[int], among: range = _FREE) -> list[int]:
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(among, len(among)):  # two stacks that start at once shall not try the same ones
            probe = held.enter_context(socket.socket())
            if port not in but and _binds(probe, port):
                found.append(port)
            if len(found) == count:
                return found
    raise UnusableError(f"there are no {count} free ports from {among.start} to {among.stop - 1}; give ports")


def _binds(probe: socket.socket, port: int) -> bool:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that lingers is no listener
    try:
        probe.bind(("", port))
    except OSError:
        return False
    return True
