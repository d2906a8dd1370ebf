"""Join's wiring for unbounded input: a stateful DoFn with timers, one key at a time. The core is join_keyed.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import msgspec

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import NetworkConnect, ProcessTerminate
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.join import ZERO_GUID, JoinKind, Output, given_up
from huntbeam.transforms.join_batches import JoinBatches
from huntbeam.transforms.join_keyed import keyed_join
from huntbeam.transforms.keyed_match import Waits
from huntbeam.transforms.keyed_match_beam import GatherElements, MatchKeyFn
from huntbeam.transforms.keyed_match_state import CREATE, END, ITEM, Element
from huntbeam.transforms.rekey import key

_KEYED = "keyed"


@dataclass
class JoinUnbounded(beam.PTransform):
    """Batches of creates, connects and terminations, with arrivals as timestamps -> tagged batches, as JoinBounded.

    Nothing is lost however late or out of order it comes: semantics.md, rules 7 to 10 and 15 to 16. `read_time` says
    that arrivals are times of reading, which stand still while the job does (rule 3).
    """

    kind: JoinKind = JoinKind.INNER
    waits: Waits = field(default_factory=Waits)
    read_time: bool = False

    def expand(self, rows: beam.PCollection) -> dict[str, beam.PCollection]:
        """PCollection[list[ProcessCreate | NetworkConnect | ProcessTerminate]] -> PCollections by stream."""
        gathered = rows | "Gather" >> tagged(
            _Gather(self.kind), streams.JOIN, streams.UNMATCHED, main=_KEYED, main_type=tuple[str, bytes]
        )
        keys = gathered[_KEYED] | "Keys" >> tagged(
            JoinKeyFn(self.kind, self.waits, self.read_time), streams.JOIN, streams.UNMATCHED
        )
        return {
            stream: (gathered[stream], keys[stream]) | f"Both_{stream}" >> beam.Flatten()
            for stream in (streams.JOIN, streams.UNMATCHED)
        }


_encode = msgspec.msgpack.Encoder().encode


class _Gather(GatherElements):
    """Connects with the all-zero GUID never meet a key: they would all be one."""

    def __init__(self, kind: JoinKind) -> None:
        self._kind = kind
        self._batches = JoinBatches(self.__class__)

    def brought(self, a: int, row: Any) -> Iterable[tuple[str, Element] | Output]:
        of = key(row)
        if of is not None:
            return (("|".join(of), _element(a, row)),)
        return given_up(row, ZERO_GUID, self._kind) if isinstance(row, NetworkConnect) else ()

    def put_out(self, rows: list[Output]) -> Iterator[beam.pvalue.TaggedOutput]:
        yield from self._batches.of(rows)


def _element(a: int, row: Any) -> Element:
    if isinstance(row, ProcessTerminate):
        return Element(a, END)
    return Element(a, ITEM if isinstance(row, NetworkConnect) else CREATE, _encode(row))


class JoinKeyFn(MatchKeyFn, timers="join"):
    """One key's join."""

    def __init__(self, kind: JoinKind, waits: Waits, read_time: bool = False) -> None:
        super().__init__(keyed_join(kind, waits), read_time)
        self._batches = JoinBatches(self.__class__)

    def put_out(self, rows: Iterator[Any]) -> Iterator[beam.pvalue.TaggedOutput]:
        """Rows by stream."""
        yield from self._batches.of(rows)
