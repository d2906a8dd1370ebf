"""The local stack: up, down, status, and each part by itself."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from huntbeam.runners.folders import cache_folder, folder_in, state_folder
from huntbeam.runners.stack import processes, state
from huntbeam.runners.stack.java import find_java
from huntbeam.runners.stack.parts import Say, fetch, fetch_search, parts, search_jars
from huntbeam.runners.stack.processes import Running
from huntbeam.runners.stack.services import NAMES, PORT_OF, Layout, Service, address, services
from huntbeam.runners.stack.state import Settings, State
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.locks import locked

PATIENCE = 120.0  # seconds until a part has to answer
OPEN = (
    "the Java services of Beam (job server, expansion service, and the task manager's ports for workers while a job "
    "runs) listen on all interfaces: keep this machine behind a firewall"
)
_ORDER = (
    "jobmanager",
    "taskmanager",
    "expansion",
    "jobserver",
    "workers",
    "kafka",
)  # kafka's folder is formatted first
_LOCK = "stack.lock"
_OURS = {_LOCK, "stack.json", "stack.json.part", "data", "conf", "logs"}
_PLAIN = re.compile(r"[\w./@+~-]+")  # what stands in class paths, properties and Flink's conf file without quotes
_TAIL = 65_536  # bytes of a log that are looked at
_TELLING = re.compile(r"\b(ERROR|FATAL|SEVERE)\b|(Exception|Error)\b")


class Addresses(NamedTuple):
    """Where the parts are reached: HOST:PORT each, Flink's REST and the search servers as URLs."""

    kafka: str
    flink_rest: str
    job_endpoint: str
    expansion: str
    worker_pool: str
    opensearch: str | None = None  # a stack has it when it was asked for it
    elasticsearch: str | None = None


class Part(NamedTuple):
    """A part, the process id when it runs, and its address."""

    name: str
    pid: int | None
    address: str


def default_home() -> Path:
    """HUNTBEAM_STACK_HOME, else huntbeam/stack in the user's folder for state."""
    return folder_in("HUNTBEAM_STACK_HOME") or state_folder() / "huntbeam/stack"


def default_cache() -> Path:
    """HUNTBEAM_CACHE, else huntbeam in the user's folder for caches."""
    return folder_in("HUNTBEAM_CACHE") or cache_folder() / "huntbeam"


def running_addresses(home: Path | None = None) -> Addresses | None:
    """The addresses of the stack at `home`; None when none of its parts runs."""
    stack = Stack(home)
    return stack.addresses() if any(part.pid for part in stack.status()) else None


def lacking(search: Sequence[str] = (), cache: Path | None = None) -> str | None:
    """What this machine lacks to start a stack, with search servers if wanted: one sentence; None: nothing."""
    try:
        find_java()
    except UnusableError as error:
        return str(error)
    cache = cache or default_cache()
    folders = [*parts(cache, None), *(search_jars(cache, name) for name in search)]
    if shutil.which("mvn") is None and not all(folder.exists() for folder in folders):
        return "Maven is missing (Debian: maven), and the cache does not hold the stack's jars yet"
    return None


