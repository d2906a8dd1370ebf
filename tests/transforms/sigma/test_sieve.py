"""Letters in any case that stand in every text in which one of a few others does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.sigma.plan import ANYWHERE, Literal
from huntbeam.transforms.sigma.readings import fold, texts
from huntbeam.transforms.sigma.scan import Scan
from huntbeam.transforms.sigma.sieve import FEW, RecordSieve, windows

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


ODD = {"s": "ſ", "k": "\N{KELVIN SIGN}", "K": "\N{KELVIN SIGN}", "e": "é"}
pieces = st.sampled_from(
    [*WORDS, *(one.swapcase() for one in WORDS), "::", "k", "\\", '"', "/", "\n", "1e5", ":tru", "[1,", "ſ", "é", "x y"]
)
written = st.lists(pieces, max_size=3).map("".join)
odd = written.map(lambda text: "".join(ODD.get(letter, letter) for letter in text))
leaves = st.one_of(written, odd, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
nested = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(written, inner, max_size=2))


def spellings(value: Any) -> list[bytes]:
    """The same JSON as several libraries write it, one of which escapes whatever it can."""
    plain = [json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, separators=(",", ":"))]
    escaped = "".join(f"\\u{ord(one):04x}" if one.isalpha() and one not in "eE" else one for one in plain[0])
    return [*(one.encode() for one in plain), json.dumps(json.dumps(value)).encode()] + (
        [escaped.encode()] if isinstance(value, str) and "\\" not in plain[0] else []
    )


@given(nested, st.lists(st.sampled_from([*sorted(WORDS), ":true", '":1', "1e5::", "a,b", "skew"]), min_size=1))
def test_no_record_that_holds_a_text_is_ruled_out(value: Any, words: list[str]) -> None:
    folded = {fold(word) for word in words}
    sieve = RecordSieve(folded)
    for record in spellings(value):
        if any(word in fold(text) for text in texts(json.loads(record)) for word in folded):
            assert not sieve.rules_out(record)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("kiwi", rb'{"a": "\u006b\u0069\u0077\u0069"}'),
        ("kkk", rb'{"a": "\u212a\u212A\u212a"}'),
        ("sss", rb'{"a": "\u017f\u017F\u017f"}'),
        ("sss", '{"a": "ſſſ"}'.encode()),
        ("a::b", rb'{"a": "A::B"}'),
    ],
)
def test_letters_stand_in_a_record_in_many_ways(text: str, record: bytes) -> None:
    assert text in fold(json.loads(record)["a"])
    sieve = RecordSieve({text})
    assert sieve.is_of_use
    assert not sieve.rules_out(record)


def test_a_sieve_that_seldom_rules_out_is_given_up() -> None:
    sieve = RecordSieve({"kiwi"})
    assert all(sieve.rules_out(b'{"a": "wiki"}') for _ in range(1_000))
    assert not any(sieve.rules_out(b'{"a": "kiwi"}') for _ in range(1_000))
    assert not sieve.is_of_use
    assert not sieve.rules_out(b'{"a": "wiki"}')


@pytest.mark.parametrize("text", ["", "ab", "443", "-1.5e3", "Σας", ":tr", "a,b", '":{', "\\n\\t", "C:\\"])
def test_without_letters_that_stand_as_they_are_there_is_no_sieve(text: str) -> None:
    assert not RecordSieve({text, "kiwi"}).is_of_use
    assert not RecordSieve({text, "kiwi"}).rules_out(b"{}")
