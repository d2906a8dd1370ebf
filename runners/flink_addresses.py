"""Where Flink and Beam's services are: an option's, else the environment's, else the running local stack's address."""

from __future__ import annotations

import os
from dataclasses import dataclass

from huntbeam.runners.flink_rest import FlinkUnusable
from huntbeam.runners.stack.stack import running_addresses

FLINK_REST = "flink_rest"
SERVICES = ("job_endpoint", "expansion_service", "worker_pool")
_OF_STACK = {"expansion_service": "expansion"}  # the others have the same name there


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a cluster are, HOST:PORT; `flink_rest` is a URL."""

    job_endpoint: str
    expansion_service: str
    worker_pool: str
    flink_rest: str


def address(name: str, option: str | None) -> str:
    """One of the addresses, by the name of its option. Raises FlinkUnusable when nothing tells it."""
    found = option or os.environ.get(name.upper()) or _of_stack(name)
    if not found:
        raise FlinkUnusable(f"--{name} is not known: give it, set {name.upper()}, or start `huntbeam stack up`")
    return found


def addresses(given: object) -> Addresses:
    """All of them, from what holds the options under their names. Raises FlinkUnusable."""
    return Addresses(**{name: address(name, getattr(given, name)) for name in (*SERVICES, FLINK_REST)})


def _of_stack(name: str) -> str | None:
    local = running_addresses()
    return None if local is None else getattr(local, _OF_STACK.get(name, name))
