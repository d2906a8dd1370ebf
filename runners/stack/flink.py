"""The Flink session cluster's settings and the options of its two Java processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from huntbeam.runners.stack.state import HOST

JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"

# Flink 1.19 reaches into these packages; Java 17 lets it only when told so
_EXPORTS = ("java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
_OPENS = (
    *("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text", "java.time"),
    *("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks"),
)

# each manager sends on connections of its own: were one shared, a task manager that comes back while the job manager
# still tries to reach the old one might stop reading where it is answered (apache/pekko 3206), and never be known
_ONE_WAY = "-Dpekko.remote.classic.use-passive-connections=off"

_TASK_MANAGER_MEMORY = {  # megabytes; a bare TaskManagerRunner wants every one of them, Flink's scripts work them out
    "framework.heap.size": 128,
    "task.heap.size": 1024,
    "framework.off-heap.size": 128,
    "task.off-heap.size": 256,  # buffers of the connections to the Python workers
    "managed.size": 2048,  # RocksDB
    "network.min": 128,
    "network.max": 128,
    "jvm-metaspace.size": 512,
    "jvm-overhead.min": 192,
    "jvm-overhead.max": 192,
}

_FEW_CORES = 4

LOG4J = """rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = Console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


def settings(ports: Mapping[str, int], task_slots: int, data: Path) -> dict[str, str]:
    """Flink's settings, for the cluster and for the job server, which sets each job's checkpoints from them."""
    return {
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": str(ports["flink_rpc"]),
        "jobmanager.bind-host": HOST,
        "jobmanager.memory.process.size": "1g",
        "rest.address": HOST,
        "rest.bind-address": HOST,
        "rest.port": str(ports["flink"]),
        "taskmanager.host": HOST,
        "taskmanager.bind-host": HOST,
        "taskmanager.rpc.port": str(ports["taskmanager"]),
        "taskmanager.numberOfTaskSlots": str(task_slots),
        "taskmanager.network.memory.buffer-debloat.enabled": "true",  # less lies before a checkpoint's barrier
        "parallelism.default": "1",
        "classloader.resolve-order": "parent-first",  # Beam is on Flink's own class path
        "classloader.check-leaked-classloader": "false",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "100",
        "restart-strategy.fixed-delay.delay": "1 s",
        "state.backend.type": "rocksdb",
        "state.backend.incremental": "true",
        "state.checkpoints.dir": (data / "checkpoints").as_uri(),
        "state.savepoints.dir": (data / "savepoints").as_uri(),
        "state.checkpoints.num-retained": "2",
        "execution.checkpointing.interval": "2s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "cluster.registration.error-delay": "500",  # both managers start at once; the default asks again after 10 s
        "heartbeat.interval": "1000",
        "heartbeat.timeout": "10000",
    }


def text(values: Mapping[str, str]) -> str:
    """The settings as Flink's conf file."""
    return "".join(f"{name}: {value}\n" for name, value in values.items())


def java_options(class_path: str, log4j: Path, log: Path, scratch: Path) -> list[str]:
    """What both processes have in common. `log` is where their output goes: Flink's page shows it."""
    exports = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS]
    opens = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENS]
    files = [f"-Dlog4j.configurationFile={log4j.as_uri()}", f"-Dlog.file={log}", f"-Djava.io.tmpdir={scratch}"]
    return [*exports, *opens, *files, _ONE_WAY, "-cp", class_path]


def task_manager_megabytes() -> int:
    """What a task manager's process takes at the most, once RocksDB's cache is full."""
    return (
        sum(_TASK_MANAGER_MEMORY.values())
        - _TASK_MANAGER_MEMORY["network.min"]
        - _TASK_MANAGER_MEMORY["jvm-overhead.min"]
    )


def task_manager_options(cores: int) -> list[str]:
    """Heap and direct memory of the task manager's process, in the sizes that Flink is told."""
    size = _TASK_MANAGER_MEMORY
    # a Java compiler that thinks longer would take a fifth of a small machine's time for minutes
    compiler = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"] if cores <= _FEW_CORES else []
    direct = size["framework.off-heap.size"] + size["task.off-heap.size"] + size["network.max"]
    return [
        *compiler,
        f"-Xmx{size['framework.heap.size'] + size['task.heap.size']}m",
        f"-XX:MaxDirectMemorySize={direct}m",
        f"-XX:MaxMetaspaceSize={size['jvm-metaspace.size']}m",
    ]


def arguments(conf: Path, scratch: Path) -> list[str]:
    """What both are told: the folder of the conf file, and one of their own for what ends with them."""
    return ["--configDir", str(conf), "-D", f"io.tmp.dirs={scratch}", "-D", f"web.tmpdir={scratch}"]


def task_manager_arguments(resource_id: str) -> list[str]:
    """What a task manager is told beside the conf file; by its id one start is known from the one before."""
    values = {"taskmanager.resource-id": resource_id, "taskmanager.cpu.cores": "2"}
    values |= {f"taskmanager.memory.{name}": f"{size}m" for name, size in _TASK_MANAGER_MEMORY.items()}
    return [part for name, value in values.items() for part in ("-D", f"{name}={value}")]


def argument_file(options: Sequence[str]) -> str:
    r"""Options as a file for `java @FILE`: the class path alone is longer than a process list can show.

    >>> argument_file(["-cp", "/a b/*"])
    '"-cp"\n"/a b/*"\n'
    """
    return "".join('"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for option in options)
