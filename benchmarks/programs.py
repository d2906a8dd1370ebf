"""The two programs that the benchmarks of the stream run: `huntbeam stream` on a stack of its own, and Kafka Streams.

The rival is no part of the project: its source and its pom lie beside the checkout, where developers and CI have them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.request import urlopen
from uuid import uuid4

import msgspec
from feeding import delete_topics, make_topics

from huntbeam.runners.flink_rest import ENDED, FlinkRest
from huntbeam.runners.kafka.topics import input_topic, output_topic
from huntbeam.runners.stack.java import find_java
from huntbeam.runners.stack.stack import Stack
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import JOIN, STREAMS
from huntbeam.transforms.topic_rows import topic_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

PEERS = Path(__file__).resolve().parent.parent / "../shared/peers"
STREAMS_VERSION = "4.1.0"  # as the rival's pom has it
FIRST_ROW = 180.0  # seconds until a program's first row has to be there
_RESTARTED = ("taskmanager", "workers")  # cold in every run, as the rival's JVM is
_STATE = re.compile(r"^(\S+) .*State transition from \w+ to RUNNING", re.MULTILINE)
_LOG_TIMES = ("showDateTime=true", "dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ")


def say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


def ended_by_term() -> None:
    """TERM ends as an interrupt does: what was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))


class BenchError(Exception):
    """The bench cannot go on; the message says why."""


class Program(Protocol):
    """What is measured. Between `start` and `stop` it joins what is in a topic into another."""

    name: str

    def prepare(self) -> str:
        """Makes all ready for a cold start; gives the output topic."""

    def start(self, topic: str, watch: Callable[..., None]) -> None:
        """Starts it on an input topic and tells `watch` its process ids."""

    def running(self) -> float | None:
        """When its start-up was over, in seconds since 1970; None when it is not."""

    def check(self) -> None:
        """Raises BenchError when it ended."""

    def stop(self) -> None:
        """Ends it and removes its topics."""

    def identity(self, row: bytes) -> Hashable:
        """By what a row is told from others."""

    def connect(self, row: bytes) -> tuple[str, str, str]:
        """The connect of a row: GUID without braces, UtcTime as Sysmon writes it, source port."""


# ---------------------------------------------------------------------------------------------------------- HuntBeam


@contextmanager
def local_stack(say: Callable[[str], None]) -> Iterator[Stack]:
    """A stack in a temporary folder, stopped at the end. Raises UnusableError: Java, Maven."""
    with tempfile.TemporaryDirectory(prefix="huntbeam-bench-") as folder:
        stack = Stack(Path(folder, "stack"), say=say)
        try:
            stack.up()
            yield Stack(stack.home, stack.cache)  # which is silent
        finally:
            stack.down()


class _Row(msgspec.Struct):
    event_uid: str
    process_guid: str | None = None
    event_date_creation: str | None = None
    src_port: int | None = None


class HuntBeam:
    """`huntbeam stream --detach` as a user runs it."""

    def __init__(self, name: str, stack: Stack, options: Sequence[str]) -> None:
        self.name = name
        self._stack, self._options = stack, options
        self._at = stack.addresses()
        self._decode = msgspec.json.Decoder(_Row).decode
        self.prefix = self.jid = ""

    def prepare(self) -> str:
        self._stack.stop(*_RESTARTED)
        self._stack.start(*_RESTARTED)
        self.prefix, self.jid = f"b{uuid4().hex[:8]}_", ""
        make_topics(self._at.kafka, [output_topic(s, self.prefix) for s in STREAMS])
        return self.topic(JOIN)

    def start(self, topic: str, watch: Callable[..., None]) -> None:
        parts = {part.name: part.pid for part in self._stack.status() if part.pid}
        watch(*(pid for name, pid in parts.items() if name != "kafka"))
        command = [str(_program()), "stream", "--input_topic", topic, "--topic_prefix", self.prefix, "--detach"]
        command += ["--job_name", self.prefix, "--group_id", self.prefix, "--quiet", *self._options]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._env()
        ) as run:
            watch(run.pid)
            out, errors = run.communicate()
        if run.returncode:
            raise BenchError(f"`{' '.join(command)}` gave {run.returncode}: {errors.strip()[-1_000:]}")
        self.jid = out.strip()

    def topic(self, stream: str) -> str:
        """The topic of an output stream."""
        return topic_name(stream, self.prefix)

    def running(self) -> float | None:
        at = int(self.rest(f"/jobs/{self.jid}")["timestamps"]["RUNNING"])
        return at / 1000 if at > 0 else None

    def check(self) -> None:
        job = self._flink.job(self.jid)
        if job.state in ENDED:
            raise BenchError(f"{self.name}: the job {job.state.lower()}: {self._flink.cause(self.jid)}")

    def stop(self) -> None:
        if self.jid and self._flink.job(self.jid).state not in ENDED:
            self._flink.cancel(self.jid)
        self._stack.stop(*_RESTARTED)  # an idle one would still take time from the rival
        delete_topics(self._at.kafka, self.prefix)

    def identity(self, row: bytes) -> Hashable:
        return self._decode(row).event_uid

    def connect(self, row: bytes) -> tuple[str, str, str]:
        r = self._decode(row)
        time = (r.event_date_creation or "").replace("T", " ").removesuffix("Z")
        return r.process_guid or "", time, str(r.src_port)

    def pids(self, part: str) -> list[int]:
        """The process id of a part of the stack, if it runs."""
        return [found.pid for found in self._stack.status() if found.name == part and found.pid]

    def rest(self, path: str) -> Any:
        """What Flink's REST interface answers."""
        with urlopen(self._at.flink_rest + path, timeout=30) as answer:  # noqa: S310 - the stack's own address
            return msgspec.json.decode(answer.read())

    @cached_property
    def _flink(self) -> FlinkRest:
        return FlinkRest(self._at.flink_rest)

    def _env(self) -> dict[str, str]:
        return os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": self._at.kafka,
            "FLINK_REST": self._at.flink_rest,
            "JOB_ENDPOINT": self._at.job_endpoint,
            "EXPANSION_SERVICE": self._at.expansion,
            "WORKER_POOL": self._at.worker_pool,
            "HUNTBEAM_STACK_HOME": str(self._stack.home),
        }


