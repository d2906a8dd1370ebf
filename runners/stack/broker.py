"""The Kafka broker: one KRaft node that is its own controller. Topics are made by those who use them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from huntbeam.runners.stack.state import HOST
from huntbeam.schemas.errors import UnusableError

_LISTS = ("listeners", "advertised.listeners")  # further ones stand beside ours


def properties(port: int, controller: int, data: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The broker's settings. Those in `more` win, but `listeners` and `advertised.listeners` are added to ours."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
        "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "log.dirs": str(data),
        "num.partitions": "2",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
    }
    further = more.get("listeners")
    listeners = [f"PLAINTEXT://{HOST}:{port}", further]
    advertised = [f"PLAINTEXT://{HOST}:{port}", more.get("advertised.listeners", further)]
    return settings | {
        **{name: value for name, value in more.items() if name not in _LISTS},
        "listeners": ",".join(filter(None, [*listeners, f"CONTROLLER://{HOST}:{controller}"])),
        "advertised.listeners": ",".join(filter(None, advertised)),
    }


def text(settings: Mapping[str, str]) -> str:
    r"""The settings as a file of Java properties.

    >>> text({"a": "1", "b": "c\\d"})
    'a=1\nb=c\\\\d\n'
    """
    return "".join(f"{name}={_escaped(value)}\n" for name, value in settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def format_storage(java: str, class_path: str, settings: Path, data: Path, log: Path) -> None:
    """Gives the broker's folder its identity, once."""
    if (data / "meta.properties").exists():
        return
    tool = [
        java,
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Xmx256m",
        "-cp",
        class_path,
        "kafka.tools.StorageTool",
    ]
    with log.open("wb") as output:
        done = subprocess.run([*tool, "format", "-t", _cluster_id(), "-c", str(settings)], stdout=output, stderr=output)  # noqa: S603 - our own command
    if done.returncode:
        raise UnusableError(f"kafka could not format its folder {data}; see {log}")


def _cluster_id() -> str:
    """A random UUID as Kafka writes it: 16 bytes in URL-safe base64; one that begins with a dash reads as an option."""
    import base64
    import uuid

    while True:
        found = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not found.startswith("-"):
            return found
