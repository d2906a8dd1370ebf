"""Letters in any case that stand in every text in which one of a few others does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.sigma.plan import ANYWHERE, Literal
from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.scan import Scan
from huntbeam.transforms.sigma.sieve import FEW, windows

WORDS = {"Event::Clear", "eo.oe.kiwi", "\\mimilib.dll", "Kiwi Legit Printer", "lsadump::"}


@given(st.sampled_from(sorted(WORDS)), st.text(max_size=5), st.text("abk::iwMI. \\", max_size=30))
def test_letters_in_any_case_are_in_every_text_that_may_call(word: str, around: str, other: str) -> None:
    known = windows([fold(one) for one in WORDS])
    assert 0 < len(known) <= FEW
    for text in (other + word.upper() + other, other + word.swapcase(), word.lower() + around):
        assert not text.isascii() or any(one in text.encode() for one in known)
    atoms = {atom: Literal("F", fold(one), ANYWHERE, False) for atom, one in enumerate(WORDS)}
    scan = Scan(atoms, {atom: [1] for atom in atoms})
    assert scan.may_call(around + word.upper() + other)
    assert scan.may_call(other) == bool(scan.look_up(other)[1])


@pytest.mark.parametrize("texts", [["ab", "a::b"], ["Σας", "a::b"], [f"{a}{b}c" for a in "abc" for b in "abc"], []])
def test_where_letters_in_any_case_tell_nothing(texts: list[str]) -> None:
    assert windows(texts) == ()
