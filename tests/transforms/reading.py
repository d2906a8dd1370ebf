"""What the tests of reading share: a sample of lines, a slow stream, and what came out of a reader."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from huntbeam.transforms.read import Block, FileInfo, Records, Torn, read, read_stream, spans

LINES = [b'{"a":1}', b'{"b":"two"}', b"", b'{"c":[1,2,{"d":null}]}', '{"e":"é€😀"}'.encode()]
PLAIN = b"".join(line + b"\n" for line in LINES)


class Trickle(io.RawIOBase):
    """A stream that cannot be sought in and gives a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def readable(self) -> bool:
        return True

    def skip(self, to: int) -> Trickle:
        self._data.seek(to)
        return self

    def tell(self) -> int:
        return self._data.tell()

    def readinto(self, view: Any) -> int:
        got = self._data.read(min(len(view), self._step))
        view[: len(got)] = got
        return len(got)


class Got:
    """What came out of a reader, copied while it was valid, and checked on the way."""

    def __init__(self, items: Any) -> None:
        self.lines: list[bytes] = []
        self.positions: list[int] = []
        self.originals: list[bytes] = []
        self.elements: list[tuple[int, bytes]] = []
        self.torn: list[Torn] = []
        self.text = b""
        self.consumed = 0
        for item in items:
            assert item.consumed >= 0
            self.consumed += item.consumed
            if isinstance(item, Torn):
                assert item.error.step == "read"
                self.torn.append(item)
            elif isinstance(item, Records):
                assert item.items or item.consumed
                self.elements += item.items
            else:
                self._block(item)

    def _block(self, block: Block) -> None:
        data = bytes(block.data)
        assert data
        assert not self.text or self.text.endswith(b"\n")
        self.text += data
        start = 0
        for line in data.removesuffix(b"\n").split(b"\n"):
            self.lines.append(line)
            self.positions.append(block.position(start))
            self.originals.append(block.original(start, start + len(line)))
            start += len(line) + 1

    @property
    def classes(self) -> list[str]:
        return [t.error.error_class for t in self.torn]


def stream(data: bytes, step: int = 7, **sizes: int) -> Got:
    return Got(read_stream(Trickle(data, step), **sizes))  # type: ignore[arg-type]


def file(path: Path, data: bytes, piece: int = 64 << 20, **sizes: int) -> Got:
    path.write_bytes(data)
    return Got(item for span in spans([FileInfo(str(path), len(data))], piece) for item in read(span, **sizes))
