"""The parts: each one's command, its settings on disk, its address, and how to know that it answers."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from huntbeam.runners.stack import broker, flink, search
from huntbeam.runners.stack.parts import Parts, class_path
from huntbeam.runners.stack.state import HOST, Settings, answers

NAMES = ("kafka", "jobmanager", "taskmanager", "jobserver", "expansion", "workers")
PORT_OF = {
    "kafka": ("kafka", "kafka_controller"),
    "jobmanager": ("flink", "flink_rpc"),
    "taskmanager": ("taskmanager",),
    "jobserver": ("job", "artifact"),
    "expansion": ("expansion",),
    "workers": ("workers",),
    "opensearch": ("opensearch",),
    "elasticsearch": ("elasticsearch",),
}
_SHORT = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # up sooner, with less; these never see an event


class Service(NamedTuple):
    """A part as it is started. `command` and `answers` take the mark of the start that is meant."""

    name: str
    command: Callable[[str], list[str]]
    answers: Callable[[str], bool]
    prepare: Callable[[], None]
    environment: Mapping[str, str] = MappingProxyType({})


class Layout(NamedTuple):
    """The folders in a stack's home."""

    home: Path

    @property
    def data(self) -> Path:
        """Topics, checkpoints, savepoints."""
        return self.home / "data"

    @property
    def conf(self) -> Path:
        """Written anew at every start."""
        return self.home / "conf"

    @property
    def logs(self) -> Path:
        """One log a part."""
        return self.home / "logs"

    def make(self) -> None:
        """Makes the folders, for their owner only."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.conf, self.logs, *(self.data / name for name in ("checkpoints", "savepoints", "tmp"))):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def address(name: str, settings: Settings) -> str:
    """Where a part is reached, as HOST:PORT."""
    return f"{HOST}:{settings.ports[PORT_OF[name][0]]}"


def services(
    settings: Settings, layout: Layout, parts: Parts, search_jars: Mapping[str, Path], java: str
) -> dict[str, Service]:
    """All parts, in the order of NAMES, and the search servers whose jars are given."""
    every = (
        _kafka(settings, layout, parts, java),
        _job_manager(settings, layout, parts, java),
        _task_manager(settings, layout, parts, java),
        _job_server(settings, layout, parts, java),
        _expansion(settings, parts, java),
        _workers(settings),
        *(search_service(name, jars, settings, layout, java) for name, jars in search_jars.items()),
    )
    return {service.name: service for service in every}


def _kafka(settings: Settings, layout: Layout, parts: Parts, java: str) -> Service:
    conf, data = layout.conf / "server.properties", layout.data / "kafka"
    ports, class_path = settings.ports, parts.kafka_class_path()

    def prepare() -> None:
        values = broker.properties(ports["kafka"], ports["kafka_controller"], data, settings.kafka_properties)
        _write(conf, broker.text(values))
        broker.format_storage(java, class_path, conf, data, layout.logs / "kafka-format.log")

    command = [java, "-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    command += ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", class_path, "kafka.Kafka", str(conf)]
    return Service("kafka", _always(command), lambda _: kafka_answers(ports["kafka"]), prepare)


def _job_manager(settings: Settings, layout: Layout, parts: Parts, java: str) -> Service:
    command = [*_flink_java(layout, java, "jobmanager"), flink.JOB_MANAGER, *_flink_arguments(layout, "jobmanager")]

    def prepare() -> None:
        _prepare_flink(settings, layout, parts, "jobmanager", ["-Xmx512m", *_SHORT])

    return Service(
        "jobmanager", _always(command), lambda _: _rest(settings, "overview") is not None, prepare, _plugins(parts)
    )


def _task_manager(settings: Settings, layout: Layout, parts: Parts, java: str) -> Service:
    def command(mark: str) -> list[str]:
        start = [*_flink_java(layout, java, "taskmanager"), flink.TASK_MANAGER]
        start += _flink_arguments(layout, "taskmanager")
        return [*start, *flink.task_manager_arguments(_resource_id(mark))]

    def prepare() -> None:
        _prepare_flink(settings, layout, parts, "taskmanager", flink.task_manager_options(os.cpu_count() or 1))

    environment = _plugins(parts) | {"MALLOC_ARENA_MAX": "2"}  # else RocksDB's writes leave holes in 64 MB a thread
    return Service("taskmanager", command, partial(_has_task_manager, settings), prepare, environment)


def _job_server(settings: Settings, layout: Layout, parts: Parts, java: str) -> Service:
    job, artifact = settings.ports["job"], settings.ports["artifact"]
    command = [
        java,
        "-Xmx512m",
        *_SHORT,
        "-cp",
        parts.beam_class_path(),
        "org.apache.beam.runners.flink.FlinkJobServerDriver",
    ]
    command += [f"--flink-master={address('jobmanager', settings)}", f"--flink-conf-dir={layout.conf}"]
    command += [f"--job-host={HOST}", f"--job-port={job}", f"--artifact-port={artifact}", "--expansion-port=-1"]
    command += [f"--artifacts-dir={layout.data / 'artifacts'}"]
    return Service(
        "jobserver",
        _always(command),
        lambda _: answers(job) and answers(artifact),
        partial(_write_flink, settings, layout),
    )


def _expansion(settings: Settings, parts: Parts, java: str) -> Service:
    port = settings.ports["expansion"]
    command = [java, "-Xmx512m", *_SHORT, "-cp", parts.beam_class_path()]
    command += ["org.apache.beam.sdk.expansion.service.ExpansionService", str(port)]
    command += ["--defaultEnvironmentType=EMBEDDED"]  # Flink's own process runs KafkaIO
    command += ["--experiments=use_deprecated_read"]  # as a splittable DoFn KafkaIO puts out nothing on portable Flink
    command += [f"--filesToStage={parts.small_jar()}"]  # else every jar goes to the submitter and back with every job
    return Service("expansion", _always(command), lambda _: answers(port), _nothing)


def _workers(settings: Settings) -> Service:
    port = settings.ports["workers"]
    command = [sys.executable, "-m", "huntbeam.runners.cli", "workers", "--port", str(port)]
    return Service("workers", _always(command), lambda _: answers(port), _nothing)


def search_service(name: str, jars: Path, settings: Settings, layout: Layout, java: str) -> Service:
    """OpenSearch or Elasticsearch, which need none of the other parts."""
    home, port = layout.data / name, settings.ports[name]

    def prepare() -> None:
        (home / "tmp").mkdir(parents=True, exist_ok=True, mode=0o700)
        (layout.conf / name).mkdir(exist_ok=True, mode=0o700)
        _write(layout.conf / name / f"{name}.yml", search.SETTINGS)

    command = [java, "-Xms256m", "-Xmx512m", *_SHORT, "-cp", class_path(jars)]
    command += search.arguments(name, port, home, layout.conf / name, layout.logs)
    return Service(name, _always(command), lambda _: _json(f"http://{HOST}:{port}/") is not None, prepare)


def kafka_answers(port: int) -> bool:
    """Whether the broker gives its metadata."""
    if not answers(port):  # the client would complain on standard error
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0}).list_topics(timeout=2)
    except KafkaException:
        return False
    return True


def _has_task_manager(settings: Settings, mark: str) -> bool:
    """Whether the job manager knows that very start, and not one that it has not yet given up."""
    known = _rest(settings, "taskmanagers") or {}
    ours = [t for t in known.get("taskmanagers", []) if t["id"] == _resource_id(mark)]
    return any(t["slotsNumber"] >= settings.task_slots for t in ours)


def _rest(settings: Settings, what: str) -> dict[str, Any] | None:
    return _json(f"http://{address('jobmanager', settings)}/{what}")


def _json(url: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own server on loopback
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        return None
    return found


def _plugins(parts: Parts) -> dict[str, str]:
    return {"FLINK_PLUGINS_DIR": f"{parts.flink}/plugins"}


def _resource_id(mark: str) -> str:
    return f"taskmanager-{mark}"


def _flink_java(layout: Layout, java: str, name: str) -> list[str]:
    return [java, f"@{layout.conf / name}.args"]


def _flink_arguments(layout: Layout, name: str) -> list[str]:
    return flink.arguments(layout.conf, layout.data / "tmp" / name)


def _prepare_flink(settings: Settings, layout: Layout, parts: Parts, name: str, memory: Sequence[str]) -> None:
    """Its files, and an empty folder for what the one before may have left when it was killed."""
    scratch, log = layout.data / "tmp" / name, layout.logs / f"{name}.log"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, mode=0o700)
    _write_flink(settings, layout)
    options = [*memory, *flink.java_options(parts.flink_class_path(), layout.conf / "log4j.properties", log, scratch)]
    _write(layout.conf / f"{name}.args", flink.argument_file(options))


def _write_flink(settings: Settings, layout: Layout) -> None:
    values = flink.settings(settings.ports, settings.task_slots, layout.data)
    _write(layout.conf / "flink-conf.yaml", flink.text(values))
    _write(layout.conf / "log4j.properties", flink.LOG4J)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)  # a listener's properties may hold passwords
    path.write_text(text, encoding="utf-8")


def _always(command: Sequence[str]) -> Callable[[str], list[str]]:
    return lambda _: list(command)


def _nothing() -> None:
    return None
