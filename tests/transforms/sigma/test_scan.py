"""The scan of a value, against looking for every literal by itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.transforms.sigma.leaves import View, leaf
from huntbeam.transforms.sigma.plan import ANYWHERE, END, START, WHOLE, Literal, Number
from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.scan import REMEMBERED, Scan
from tests.conftest import examples

LETTERS = "aAbΣς"
fields = st.sampled_from(["F", None])
literals = st.builds(
    lambda field, text, at, cased: Literal(field, text if cased else fold(text), at, cased),
    fields,
    st.text(LETTERS, max_size=3),
    st.sampled_from([WHOLE, START, END, ANYWHERE]),
    st.booleans(),
)
numbers = st.builds(Number, st.just("F"), st.sampled_from([0, 1, 7, -3, 1.5, 2**40]))
one_value = st.one_of(
    st.text(LETTERS, max_size=8),
    st.sampled_from([0, 1, 7, 1.5, 7.0, True, False, "7", "0x7", " 1 ", "-3", "1.50"]),
)
values = st.one_of(one_value, st.lists(st.one_of(one_value, st.none()), max_size=3), st.none())


@settings(max_examples=examples(500))
@given(st.lists(st.one_of(literals, numbers), unique=True, max_size=12), st.lists(values, max_size=6))
def test_it_finds_what_each_leaf_finds(atoms: list[Literal | Number], found: list[Any]) -> None:
    calls = {index: [index, 100 + index % 3] for index in range(len(atoms)) if index % 4}
    scan = Scan(dict(enumerate(atoms)), calls)
    for value in found + found:  # the second time from memory
        expected = {index for index, atom in enumerate(atoms) if leaf(atom)(View({"F": value}))}
        true, called = scan.look_up(value)
        assert true == expected
        assert called == {check for index in expected for check in calls.get(index, ())}


def test_ends_are_ends() -> None:
    words = ["b", "ab", "bab", "a"]
    starts = {number: Literal("F", word, START, False) for number, word in enumerate(words)}
    ends = {4 + number: Literal("F", word, END, False) for number, word in enumerate(words)}
    scan = Scan({**starts, **ends}, {})
    assert scan.look_up("bab")[0] == {0, 2, 4, 5, 6}
    assert scan.look_up("abba")[0] == {1, 3, 7}
    assert scan.look_up("xabx")[0] == set()


words = st.text("abΣ", max_size=4)


@given(st.lists(words, min_size=1, max_size=5), st.text("abΣ", max_size=12), words, words, st.booleans())
def test_what_stands_in_a_text_that_was_looked_up_is_not_looked_up_again(
    wanted: list[str], inner: str, before: str, behind: str, at_the_end: bool
) -> None:
    literals = {index: Literal(None, fold(text), ANYWHERE, False) for index, text in enumerate(wanted)}
    if at_the_end:
        literals[len(wanted)] = Literal(None, fold(wanted[0]), END, False)
    scan, whole = Scan(literals, {}), before + inner + behind
    rest = scan.beyond(whole, ["no part", inner])
    assert rest == whole if at_the_end else isinstance(rest, list)
    parts = [*rest, inner] if isinstance(rest, list) else [rest, inner]
    assert scan.look_up(parts)[0] == scan.look_up([whole, inner])[0]


def test_what_is_remembered_stays_bounded_and_right() -> None:
    scan = Scan({0: Literal("F", "7", END, False)}, {0: [5]})
    for number in range(3 * REMEMBERED):
        assert scan.look_up(f"value {number}")[0] == ({0} if number % 10 == 7 else set())
    assert len(scan.remembered) <= REMEMBERED
    assert scan.look_up("x" * 100_000 + "7") == ({0}, {5})
    assert len(max(map(str, scan.remembered), key=len)) < 100


def test_true_is_not_one() -> None:
    scan = Scan({0: Number("F", 1), 1: Literal("F", "true", WHOLE, False)}, {})
    assert [scan.look_up(value)[0] for value in (1, True, 1.0, "1")] == [{0}, {1}, {0}, {0}]
