"""Which rows were there already: the stream job repeats rows after a crash (docs/semantics.md, rule 17).

The set is exact and its memory is bounded: it lies in a temporary SQLite file, of which CACHE_KB are in memory. It does
not outlive the process; whoever keeps the rows rebuilds it from them, so the two can never disagree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from huntbeam.schemas.errors import UnusableError

CACHE_KB = 64 * 1024
FORGOTTEN = 20_000  # rows that forget() removes at most, so that it is soon done
MOST = (1 << 63) - 1

_encode = msgspec.json.Encoder().encode

Place = TypeVar("Place", bound=Hashable)


class Identity(NamedTuple):
    """What makes two rows copies of one: 16 bytes, and which of the copies is better (a window's count, a revision)."""

    key: bytes
    rank: int


def identity(row: Mapping[str, Any], stream: str = "") -> Identity | None:
    """The identity of a row; None for a record that has no event_uid.

    A window's row is (event_uid, generation), and of its copies the one with the highest count is valid (rule 11); of
    alerts and anomalies the one with the highest revision. Rows of `duplicates` share the id of their event: they are
    told apart by source and position. Any other is its event_uid.
    """
    uid = row.get("event_uid")
    if not isinstance(uid, str) or not uid:
        return None
    parts: tuple[Any, ...] = (stream, uid)
    rank = 0
    if "generation" in row and type(row.get("count")) is int:
        parts, rank = (*parts, row["generation"]), min(max(row["count"], 0), MOST)
    elif type(row.get("revision")) is int:
        rank = min(max(row["revision"], 0), MOST)
    elif "record_id" in row and "position" in row:
        parts = (*parts, row.get("source"), row["position"])
    return Identity(blake2b(_encode(parts), digest_size=16).digest(), rank)


class SeenSet:
    """The identities of rows, each with the time (ms) of its record.

    Two copies are recognised when their records are at most `window_ms` apart.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._file = sqlite3.connect("", isolation_level=None)  # "" is a file that SQLite removes by itself
        self._file.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        self._file.execute("PRAGMA journal_mode = OFF")  # nothing is taken back: the transaction below never ends
        self._file.execute(
            "CREATE TABLE seen (key BLOB PRIMARY KEY, rank INTEGER NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID"
        )
        self._file.execute("CREATE INDEX seen_by_time ON seen (time)")
        self._file.execute("BEGIN")

    def admit(self, row: Identity, time: int) -> bool:
        """Whether the row is new, or better than its copies so far; it is one of them then."""
        with _room():
            changed = self._file.execute(
                "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET rank = excluded.rank, time = excluded.time WHERE excluded.rank > seen.rank",
                (row.key, row.rank, time),
            )
            return changed.rowcount > 0

    def forget(self, low: int) -> None:
        """No record older than `low` (ms) will be asked about any more: removes some of what is a window older."""
        with _room():
            self._file.execute(
                "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE time < ? LIMIT ?)",
                (low - self._window_ms, FORGOTTEN),
            )

    def close(self) -> None:
        """Removes the file."""
        self._file.close()


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UnusableError(
            f"the ids of the rows so far cannot be kept ({error}): name a folder with room in SQLITE_TMPDIR"
        ) from error


class ReadClock(Generic[Place]):
    """Up to which time the partitions were read: what is older than low() can come from none of them any more.

    It begins with the time (ms) of the first record that each partition has to read; one without any is at its end.
    """

    def __init__(self, places: Iterable[Place], first: Mapping[Place, int]) -> None:
        self._behind = {place: first[place] for place in places if place in first}
        self._latest = max(first.values(), default=None)

    def read(self, place: Place, time: int) -> None:
        """A record of a partition was read."""
        self._behind[place] = max(time, self._behind.get(place, time))
        self._latest = max(time, self._latest or time)

    def ended(self, place: Place) -> None:
        """A partition has nothing to read for now."""
        self._behind.pop(place, None)

    def low(self) -> int | None:
        """The time of the partition that is furthest behind; None before the first record."""
        return min(self._behind.values(), default=self._latest)
