"""Rows that are put out again when they change, and taken back when they no longer hold."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

_encode = msgspec.msgpack.Encoder().encode


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """What was put out last of a row."""

    mark: bytes  # of its content
    revision: int = 0
    retracted: bool = False


def mark(row: msgspec.Struct) -> bytes:
    """What tells the content of a row from any other; the row as replay puts it out."""
    return blake2b(_encode(row), digest_size=12).digest()


def revised(shown: Shown | None, mark: bytes | None) -> Shown | None:
    """What is to be put out of a row; None where that was put out already. No mark: the row does not hold."""
    if shown is None:
        return None if mark is None else Shown(mark)
    if mark is None:
        return None if shown.retracted else Shown(shown.mark, shown.revision + 1, True)
    if mark == shown.mark and not shown.retracted:
        return None
    return Shown(mark, shown.revision + 1)
