"""The join of one key on unbounded input: a create, and the connects that look for it. Pure; see keyed_match.py."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from huntbeam.schemas.sysmon import NetworkConnect, ProcessCreate
from huntbeam.transforms.join import NO_CREATE, JoinKind, Output, given_up, joined, rank, unconnected
from huntbeam.transforms.keyed_match import KeyedMatch, Waits

_create = msgspec.msgpack.Decoder(ProcessCreate).decode
_connect = msgspec.msgpack.Decoder(NetworkConnect).decode


class JoinPairing(msgspec.Struct, frozen=True):
    """Pairing of creates and connects: rows of sysmon_join and sysmon_unmatched."""

    kind: JoinKind = JoinKind.INNER

    def create(self, row: bytes) -> ProcessCreate:
        """Unpacks a create."""
        return _create(row)

    def rank(self, create: ProcessCreate) -> tuple[str, str]:
        """See join.rank()."""
        return rank(create)

    def whole(self, row: bytes) -> bool:  # noqa: ARG002  # every create is
        """A create is all that a connect wants."""
        return True

    def found(self, item: bytes, create: ProcessCreate) -> Iterator[Output]:
        """The row of a connect."""
        yield joined(_connect(item), create)

    def waits(self, item: bytes, a: int) -> Iterator[Output]:  # noqa: ARG002  # as others need it
        """Nothing is put out yet."""
        yield from ()

    def missed(self, item: bytes) -> Iterator[Output]:
        """The rows of a connect without a create."""
        return given_up(_connect(item), NO_CREATE, self.kind)

    def unnamed(self, row: bytes) -> Iterator[Output]:
        """The row of a create alone (full join)."""
        if self.kind is JoinKind.FULL:
            yield unconnected(_create(row))


def keyed_join(
    kind: JoinKind = JoinKind.INNER, waits: Waits | None = None, since: int = 0
) -> KeyedMatch[ProcessCreate, Output]:
    """What one key of the join does; `since` as in KeyedMatch."""
    return KeyedMatch(JoinPairing(kind), waits or Waits(), since)
