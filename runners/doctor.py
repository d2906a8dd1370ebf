"""What a stream needs, looked at: `huntbeam doctor` says all of it, `huntbeam stream` stops at the first that fails."""

from __future__ import annotations

import platform
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from huntbeam.runners.flink_addresses import FLINK_REST, SERVICES, address
from huntbeam.runners.flink_rest import FlinkRest, FlinkUnusable
from huntbeam.runners.kafka.arrivals import Times, topic_times
from huntbeam.runners.kafka.clients import check_broker
from huntbeam.runners.stack.java import find_java
from huntbeam.runners.stack.parts import parts
from huntbeam.runners.stack.stack import Stack
from huntbeam.runners.stack.versions import JAVA
from huntbeam.schemas.errors import UnusableError

PACKAGES = ("huntbeam", "apache-beam", "confluent-kafka")
_CONNECT = 5.0  # seconds until a port has answered


class Level(StrEnum):
    """How a check came out: `warn` is for what works, but not as well or not everywhere."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One check: what was looked at and what was found; of one that failed also the remedy."""

    level: Level
    name: str
    said: str
    topic: str = ""  # that it is about


def passed(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, when none of them failed. Raises UnusableError with the sentence of the first that did."""
    found = []
    for finding in findings:
        if finding.level is Level.FAIL:
            raise UnusableError(finding.said)
        found.append(finding)
    return found


def versions() -> Finding:
    """The packages of this process. Those of the workers cannot be seen from here."""
    found, missing = [f"Python {platform.python_version()}"], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        return Finding(Level.FAIL, "versions", f"{', '.join(missing)} is not installed: install huntbeam anew with pip")
    return Finding(Level.OK, "versions", ", ".join(found))


def local_tools() -> Iterator[Finding]:
    """What only the local stack needs: Java, and Maven until its jars are fetched."""
    try:
        yield Finding(Level.OK, "java", f"{find_java()} ({JAVA} or newer; for the local stack)")
    except UnusableError as error:
        yield Finding(Level.WARN, "java", f"{error}; a stack elsewhere does without")
    maven = shutil.which("mvn")
    fetched = all(part.exists() for part in parts(Stack().cache, None))
    if maven or fetched:
        yield Finding(Level.OK, "maven", maven or "not needed: the local stack's jars are fetched")
    else:
        yield Finding(
            Level.WARN,
            "maven",
            "mvn is missing: `huntbeam stack up` fetches its jars with it the first time; install it (Debian: maven)",
        )


def local_stack() -> Finding:
    """Whether all parts of the local stack answer; a cluster elsewhere does without it."""
    stack = Stack()
    found = stack.status()
    if not found:
        return Finding(Level.OK, "stack", f"none at {stack.home}; `huntbeam stack up` starts one")
    silent = [part.name for part in found if not (part.pid and answers(part.address))]
    if silent:
        return Finding(
            Level.WARN,
            "stack",
            f"{', '.join(silent)} of the stack at {stack.home} does not answer: `huntbeam stack up`",
        )
    return Finding(Level.OK, "stack", f"all {len(found)} parts at {stack.home} answer")


def kafka_findings(
    config: Callable[[], Mapping[str, Any]], topics: Sequence[str], latest: Sequence[str] = ()
) -> Iterator[Finding]:
    """The broker, and when it answers the topics that are to be read, those of `latest` from their ends on.

    `config` may raise UnusableError.
    """
    try:
        known = config()
        there = check_broker(known)
        yield Finding(
            Level.OK,
            "broker",
            f"{_many(len(there.brokers), 'broker')} at {known['bootstrap.servers']}, "
            f"{_many(len(there.topics), 'topic')}",
        )
    except UnusableError as error:
        yield Finding(Level.FAIL, "broker", str(error))
        return
    try:
        for topic, times in topic_times(known, topics, latest).items():
            yield topic_finding(topic, times)
    except UnusableError as error:
        yield Finding(Level.FAIL, "topic", str(error))


def topic_finding(topic: str, times: Times | None) -> Finding:
    """Whether a topic can be read, and by which clock its records wait."""
    missing = f"there is no topic {topic}: check its name, or make it with `huntbeam topics create {topic}`"
    produced = (
        f"{topic} has no append times (message.timestamp.type is not LogAppendTime), so waits count from the time of "
        f"reading; `huntbeam topics create {topic} --alter` mends it for what comes after"
    )
    mixed = (
        f"the oldest records of {topic} were written before it took append times, so waits count from the time of "
        "reading; once they are gone, or with --offset latest, append times are used"
    )
    level, said = {
        None: (Level.FAIL, missing),
        Times.APPENDED: (Level.OK, f"{topic} has append times (LogAppendTime)"),
        Times.PRODUCED: (Level.WARN, produced),
        Times.MIXED: (Level.WARN, mixed),
    }[times]
    return Finding(level, "topic", said, topic)


def by_read_time(findings: Iterable[Finding]) -> list[str]:
    """The topics whose records have no append times, or not all of them."""
    return [finding.topic for finding in findings if finding.topic and finding.level is Level.WARN]


def flink_findings(given: object, parallelism: int) -> Iterator[Finding]:
    """Flink and Beam's services: a job would hang, not fail, without one of them. `given` holds their options."""
    yield _tried("flink", partial(_cluster, getattr(given, FLINK_REST), parallelism))
    for name in SERVICES:
        yield _tried(name, partial(_service, name, getattr(given, name)))


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(Level.OK, name, look())
    except UnusableError as error:
        return Finding(Level.FAIL, name, str(error))


def _cluster(option: str | None, parallelism: int) -> str:
    url = address(FLINK_REST, option)
    rest = FlinkRest(url)
    slots, free = rest.slots()
    if free < parallelism:
        raise FlinkUnusable(
            f"Flink at {url} has {free} free task slots of {slots}, a job with --parallelism {parallelism} needs "
            f"{parallelism}: end a job, add a task manager, or ask for less"
        )
    return f"Flink {rest.version()} at {url}, {free} of {_many(slots, 'task slot')} free"


def _service(name: str, option: str | None) -> str:
    at = address(name, option)
    if not answers(at):
        raise FlinkUnusable(f"nothing answers at {at} (--{name}): check the address, or run `huntbeam stack up` again")
    return f"{at} answers"


def answers(at: str) -> bool:
    """Whether HOST:PORT takes a connection."""
    host, _, port = at.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _CONNECT):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
