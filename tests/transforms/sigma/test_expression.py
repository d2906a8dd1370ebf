"""The algebra of conditions, against truth tables."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.sigma import expression
from huntbeam.transforms.sigma.expression import atoms_of, every, negated, possible, some, witnesses
from huntbeam.transforms.sigma.plan import FALSE, TRUE, All, Expression, Not, Some

ATOMS = 5
WORLDS = [tuple(world) for world in product((False, True), repeat=ATOMS)]

plain = st.recursive(
    st.integers(0, ATOMS - 1) | st.sampled_from([TRUE, FALSE]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda of: All(tuple(of))),
        st.lists(inner, max_size=4).map(lambda of: Some(tuple(of))),
        inner.map(Not),
    ),
    max_leaves=12,
)


def truth(one: Expression, world: tuple[bool, ...]) -> bool:
    if isinstance(one, int):
        return world[one]
    if isinstance(one, Not):
        return not truth(one.of, world)
    return (all if isinstance(one, All) else any)(truth(child, world) for child in one.of)


def simplified(one: Expression) -> Expression:
    if isinstance(one, int):
        return one
    if isinstance(one, Not):
        return negated(simplified(one.of))
    return (every if isinstance(one, All) else some)(simplified(child) for child in one.of)


@given(plain)
def test_simplifying_keeps_the_truth(one: Expression) -> None:
    simple = simplified(one)
    assert [truth(simple, world) for world in WORLDS] == [truth(one, world) for world in WORLDS]
    assert set(atoms_of(simple)) <= set(atoms_of(one))
    if simple not in (TRUE, FALSE):
        assert TRUE not in parts(simple)
        assert FALSE not in parts(simple)


def parts(one: Expression) -> list[Expression]:
    if isinstance(one, int):
        return [one]
    children = (one.of,) if isinstance(one, Not) else one.of
    return [one, *(part for child in children for part in parts(child))]


@given(plain, st.dictionaries(st.integers(0, ATOMS - 1), st.booleans()))
def test_what_is_given_is_taken_out(one: Expression, known: dict[int, bool]) -> None:
    left = expression.given(one, known.get)
    for world in WORLDS:
        if all(world[atom] == value for atom, value in known.items()):
            assert truth(left, world) == truth(one, world)
    assert known.keys().isdisjoint(atoms_of(left))


@given(plain)
def test_possible_values_hold_all_that_are(one: Expression) -> None:
    """Atoms 0 to 2 ask one field for the values 0 to 2: of them one is true at most."""
    found = possible(one, lambda atom: frozenset((atom,)) if atom < 3 else None)
    for value in range(4):
        worlds = [w for w in WORLDS if all(w[atom] == (atom == value) for atom in range(3))]
        if found is not None and any(truth(one, world) for world in worlds):
            assert value in found


@given(plain, st.lists(st.sampled_from([None, 0.5, 1.0, 2.0]), min_size=ATOMS, max_size=ATOMS))
def test_one_of_the_witnesses_is_true_whenever_it_holds(one: Expression, costs: list[float | None]) -> None:
    found = witnesses(one, costs.__getitem__)
    if found is not None:
        assert all(costs[atom] is not None for atom in found[1])
        for world in WORLDS:
            assert not truth(one, world) or any(world[atom] for atom in found[1])


def test_the_cheapest_witnesses_are_taken() -> None:
    costs = [3.0, 1.0, 1.0, 9.0, None]
    assert witnesses(All((0, Some((1, 2)), 3)), costs.__getitem__) == (2.0, frozenset((1, 2)))
    assert witnesses(All((0, Some((1, 2, 0)), 4)), costs.__getitem__) == (3.0, frozenset((0,)))
    assert witnesses(Some((0, Not(1))), costs.__getitem__) is None
    assert witnesses(FALSE, costs.__getitem__) == (0, frozenset())