class Stack:
    """The stack whose files are in `home`. Every method may be called from another process than the one before."""

    def __init__(self, home: Path | None = None, cache: Path | None = None, say: Say = lambda _: None) -> None:
        self.home = (home or default_home()).expanduser().absolute()
        self.cache = (cache or default_cache()).expanduser().absolute()
        self._layout = Layout(self.home)
        self._say = say

    def up(
        self,
        *,
        ports: Mapping[str, int] | None = None,
        task_slots: int | None = None,
        kafka_properties: Mapping[str, str] | None = None,
        job_server_jar: Path | None = None,
        search: Iterable[str] = (),
    ) -> Addresses:
        """Starts what does not run, and returns when everything answers. None of the settings: as it is, else 4 slots.

        `ports` by the names in state.PORTS. `kafka_properties` are lines of server.properties; further `listeners`
        stand beside the plain one. `search` names search servers (state.SEARCH), beside those that it has already.
        """
        java = find_java()
        self._check_folders()
        with locked(self.home, _LOCK, self._say):
            found = state.load(self.home)
            wanted = _wanted(ports, task_slots, kafka_properties, job_server_jar)
            if found is None:
                found = State(self._new_settings(wanted))
            self._compare(found.settings, wanted)
            found = msgspec.structs.replace(found, settings=_with_search(found.settings, search, ports or {}))
            self._start((*_ORDER, *found.settings.search), found, java)
        return _addresses(found.settings)

    def down(self, *, delete: bool = False) -> bool:
        """Stops everything that `up` started; `delete` removes the stack's data, too. False: nothing was there."""
        if not (self.home / _LOCK).exists():
            return False
        with locked(self.home, _LOCK, self._say):
            found = state.load(self.home)
            if found is not None:
                processes.stop(*found.processes.values())
                state.remove(self.home)
            if delete:
                self._delete()
        if delete:
            with suppress(OSError):  # something of the user's is in it
                self.home.rmdir()
        return found is not None

    def status(self) -> list[Part]:
        """Every part of the stack; empty when there is none."""
        found = state.load(self.home)
        if found is None:
            return []
        return [Part(name, _pid(found, name), address(name, found.settings)) for name in _names(found)]

    def addresses(self) -> Addresses:
        """Where the parts are, or will be when they are started again."""
        return _addresses(self._load().settings)

    def start(self, *names: str) -> None:
        """Starts parts that were stopped or died, on their ports; returns when they answer."""
        java = find_java()
        with self._changing(names) as found:
            self._start(names, found, java)

    def stop(self, *names: str) -> None:
        """Stops parts: TERM to the process group, KILL after ten seconds."""
        with self._changing(names) as found:
            processes.stop(*_of(found, names))

    def kill(self, *names: str) -> None:
        """KILL to the whole process group of parts."""
        with self._changing(names) as found:
            processes.kill(*_of(found, names))

    @contextmanager
    def _changing(self, names: Iterable[str]) -> Iterator[State]:
        there = _names(self._load())
        unknown = [name for name in names if name not in there]
        if unknown:
            raise UnusableError(f"the stack has no part {unknown[0]!r}; its parts are {', '.join(there)}")
        with locked(self.home, _LOCK, self._say):
            yield self._load()

    def _load(self) -> State:
        found = state.load(self.home)
        if found is None:
            raise UnusableError(f"there is no stack at {self.home}; start one: huntbeam stack up")
        return found

    def _new_settings(self, wanted: Mapping[str, Any]) -> Settings:
        ports = state.choose_ports(wanted.get("ports", {}))
        return msgspec.convert({"cache": str(self.cache), "task_slots": 4, **wanted, "ports": ports}, Settings)

    def _compare(self, settings: Settings, wanted: Mapping[str, Any]) -> None:
        have = msgspec.to_builtins(settings)
        for name, value in wanted.items():
            if name == "ports":  # those of a search server that is new are no difference
                value = {**have[name], **{part: value[part] for part in value if part not in _absent(settings)}}
            if value != have[name]:
                raise UnusableError(
                    f"the stack at {self.home} was started with other {name.replace('_', ' ')}; stop it first: "
                    "huntbeam stack down"
                )

    def _start(self, names: Iterable[str], found: State, java: str) -> None:
        jar = found.settings.job_server_jar
        cache = Path(found.settings.cache)
        jars = fetch(cache, Path(jar) if jar else None, self._say)
        of_search = {name: fetch_search(cache, name, self._say) for name in found.settings.search}
        self._layout.make()
        every = services(found.settings, self._layout, jars, of_search, java)
        running = {name: run for name, run in found.processes.items() if processes.alive(run)}
        before = found.processes
        started: list[Running] = []
        began = time.monotonic()
        try:
            for name in names:
                if name not in running:
                    running[name] = self._spawn(every[name], found.settings, before.get(name))
                    started.append(running[name])
                    state.save(self.home, State(found.settings, before | running))
            self._await(every, running, began)
        except BaseException:
            processes.stop(*started)
            if not before:
                state.remove(self.home)
            raise

    def _spawn(self, service: Service, settings: Settings, before: Running | None) -> Running:
        if before is not None:
            processes.kill(before)  # what it started and left behind
        for name in PORT_OF[service.name]:
            if state.taken(settings.ports[name]):
                raise UnusableError(
                    f"port {settings.ports[name]} is taken, so {service.name} cannot listen on it; end what listens "
                    f"there, or give another with --{name}_port"
                )
        service.prepare()
        mark = processes.new_mark()
        return processes.spawn(service.command(mark), service.environment, self._log(service.name), mark)

    def _await(self, every: Mapping[str, Service], running: Mapping[str, Running], began: float) -> None:
        """Until each part that runs answers, also those that ran before."""
        waiting = dict(running)
        while waiting:
            for name, run in list(waiting.items()):
                if every[name].answers(run.mark):
                    self._say(f"{name} is up ({time.monotonic() - began:.1f} s)")
                    del waiting[name]
                elif not processes.alive(run):
                    raise UnusableError(f"{name} ended: {last_words(self._log(name))}")
                elif time.monotonic() - began > PATIENCE:
                    raise UnusableError(f"{name} does not answer: {last_words(self._log(name))}")
            time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self._layout.logs / f"{name}.log"

    def _check_folders(self) -> None:
        for option, folder in (("--home", self.home), ("--cache", self.cache)):
            if not _PLAIN.fullmatch(str(folder)):
                raise UnusableError(
                    f"{folder} has a space or another special character, which Java's class paths and Kafka's settings "
                    f"cannot hold; give another folder with {option}"
                )
        if self.home.is_dir() and (names := {path.name for path in self.home.iterdir()}) and _LOCK not in names:
            raise UnusableError(f"{self.home} is not empty and no stack's home; give an empty folder with --home")

    def _delete(self) -> None:
        for name in _OURS - {_LOCK}:
            path = self.home / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self.home / _LOCK).unlink()


