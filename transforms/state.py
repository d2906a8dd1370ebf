"""State that outlives a program: a version byte, then msgpack. What an earlier version wrote is read, and lifted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class StateError(Exception):
    """State was written by a version or with settings that this program does not know: it must not go on with it."""


class Versioned(Generic[T]):
    """Packs and unpacks one record type of state.

    `older` maps an earlier version to its record type and the function that lifts it to the present one. A change of
    the record type needs a new version; Beam itself sees nothing but bytes, so that no coder ever changes.
    """

    def __init__(
        self,
        version: int,
        record: type[T],
        older: Mapping[int, tuple[type[msgspec.Struct], Callable[[Any], T]]] | None = None,
    ) -> None:
        self._head = bytes((version,))
        self._name = record.__name__
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(record).decode
        self._older = {bytes((v,)): (msgspec.msgpack.Decoder(r).decode, lift) for v, (r, lift) in (older or {}).items()}

    def pack(self, value: T) -> bytes:
        """The bytes that state holds."""
        return self._head + self._encode(value)

    def unpack(self, packed: bytes) -> T:
        """The value. Raises StateError for a version it does not know."""
        head, body = packed[:1], memoryview(packed)[1:]
        if head == self._head:
            return self._decode(body)
        if head in self._older:
            decode, lift = self._older[head]
            return lift(decode(body))
        raise StateError(
            f"state of {self._name} has version {head.hex() or 'none'}, this program knows {self._head.hex()}: "
            "resume it with the program that wrote it, or start without the savepoint"
        )
