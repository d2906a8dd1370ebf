"""CPU and memory of processes and of all that they start, once a second."""

from __future__ import annotations

import importlib
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

MB = 1_000_000
INTERVAL = 1.0  # seconds between two looks


class Sample(NamedTuple):
    """A look: the time, CPU seconds since the watcher was told of the processes, and their memory in MB."""

    time: float
    cpu: float
    memory: float


class Watcher:
    """Watches processes in a thread of its own. What a process used stays counted when it ends."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._psutil: Any = importlib.import_module("psutil")
        self._roots: list[Any] = []
        self._used: dict[Any, float] = {}
        self._before: dict[Any, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def add(self, *pids: int) -> None:
        """Watches these, too; what they used so far does not count."""
        for pid in pids:
            with suppress(self._psutil.NoSuchProcess):
                root = self._psutil.Process(pid)
                self._before |= {process: _cpu(process) for process in family(root)}
                self._roots.append(root)

    def _watch(self) -> None:
        while not self._stop.is_set():
            memory = 0.0
            for process in [process for root in list(self._roots) for process in family(root)]:
                with suppress(self._psutil.Error):
                    self._used[process] = _cpu(process) - self._before.get(process, 0.0)
                    memory += memory_of(process)
            self.samples.append(Sample(time.time(), sum(self._used.values()), memory))
            self._stop.wait(INTERVAL)


def family(root: Any) -> list[Any]:
    """A process and all below it; nothing when it has ended."""
    psutil: Any = importlib.import_module("psutil")
    with suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return []


def memory(pids: Iterable[int]) -> float:
    """Memory in MB of processes and of all below them."""
    psutil: Any = importlib.import_module("psutil")
    total = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            for process in family(psutil.Process(pid)):
                with suppress(psutil.Error):  # it ended
                    total += memory_of(process)
    return total


def memory_of(process: Any) -> float:
    """Memory in MB: a page that several processes share counts once over them, where the system tells."""
    found = process.memory_full_info()
    return float(getattr(found, "pss", found.rss)) / MB


def _cpu(process: Any) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)
