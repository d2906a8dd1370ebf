"""Baselines as they are made: of an archive's window rows, how many events, windows and hosts each key had.

Memory is bounded: by the number of keys, and by that of the windows and hosts of keys that were in several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from huntbeam.schemas.clock import millis
from huntbeam.schemas.values import text
from huntbeam.schemas.window import DISTINCT_CAP, WindowCount
from huntbeam.transforms.anomaly.evaluate import CounterKey
from huntbeam.transforms.anomaly.rarity import KEYS, VERSION, Baseline, BaselineError, Head, Line, RareKey, rare_key

SIGHTINGS = 20_000_000  # windows and hosts of keys that were in several

_Some = int | set[int] | None  # none, one, or several of few: most keys of an archive are seldom


class _Seen(msgspec.Struct):
    """What is counted of a key; windows and hosts, by number, up to 100,000."""

    count: int = 0
    windows: _Some = None
    hosts: _Some = None


def baseline_lines(rows: Iterable[WindowCount]) -> Iterator[bytes]:
    """The file of an archive's final rows, line by line; equal rows in any order make equal files.

    Raises BaselineError for more than 2,000,000 keys, for more than memory holds of their windows and hosts, and for
    windows of two sizes.
    """
    making = _made(rows)
    yield _encode(Head(VERSION, len(making.seen), making.window_ms)) + b"\n"
    for key in sorted(making.seen, key=_order):
        known = making.seen[key]
        line = Line(key.counter, dict(key.key), known.count, _how_many(known.windows), _how_many(known.hosts))
        yield _encode(line) + b"\n"


def baseline_of(rows: Iterable[WindowCount]) -> Baseline:
    """The same without a file. Raises BaselineError."""
    making = _made(rows)
    known = {key: (one.count, _how_many(one.windows), _how_many(one.hosts)) for key, one in making.seen.items()}
    return Baseline(known, making.window_ms)


def _made(rows: Iterable[WindowCount]) -> _Making:
    making = _Making()
    for row in rows:
        making.add(row)
    return making


def _order(key: RareKey) -> tuple[object, ...]:
    return key.counter, [(name, value is not None, value or "") for name, value in key.key]


class _Making:
    """A baseline as it is made. Windows and hosts are known by numbers, which are shared by all keys."""

    def __init__(self) -> None:
        self.seen: dict[RareKey, _Seen] = {}
        self.window_ms: int | None = None
        self._windows: dict[str, int] = {}
        self._hosts: dict[str, int] = {}
        self._sightings = 0

    def add(self, row: WindowCount) -> None:
        """Counts a row. Raises BaselineError."""
        self._check_size(row)
        key = rare_key(CounterKey(row.counter, tuple(row.key), tuple(row.key.values())))
        known = self.seen.get(key)
        if known is None:
            if len(self.seen) >= KEYS:
                raise BaselineError(
                    f"a baseline has at most {KEYS:,} keys; make it of fewer counters or a shorter time"
                )
            known = self.seen[key] = _Seen()
        known.count += row.count
        known.windows = self._with(known.windows, self._windows.setdefault(row.window_start, len(self._windows)))
        host = text(row.key.get("host"))
        if host:
            known.hosts = self._with(known.hosts, self._hosts.setdefault(host.lower(), len(self._hosts)))

    def _check_size(self, row: WindowCount) -> None:
        size = millis(row.window_end) - millis(row.window_start)
        if self.window_ms is None:
            self.window_ms = size
        elif size != self.window_ms:
            raise BaselineError(
                f"there are windows of {self.window_ms // 1000:,} and of {size // 1000:,} seconds: "
                "a baseline is made of one size"
            )

    def _with(self, some: _Some, one: int) -> _Some:
        if some is None or some == one:
            return one
        several = some if isinstance(some, set) else {some}
        if one not in several and len(several) < DISTINCT_CAP:
            several.add(one)
            self._sightings += 1
            if self._sightings > SIGHTINGS:
                raise BaselineError(
                    f"its keys were on more than {SIGHTINGS:,} hosts and in as many windows, one by one; "
                    "make it of fewer counters or a shorter time"
                )
        return several


def _how_many(some: _Some) -> int:
    return len(some) if isinstance(some, set) else int(some is not None)


_encode = msgspec.json.Encoder().encode
