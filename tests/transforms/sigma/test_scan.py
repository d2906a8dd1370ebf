"""The scan of a value, against looking for every literal by itself."""

from __future__ import annotations

import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from huntbeam.transforms.sigma import scan as scan_module
from huntbeam.transforms.sigma.leaves import View, leaf
from huntbeam.transforms.sigma.plan import ANYWHERE, END, START, WHOLE, Literal, Number
from huntbeam.transforms.sigma.readings import fold, texts
from huntbeam.transforms.sigma.scan import LEAST, REMEMBERED_LENGTH, ROOM, WORTH, Scan, _Texts
from huntbeam.transforms.sigma.sieve import FEW, RecordSieve, sieve_of
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
    for value in found:
        expected = {index for index, atom in enumerate(atoms) if leaf(atom)(View({"F": value}))}
        looked_up = [scan.look_up(text) for text in texts(value)]
        assert {atom for true, _ in looked_up for atom in true} == expected
        called = {check for index in expected for check in calls.get(index, ())}
        assert {check for _, checks in looked_up for check in checks} == called


@settings(max_examples=examples(500))
@given(
    st.lists(literals, unique=True, max_size=6),
    st.lists(st.text("aAbΣ\n", max_size=12), max_size=4),
    st.integers(1, 5),
    st.integers(0, 8),
)
@example([Literal("F", "a\nb", ANYWHERE, False)], ["xxxa\nbxxx"], 2, 3)
@example([Literal("F", "\n", ANYWHERE, False)], ["xxxabxxxa\n"], 2, 3)
@example([Literal("F", "\n", ANYWHERE, False)], ["xxxabxxxa"], 2, 3)
def test_line_by_line_it_finds_the_same(atoms: list[Literal], found: list[str], line: int, room: int) -> None:
    at = dict(enumerate(atoms))
    expected = [Scan(at, {}).look_up(text) for text in found]
    with patch.multiple(scan_module, REMEMBERED_LENGTH=3, LEAST=line, LINES_ROOM=room):
        scan = Scan(at, {})
        assert [scan.look_up(text) for text in (*found, *found)] == expected * 2
        assert sum(map(len, scan._lines)) <= room


def test_long_lines_are_scanned_once() -> None:
    shell = "host application = powershell -enc " + "A" * 3_000
    scan = Scan({0: Literal("F", "-enc", ANYWHERE, False), 1: Literal("F", "e = 7", ANYWHERE, False)}, {})
    with patch.object(_Texts, "find", autospec=True, side_effect=_Texts.find) as find:
        found = [scan.look_up(f"sequence = {number}\n{shell}\nuser = a")[0] for number in range(6, 9)]
    assert found == [{0}, {0, 1}, {0}]
    assert sorted(len(call.args[1]) for call in find.call_args_list)[:3] == [len("sequence = 6\nuser = a")] * 3
    assert len(find.call_args_list) == 4


def test_ends_are_ends() -> None:
    words = ["b", "ab", "bab", "a"]
    starts = {number: Literal("F", word, START, False) for number, word in enumerate(words)}
    ends = {4 + number: Literal("F", word, END, False) for number, word in enumerate(words)}
    scan = Scan({**starts, **ends}, {})
    assert scan.look_up("bab")[0] == {0, 2, 4, 5, 6}
    assert scan.look_up("abba")[0] == {1, 3, 7}
    assert scan.look_up("xabx")[0] == set()


@settings(max_examples=examples(300))
@given(st.lists(literals, unique=True, max_size=12), st.sets(st.integers(0, 11)), st.text(LETTERS, max_size=12))
def test_what_may_not_call_calls_for_nothing(atoms: list[Literal], calling: set[int], value: str) -> None:
    scan = Scan(dict(enumerate(atoms)), {atom: [atom] for atom in calling})
    called = scan.look_up(value)[1]
    assert scan.may_call(value) or not called
    everywhere = {index for index, atom in enumerate(atoms) if atom.at == ANYWHERE and not atom.cased and atom.text}
    if calling & set(range(len(atoms))) <= everywhere:
        assert scan.may_call(value) == bool(called)


