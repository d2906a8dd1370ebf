"""What every digest does with a reader's items, whatever its records are: passes them on, counts, refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from huntbeam.schemas.dead_letter import Original, RecordError, dead_letter
from huntbeam.transforms.read import Block, Records, Torn

if TYPE_CHECKING:
    from huntbeam.transforms.digest import Digested

_NEWLINE = b"\n"[0]


class Feeding:
    """Feeds on blocks and records, gives up what they became."""

    _out: Digested
    _tallies: dict[str, int]

    def feed(self, item: Block | Records | Torn, source: str, index: int) -> None:
        """One item of a reader. Never raises for what the item holds."""
        self._out.consumed += item.consumed
        if isinstance(item, Block):
            self._block(item, source, index)
        elif isinstance(item, Records):
            for position, raw in item.items:
                self.record(raw, source, index, position)
        else:
            self._out.dead_letters.append(dead_letter(item.error, item.original, source, item.position))

    def record(self, raw: bytes, source: str, index: int, position: int | None, partition: int | None = None) -> None:
        """One record as it came."""
        raise NotImplementedError

    def null(self) -> None:
        """A record without a value (a tombstone) is only counted."""
        self._tally("null_values")

    def _block(self, block: Block, source: str, index: int) -> None:
        raise NotImplementedError

    def _refuse(
        self, error: RecordError, original: bytes, source: str, position: int | None, partition: int | None
    ) -> None:
        self._out.dead_letters.append(dead_letter(error, Original.of(original), source, position, partition))

    def _tally(self, name: str) -> None:
        self._tallies[name] = self._tallies.get(name, 0) + 1


def line_ends(block: Block) -> list[int]:
    """Where each line of a block ends; the last may end with the block."""
    find, stop = block.buffer.find, block.stop
    ends = []
    end = find(b"\n", block.start, stop)
    while end >= 0:
        ends.append(end)
        end = find(b"\n", end + 1, stop)
    if block.start < stop and block.buffer[stop - 1] != _NEWLINE:
        ends.append(stop)
    return ends


def whole_lines(block: Block) -> Iterator[tuple[int, bytes, bytes]]:
    """The lines of a block: where each stands in the original, its text, and the bytes that the text was made of."""
    start = block.start
    for end in line_ends(block):
        line = bytes(block.data[start:end])
        original = line if block.wide is None else block.original(start, end)
        yield block.position(start), line, original
        start = end + 1


def internal(error: Exception) -> RecordError:
    """What a record is refused for when the fault is ours."""
    return RecordError("parse", "InternalError", f"a fault of HuntBeam's own, please report it: {type(error).__name__}")
