"""A key's state on Beam's bags, against the cell in memory that the cores are tested with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.arrival import millis
from huntbeam.transforms.beam_cell import BeamCell
from tests.transforms.keyed import NOON, Cell


@dataclass
class Bag:
    """Beam's bag state."""

    values: list[bytes] = field(default_factory=list)

    def read(self) -> list[bytes]:
        return list(self.values)

    def add(self, value: bytes) -> None:
        self.values.append(value)

    def clear(self) -> None:
        self.values.clear()


@dataclass
class Timer:
    """Beam's timer."""

    at: int | None = None

    def set(self, at: Any) -> None:
        self.at = millis(at)


entries = st.lists(st.binary(max_size=3), max_size=3)
calls = st.lists(
    st.tuples(st.just("add"), st.binary(max_size=3))
    | st.tuples(st.just("replace"), entries)
    | st.tuples(st.just("set_due"), st.integers(0, NOON)),
    max_size=4,
)


@given(st.lists(st.tuples(calls, st.none() | st.binary(max_size=3)), max_size=30))
def test_state_is_that_of_a_cell_in_memory(bundles: list[tuple[list[tuple[str, Any]], bytes | None]]) -> None:
    head, log, due, memory = Bag(), Bag(), Timer(), Cell()
    for called, kept in bundles:
        cell = BeamCell(head, log, due)
        assert (cell.head(), list(cell.log())) == (memory.head(), list(memory.log()))
        for name, value in called:
            getattr(cell, name)(value)
            getattr(memory, name)(value)
        cell.keep(kept)
        memory.keep(kept)
        assert len(head.values) <= BeamCell.MOST
        assert due.at == memory.timer
    assert (BeamCell(head, log, due).head(), log.values) == (memory.known, memory.entries)
