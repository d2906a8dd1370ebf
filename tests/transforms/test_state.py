"""State values carry a version."""

from __future__ import annotations

import msgspec
import pytest

from huntbeam.transforms.state import StateError, Versioned


class Old(msgspec.Struct, array_like=True):
    count: int


class New(msgspec.Struct, array_like=True):
    count: int
    late: int


def lift(old: Old) -> New:
    return New(old.count, 0)


def test_what_was_packed_is_unpacked() -> None:
    state = Versioned(1, New)
    assert state.unpack(state.pack(New(3, 1))) == New(3, 1)


def test_an_earlier_version_is_lifted() -> None:
    packed = Versioned(1, Old).pack(Old(7))
    assert Versioned(2, New, {1: (Old, lift)}).unpack(packed) == New(7, 0)


@pytest.mark.parametrize("packed", [b"", Versioned(3, New).pack(New(1, 1))])
def test_an_unknown_version_is_refused(packed: bytes) -> None:
    with pytest.raises(StateError, match="resume it with the program that wrote it"):
        Versioned(2, New, {1: (Old, lift)}).unpack(packed)