def test_what_is_not_sieved_may_call() -> None:
    number, empty = Number("F", 1), Literal("F", "", ANYWHERE, False)
    many = {atom: Literal("F", f"word {atom:03}", ANYWHERE, False) for atom in range(FEW + 1)}
    assert Scan({0: number}, {0: [1]}).may_call("x")
    assert Scan({0: empty}, {0: [1]}).may_call("x")
    assert Scan(many, {atom: [1] for atom in many}).may_call("x")
    assert not Scan(many, {atom: [1] for atom in range(FEW)}).may_call("word 060")
    assert not Scan({0: number, 1: empty}, {}).may_call("1")


@pytest.mark.parametrize("text", ["invoke-", "İnvoke-"])
def test_texts_that_begin_alike_are_told_apart(text: str) -> None:
    words = {atom: Literal("F", fold(f"{text}{atom:02}.ps1"), ANYWHERE, False) for atom in range(FEW)}
    scan = Scan(words, {atom: [atom] for atom in words})
    long = "".join(f"{text}{atom:02}.psm " for atom in range(FEW))
    assert not scan.may_call(long * 50)
    assert all(scan.may_call(f"{long}{text.upper()}{atom:02}.PS1") for atom in range(FEW))


@pytest.mark.parametrize(("length", "kept"), [(20, ROOM // LEAST), (LEAST, ROOM // LEAST), (REMEMBERED_LENGTH, 256)])
def test_what_is_remembered_stays_bounded_and_right(length: int, kept: int) -> None:
    scan = Scan({0: Literal("F", "7", END, False)}, {0: [5]})
    for number in range(3 * kept):
        assert scan.look_up(f"value {number}".rjust(length))[0] == ({0} if number % 10 == 7 else set())
        assert len(scan.remembered) == number % kept + 1
    assert scan.look_up("x" * 100_000 + "7") == ({0}, {5})
    assert len(max(map(str, scan.remembered), key=len)) == length


def test_true_is_not_one() -> None:
    scan = Scan({0: Number("F", 1), 1: Literal("F", "true", WHOLE, False)}, {})
    assert [scan.look_up(*texts(value))[0] for value in (1, True, 1.0, "1")] == [{0}, {1}, {0}, {0}]


def test_an_automaton_that_is_made_anew_finds_the_same() -> None:
    words = {atom: Literal("F", f"word {atom}", ANYWHERE, False) for atom in range(3)}
    scan, text = Scan(words, {}), "a word 1, " + "x" * REMEMBERED_LENGTH
    times = 3 * WORTH * len(words) // len(text)
    assert {scan.look_up(text)[0] for _ in range(times)} == {frozenset((1,))}


def test_a_letter_that_stands_everywhere_is_told_once() -> None:
    found = _Texts([(0, Literal("F", "a", ANYWHERE, False)), (1, Literal("F", "ab", ANYWHERE, False))])
    assert found.find(b"a" * 10_000) == [0]
    assert sorted(found.find(b"xab")) == [0, 1]
    sieve = sieve_of((b"a", b"bc"))
    assert sieve(b"x" + b"a" * 10_000) is True
    assert sieve(b"xbc")
    assert not sieve(b"xyz")


@settings(max_examples=examples(300))
@given(st.lists(literals, unique=True, max_size=6), st.text(LETTERS, max_size=40), st.integers(1, 8))
def test_piece_by_piece_it_finds_the_same(atoms: list[Literal], text: str, piece: int) -> None:
    at = dict(enumerate(atoms))
    expected = Scan(at, {}).look_up(text)
    with patch.object(scan_module, "PIECE", piece):
        assert Scan(at, {}).look_up(text) == expected


def test_a_value_in_which_something_stands_everywhere_takes_no_memory() -> None:
    scan = Scan({0: Literal("F", "-k", ANYWHERE, False), 1: Literal("F", "k-", ANYWHERE, False)}, {0: [0], 1: [1]})
    record = RecordSieve({"kkk"})
    text = "-kkk" * 200_000
    tracemalloc.start()
    try:
        assert scan.may_call(text)
        assert scan.look_up(text)[0] == {0, 1}
        assert not record.rules_out(text.encode())
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