def last_words(log: Path) -> str:
    """The last line of a log that tells why, and where the rest is."""
    try:
        text = log.read_bytes()[-_TAIL:].decode(errors="replace")
    except FileNotFoundError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("\t")]
    telling = [line for line in lines if _TELLING.search(line)] or lines or ["it said nothing"]
    return f"{''.join(c if c.isprintable() else ' ' for c in telling[-1][:300])} (its log: {log})"


def _wanted(
    ports: Mapping[str, int] | None,
    task_slots: int | None,
    kafka_properties: Mapping[str, str] | None,
    job_server_jar: Path | None,
) -> dict[str, Any]:
    """What was asked for, by the names in Settings."""
    jar = job_server_jar or folder_in("HUNTBEAM_JOB_SERVER_JAR")
    asked = {
        "ports": dict(ports) if ports else None,
        "task_slots": task_slots,
        "kafka_properties": dict(kafka_properties) if kafka_properties is not None else None,
        "job_server_jar": str(jar.expanduser().absolute()) if jar else None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _addresses(settings: Settings) -> Addresses:
    return Addresses(
        kafka=address("kafka", settings),
        flink_rest=f"http://{address('jobmanager', settings)}",
        job_endpoint=address("jobserver", settings),
        expansion=address("expansion", settings),
        worker_pool=address("workers", settings),
        **{name: f"http://{address(name, settings)}" for name in settings.search},
    )


def _names(found: State) -> tuple[str, ...]:
    return (*NAMES, *found.settings.search)


def _absent(settings: Settings) -> list[str]:
    """The search servers that a stack has not."""
    return [name for name in state.SEARCH if name not in settings.search]


def _with_search(settings: Settings, search: Iterable[str], ports: Mapping[str, int]) -> Settings:
    """The settings with further search servers, each at a port that it keeps."""
    absent = _absent(settings)
    new = [name for name in absent if name in search]
    for name in absent:
        if name in ports and name not in new:
            raise UnusableError(f"--{name}_port is the port of a server that was not asked for; add --with {name}")
    if not new:
        return settings
    chosen = state.choose_ports({name: port for name, port in ports.items() if name in new}, new)
    found = {name: chosen[name] for name in new}
    return msgspec.structs.replace(settings, search=(*settings.search, *new), ports=settings.ports | found)


def _pid(found: State, name: str) -> int | None:
    running = found.processes.get(name)
    return running.pid if running is not None and processes.alive(running) else None


def _of(found: State, names: Iterable[str]) -> list[Running]:
    return [found.processes[name] for name in names if name in found.processes]
