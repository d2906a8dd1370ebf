"""Rarity: how often an archive had a key, in a file that rules are judged by (baseline.py makes it).

Keys are known without their host and without case, so that a program that one host has is rare and one that all have is
not. The file: one JSON object a line, the first of them the head.

A baseline does not travel with a job: workers are given its path, and each of their processes reads it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from huntbeam.schemas.anomaly import AnomalyRule, Prevalence, Rare
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.values import text
from huntbeam.schemas.window import Counter
from huntbeam.transforms.anomaly.evaluate import CounterKey
from huntbeam.transforms.files import open_file

KEYS = 2_000_000  # of a baseline; what is held in memory
VERSION = 1
_LONGEST = 1_048_576  # bytes of a line


class BaselineError(UnusableError):
    """A baseline cannot be made or used."""


class RareKey(NamedTuple):
    """A counter and one of its keys as a baseline knows it: without host and case, all values as text."""

    counter: str
    key: tuple[tuple[str, str | None], ...]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of the file."""

    huntbeam_baseline: int
    keys: int
    window_ms: int | None  # null without rows


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key in the file."""

    counter: str
    key: dict[str, str | None]
    count: int
    windows: int
    hosts: int


class Baseline:
    """How often each key was there."""

    def __init__(self, known: dict[RareKey, tuple[int, int, int]], window_ms: int | None = None) -> None:
        self._known = known
        self._columns = {key.counter: tuple(name for name, _ in key.key) for key in known}
        self.window_ms = window_ms

    def load(self) -> Baseline:
        """Itself: it is there."""
        return self

    def prevalence(self, key: CounterKey, of: Prevalence) -> int:
        """How many events, windows or hosts had the key; 0 where none did."""
        count, windows, hosts = self._known.get(rare_key(key), (0, 0, 0))
        return {Prevalence.COUNT: count, Prevalence.WINDOWS: windows, Prevalence.HOSTS: hosts}[of]

    def columns(self, counter: str) -> tuple[str, ...] | None:
        """The key columns of a counter, but the host; null where no row of it was there when it was made."""
        return self._columns.get(counter)


class BaselineFile(msgspec.Struct, frozen=True):
    """A baseline by its path: what workers are given."""

    path: str

    def load(self) -> Baseline:
        """What the file holds, read once a process. Raises BaselineError."""
        with _lock:
            if self.path not in _loaded:
                _loaded.clear()
                _loaded[self.path] = read_baseline(self.path)
            return _loaded[self.path]

    def read_again(self) -> Baseline:
        """The same of the file as it is now."""
        with _lock:
            _loaded.pop(self.path, None)
        return self.load()

    def prevalence(self, key: CounterKey, of: Prevalence) -> int:
        """As Baseline.prevalence()."""
        known = _loaded.get(self.path)
        return (known or self.load()).prevalence(key, of)


Judge = Baseline | BaselineFile

_loaded: dict[str, Baseline] = {}
_lock = Lock()


def rare_key(key: CounterKey) -> RareKey:
    """How a baseline knows a key."""
    values = zip(key.names, map(text, key.values), strict=True)
    return RareKey(key.counter, tuple((n, None if v is None else v.lower()) for n, v in values if n != "host"))


def read_baseline(path: str | Path) -> Baseline:
    """The baseline of a file, here or in the cloud. Raises BaselineError that names the file and the line."""
    known: dict[RareKey, tuple[int, int, int]] = {}
    try:
        with BufferedReader(open_file(str(path))) as file:
            head = _decode_head(_line(file.readline(_LONGEST)))
            if head.huntbeam_baseline != VERSION:
                raise BaselineError(f"{path} is a baseline of another version; make it anew with huntbeam baseline")
            while len(known) <= KEYS and (raw := file.readline(_LONGEST)):
                line = _decode_line(_line(raw))
                known[RareKey(line.counter, tuple(line.key.items()))] = (line.count, line.windows, line.hosts)
    except OSError as error:
        raise BaselineError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BaselineError(f"{path} is no baseline after key {len(known)} ({error}); make it anew") from error
    if len(known) != head.keys:
        raise BaselineError(f"{path} has {len(known)} of its {head.keys} keys; make it anew with huntbeam baseline")
    return Baseline(known, head.window_ms)


def runnable(
    rules: Iterable[AnomalyRule], baseline: Baseline | None, counters: Sequence[Counter], window_ms: int
) -> tuple[list[AnomalyRule], list[str]]:
    """The rules that can run, and why others do not."""
    run, messages = [], []
    by_name = {counter.name: counter for counter in counters}
    for rule in rules:
        reason = _why_not(rule, by_name[rule.counter], baseline, window_ms) if isinstance(rule, Rare) else None
        if reason is None:
            run.append(rule)
        else:
            messages.append(f"rule {rule.name!r} does not run: {reason}")
    return run, messages


def _why_not(rule: Rare, counter: Counter, baseline: Baseline | None, window_ms: int) -> str | None:
    if baseline is None:
        return "it is judged against a baseline, and there is none (--baseline FILE, which `huntbeam baseline` makes)"
    known, wanted = baseline.columns(counter.name), tuple(name for name in counter.key if name != "host")
    if known is None:
        return f"the baseline has no rows of the counter {counter.name}; make it of an archive that has"
    if known != wanted:
        return (
            f"the baseline has another counter {counter.name}, by {', '.join(known) or 'host'} and not by "
            f"{', '.join(wanted) or 'host'}; make it anew"
        )
    if rule.prevalence is Prevalence.WINDOWS and baseline.window_ms != window_ms:
        return "the baseline has windows of another size (--window); make it anew"
    return None


def _line(raw: bytes) -> bytes:
    """A whole line; one that was cut off decodes to nothing."""
    return raw if raw.endswith(b"\n") else b""


_decode_head = msgspec.json.Decoder(Head).decode
_decode_line = msgspec.json.Decoder(Line).decode
