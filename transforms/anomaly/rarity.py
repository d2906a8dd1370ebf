"""Rarity: how often an archive had a key, in a file that rules are judged by.

A baseline is made of window rows, those of process creates among them: the built-in counters have both. Keys are known
without their host and without case, so that a program that one host has is rare and one that all have is not.
The file: one JSON object a line, the first of them the head.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from huntbeam.schemas.anomaly import AnomalyRule, Prevalence, Rare
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.values import text
from huntbeam.schemas.window import DISTINCT_CAP, WindowCount
from huntbeam.transforms.anomaly.evaluate import CounterKey

KEYS = 2_000_000  # of a baseline; what is held in memory
_VERSION = 1
_LONGEST = 1_048_576  # bytes of a line


class BaselineError(UnusableError):
    """A baseline cannot be made or used."""


class RareKey(NamedTuple):
    """A counter and one of its keys as a baseline knows it: without host and case, all values as text."""

    counter: str
    key: tuple[tuple[str, str | None], ...]


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    huntbeam_baseline: int
    keys: int


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    counter: str
    key: dict[str, str | None]
    count: int
    windows: int
    hosts: int


class _Seen:
    """What is counted of a key; windows and hosts up to 100,000."""

    __slots__ = ("count", "hosts", "windows")

    def __init__(self) -> None:
        self.count = 0
        self.windows: set[str] = set()
        self.hosts: set[str] = set()


class Baseline:
    """How often each key was there."""

    def __init__(self, known: dict[RareKey, tuple[int, int, int]]) -> None:
        self._known = known
        self._counters = frozenset(key.counter for key in known)

    def prevalence(self, key: CounterKey, of: Prevalence) -> int:
        """How many events, windows or hosts had the key; 0 where none did."""
        count, windows, hosts = self._known.get(rare_key(key), (0, 0, 0))
        return {Prevalence.COUNT: count, Prevalence.WINDOWS: windows, Prevalence.HOSTS: hosts}[of]

    def covers(self, counter: str) -> bool:
        """Whether rows of a counter were there when it was made."""
        return counter in self._counters


def rare_key(key: CounterKey) -> RareKey:
    """How a baseline knows a key."""
    values = zip(key.names, map(text, key.values), strict=True)
    return RareKey(key.counter, tuple((n, None if v is None else v.lower()) for n, v in values if n != "host"))


def baseline_lines(rows: Iterable[WindowCount]) -> Iterator[bytes]:
    """The file of an archive's final rows, line by line; equal rows in any order make equal files.

    Raises BaselineError for more than 2,000,000 keys.
    """
    seen: dict[RareKey, _Seen] = {}
    for row in rows:
        key = rare_key(CounterKey(row.counter, tuple(row.key), tuple(row.key.values())))
        known = seen.get(key)
        if known is None:
            if len(seen) >= KEYS:
                raise BaselineError(
                    f"a baseline has at most {KEYS:,} keys; make it of fewer counters or a shorter time"
                )
            known = seen[key] = _Seen()
        known.count += row.count
        _add(known.windows, row.window_start)
        _add(known.hosts, str(row.key.get("host") or "").lower())
    yield _encode(_Head(_VERSION, len(seen))) + b"\n"
    for key in sorted(seen, key=lambda key: (key.counter, [(n, v is not None, v or "") for n, v in key.key])):
        known = seen[key]
        line = _Line(key.counter, dict(key.key), known.count, len(known.windows), len(known.hosts))
        yield _encode(line) + b"\n"


def read_baseline(path: str | Path) -> Baseline:
    """The baseline of a file. Raises BaselineError that names the file and the line."""
    known: dict[RareKey, tuple[int, int, int]] = {}
    try:
        with Path(path).open("rb") as file:
            head = _decode_head(_line(file.readline(_LONGEST)))
            if head.huntbeam_baseline != _VERSION:
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
    return Baseline(known)


def runnable(rules: Iterable[AnomalyRule], baseline: Baseline | None) -> tuple[list[AnomalyRule], list[str]]:
    """The rules that can run, and why others do not."""
    run, messages = [], []
    for rule in rules:
        if isinstance(rule, Rare) and baseline is None:
            messages.append(f"rule {rule.name!r} does not run: it is judged against a baseline, and there is none")
        elif isinstance(rule, Rare) and baseline is not None and not baseline.covers(rule.counter):
            messages.append(
                f"rule {rule.name!r} does not run: the baseline has no rows of the counter {rule.counter}; "
                "make it of an archive that has"
            )
        else:
            run.append(rule)
    return run, messages


def _add(values: set[str], value: str) -> None:
    if value and len(values) < DISTINCT_CAP:
        values.add(value)


def _line(raw: bytes) -> bytes:
    """A whole line; one that was cut off decodes to nothing."""
    return raw if raw.endswith(b"\n") else b""


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_line = msgspec.json.Decoder(_Line).decode
