"""Reading processes: the first forks the others, all of them give what one does, and none is left behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

from huntbeam.transforms.digest import Digested, Plan
from huntbeam.transforms.lines import BLOCK
from huntbeam.transforms.read import Span
from huntbeam.transforms.scan import Scanner, WorkerError
from huntbeam.transforms.scan_worker import WARM
from tests.events import CREATE, line
from tests.processes import living, needs_proc

pytestmark = needs_proc


def archive(path: Path, first: int) -> Span:
    """A file of twenty creates."""
    path.write_bytes(b"".join(line(CREATE._replace(record_id=first + number)) + b"\n" for number in range(20)))
    return Span(str(path), first, 0, None, path.stat().st_size)


def pipe(path: Path, first: int) -> Span:
    """A file that somebody else writes: who reads it waits."""
    os.mkfifo(path)
    return Span(str(path), first, 0, None, 0)


def reading() -> list[int]:
    """The reading processes of this one: the first, then those that it forked."""
    alive = list(living())
    mine = [one.pid for one in alive if one.parent == os.getpid() and one.session == one.pid]
    return [*mine, *(one.pid for one in alive if one.parent in mine)]


def wait_for(number: int) -> list[int]:
    deadline = time.monotonic() + 30
    while len(found := reading()) != number:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


@pytest.fixture(autouse=True)
def none_is_left(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    wait_for(0)
    yield
    wait_for(0)
    assert capfd.readouterr().err == ""


@pytest.fixture
def impatient() -> Iterator[None]:
    """As Beam leaves it that has looked for credentials of a bucket, but for shorter than its minute."""
    socket.setdefaulttimeout(0.05)
    yield
    socket.setdefaulttimeout(None)


def uids(digested: list[Digested]) -> Counter[str]:
    return Counter(create.event_uid for one in digested for create in one.creates)


def events(digested: list[Digested]) -> Counter[tuple[str | None, str | int | None]]:
    found: Counter[tuple[str | None, str | int | None]] = Counter()
    for provider, event_id, number in (pair for one in digested for pair in one.pairs):
        found[provider, event_id] += number
    return found


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_several_processes_give_what_one_does(tmp_path: Path, workers: int) -> None:
    spans = [archive(tmp_path / f"{number}", 100 * number) for number in range(5)]
    alone, several = (list(Scanner(spans, Plan(), number)) for number in (0, workers))
    assert sum(uids(alone).values()) == 100
    assert uids(several) == uids(alone)
    assert sum(one.consumed for one in several) == sum(one.consumed for one in alone)
    assert events(several) == events(alone)
    assert events(alone).total() == 100


def test_the_others_are_forked_while_the_first_still_reads(tmp_path: Path) -> None:
    held, other = pipe(tmp_path / "held", 0), archive(tmp_path / "other", 100)
    scanner = Scanner([held, other], Plan(), 2)
    blank = (b" " * 1_023 + b"\n") * (BLOCK // 1_024)
    with Path(held.path).open("wb") as writer:
        assert len(reading()) == 1
        for _ in range(WARM + 4):
            writer.write(blank)
        writer.flush()
        found: SimpleQueue[Any] = SimpleQueue()
        Thread(target=lambda: [found.put(one) for one in scanner], daemon=True).start()
        assert uids([found.get(timeout=30)]).total() == 20
        assert len(reading()) == 1  # the other has no more to do
    assert found.get(timeout=30).tallies["blank_lines"] == (WARM + 4) * BLOCK // 1_024


@pytest.mark.usefixtures("impatient")
def test_processes_wait_for_each_other_as_long_as_it_takes(tmp_path: Path) -> None:
    small, *held = archive(tmp_path / "a", 0), pipe(tmp_path / "b", 100), pipe(tmp_path / "c", 200)
    scanner = Scanner([small, *held, *(archive(tmp_path / f"{n}", 1_000 * n) for n in range(1, 15))], Plan(), 2)
    with ExitStack() as stack:
        for span in held:
            stack.enter_context(Path(span.path).open("wb"))  # when somebody reads it
        time.sleep(0.2)
    assert uids(list(scanner)).total() == 300


@pytest.mark.parametrize(("number", "says"), [(0, "(exit code -9)"), (1, "takes less memory")], ids=["first", "other"])
def test_a_process_that_is_killed_ends_the_run_with_one_sentence(tmp_path: Path, number: int, says: str) -> None:
    small, *held = archive(tmp_path / "a", 0), pipe(tmp_path / "b", 100), pipe(tmp_path / "c", 200)
    scanner = Scanner([small, *held], Plan(), 2)
    with ExitStack() as stack:
        stack.callback(scanner.stop)
        for span in held:
            stack.enter_context(Path(span.path).open("wb"))  # when somebody reads it
        os.kill(wait_for(2)[number], signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"process ended in .*/[bc]; --workers 0 reads in one process") as raised:
            list(scanner)
        assert str(raised.value).endswith(says)


def test_one_that_is_killed_before_it_forks_leaves_nobody_waiting(tmp_path: Path) -> None:
    scanner = Scanner([pipe(tmp_path / "a", 0), archive(tmp_path / "b", 100)], Plan(), 2)
    with (tmp_path / "a").open("wb"):
        os.kill(wait_for(1)[0], signal.SIGKILL)
        with pytest.raises(WorkerError, match="a reading process ended in "):
            list(scanner)