def _program() -> Path:
    program = Path(sys.executable).parent / "huntbeam"
    if not program.exists():
        raise BenchError(f"{program} is not there; run `make setup`, or this script with .venv/bin/python")
    return program


# ----------------------------------------------------------------------------------------------------- Kafka Streams


class _Joined(msgspec.Struct):
    ProcessGuid: str = ""
    UtcTime: str | None = None
    SourcePort: str | None = None
    DestinationPort: str | None = None


class KafkaStreams:
    """The seeds' topology on Kafka Streams, two threads, at least once: the join alone, no windows."""

    def __init__(self, kafka: str, cache: Path, scratch: Path, say: Callable[[str], None]) -> None:
        """Fetches its jars and compiles it. Raises UnusableError when something that it takes is missing."""
        self.name = f"Kafka Streams {STREAMS_VERSION}"
        self._kafka, self._scratch = kafka, scratch
        jars = _jars(cache, say)
        _compile(jars, scratch)
        logging = [f"-Dorg.slf4j.simpleLogger.{setting}" for setting in _LOG_TIMES]
        self._command = [find_java(), "-Xmx2g", *logging, "-cp", f"{scratch}:{jars}/*", "KafkaStreamsJoin", kafka]
        self._decode = msgspec.json.Decoder(_Joined).decode
        self._id = ""
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> str:
        self._id, self._process = f"r{uuid4().hex[:8]}", None
        output = f"SYSMON_JOIN_{self._id}"
        make_topics(self._kafka, [input_topic(output)])
        return output

    def start(self, topic: str, watch: Callable[..., None]) -> None:
        with self._log.open("wb") as log:
            command = [*self._command, self._id, str(self._scratch / self._id), topic]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        watch(self._process.pid)

    def running(self) -> float | None:
        found = _STATE.search(self._log.read_text(encoding="utf-8", errors="replace"))
        return datetime.fromisoformat(found[1]).timestamp() if found else None

    def check(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            end = self._log.read_bytes()[-1_000:].decode(errors="replace")
            raise BenchError(f"{self.name} ended with {self._process.returncode}:\n{end}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
            self._process.wait()
        delete_topics(self._kafka, self._id)
        shutil.rmtree(self._scratch / self._id, ignore_errors=True)

    def identity(self, row: bytes) -> Hashable:
        r = self._decode(row)
        return r.ProcessGuid, r.UtcTime, r.SourcePort, r.DestinationPort

    def connect(self, row: bytes) -> tuple[str, str, str]:
        r = self._decode(row)
        return r.ProcessGuid.strip("{}").lower(), r.UtcTime or "", r.SourcePort or ""

    @property
    def _log(self) -> Path:
        return self._scratch / f"{self._id}.log"


def _jars(cache: Path, say: Callable[[str], None]) -> Path:
    """The folder of the rival's jars, fetched through Maven when it is not there."""
    folder = cache / f"kafka-streams-{STREAMS_VERSION}"
    project = PEERS / "pom-kafka-streams.xml"
    if not (project.exists() and (PEERS / "KafkaStreamsJoin.java").exists()):
        raise UnusableError("its source is not here (KafkaStreamsJoin.java in ../shared/peers beside the project)")
    if folder.exists():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise UnusableError("Maven is missing, which fetches its jars the first time (Debian: maven)")
    say(f"fetching {folder.name} through Maven")
    aside = cache / f"{folder.name}.part"
    shutil.rmtree(aside, ignore_errors=True)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={aside}"]
    done = subprocess.run([maven, "-q", "-B", "-f", str(project), *goal], capture_output=True, text=True, check=False)
    if done.returncode:
        said = next((line for line in done.stdout.splitlines() if "ERROR" in line), "it says nothing")
        raise UnusableError(f"Maven could not fetch its jars: {said[:300]}")
    aside.rename(folder)
    return folder


def _compile(jars: Path, scratch: Path) -> None:
    compiler = shutil.which("javac")
    if compiler is None:
        raise UnusableError("javac is missing, which compiles it (Debian: openjdk-17-jdk-headless)")
    command = [compiler, "-cp", f"{jars}/*", "-d", str(scratch), str(PEERS / "KafkaStreamsJoin.java")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnusableError(f"javac could not compile it: {done.stderr.strip()[:300]}")


def await_running(program: Program, patience: float = 120.0) -> float:
    """When a program's start-up was over; waits for it."""
    until = time.monotonic() + patience
    while (at := program.running()) is None:
        program.check()
        if time.monotonic() > until:
            raise BenchError(f"{program.name} does not run after {patience:.0f} s")
        time.sleep(0.2)
    return at
