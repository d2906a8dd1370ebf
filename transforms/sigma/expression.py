"""Expressions over atoms: built simplified, searched for what must hold. Pure algebra, nothing of Sigma."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import is_, itemgetter
from typing import TypeVar

from huntbeam.transforms.sigma.plan import FALSE, TRUE, All, Expression, Not, Some

T = TypeVar("T", int, str)

_price = itemgetter(0)


def every(children: Iterable[Expression]) -> Expression:
    """All of them: nested ones are flattened, repeated ones taken once."""
    flat = _flat(children, All)
    if FALSE in flat:
        return FALSE
    return flat[0] if len(flat) == 1 else All(tuple(flat))


def some(children: Iterable[Expression]) -> Expression:
    """At least one of them."""
    flat = _flat(children, Some)
    if TRUE in flat:
        return TRUE
    return flat[0] if len(flat) == 1 else Some(tuple(flat))


def negated(child: Expression) -> Expression:
    """Not that."""
    if child in (TRUE, FALSE):
        return FALSE if child == TRUE else TRUE
    return child.of if isinstance(child, Not) else Not(child)


def _flat(children: Iterable[Expression], kind: type[All | Some]) -> list[Expression]:
    flat: dict[Expression, None] = {}
    for child in children:
        flat.update(dict.fromkeys(child.of) if isinstance(child, kind) else {child: None})
    return list(flat)


def atoms_of(expression: Expression) -> list[int]:
    """The atoms in it, in their order, each as often as it stands there."""
    found: list[int] = []
    _collect(expression, found)
    return found


def _collect(expression: Expression, found: list[int]) -> None:
    if isinstance(expression, int):
        found.append(expression)
    elif isinstance(expression, Not):
        _collect(expression.of, found)
    else:
        for child in expression.of:
            _collect(child, found)


def renumbered(expression: Expression, places: Mapping[int, int]) -> Expression:
    """The same over atoms that stand elsewhere."""
    if isinstance(expression, int):
        return places[expression]
    if isinstance(expression, Not):
        return Not(renumbered(expression.of, places))
    return type(expression)(tuple(renumbered(child, places) for child in expression.of))


def given(expression: Expression, known: Callable[[int], bool | None]) -> Expression:
    """What is left of it when some atoms are known; None: not known."""
    if isinstance(expression, int):
        truth = known(expression)
        return expression if truth is None else TRUE if truth else FALSE
    if isinstance(expression, Not):
        child = given(expression.of, known)
        return expression if child is expression.of else negated(child)
    children = [given(child, known) for child in expression.of]
    if all(map(is_, children, expression.of)):
        return expression  # most of it, and it is joined already
    return (every if isinstance(expression, All) else some)(children)


def at_most(expression: Expression, unknown: Callable[[int], bool], *, wanted: bool = True) -> Expression:
    """What holds, of the known atoms alone, whenever the expression does, whatever the unknown ones are.

    With `wanted` false: what does not hold whenever the expression does not.
    """
    if isinstance(expression, int):
        return (TRUE if wanted else FALSE) if unknown(expression) else expression
    if isinstance(expression, Not):
        return negated(at_most(expression.of, unknown, wanted=not wanted))
    join = every if isinstance(expression, All) else some
    return join(at_most(child, unknown, wanted=wanted) for child in expression.of)


def possible(expression: Expression, values: Callable[[int], frozenset[T] | None]) -> frozenset[T] | None:
    """The values of one field with which it can hold at all; None: any. `values` says the same of an atom."""
    if isinstance(expression, int):
        return values(expression)
    if isinstance(expression, Not):
        return None
    found = [possible(child, values) for child in expression.of]
    if isinstance(expression, Some):
        return None if None in found else frozenset().union(*(one for one in found if one is not None))
    known = [one for one in found if one is not None]
    return frozenset.intersection(*known) if known else None


def witnesses(expression: Expression, cost: Callable[[int], float | None]) -> tuple[float, frozenset[int]] | None:
    """Atoms of which at least one is true whenever it holds, the cheapest such set found; None: there is none.

    `cost` is about how often an atom is true; None: the atom is not looked up, so it is no witness.
    """
    found = _cheapest(expression, cost)
    return None if found is None else (found[0], frozenset(atoms_of(found[1])))


def _cheapest(expression: Expression, cost: Callable[[int], float | None]) -> tuple[float, Expression] | None:
    """The witnesses as an expression: sets of them are made once, not at every turn."""
    if isinstance(expression, int):
        price = cost(expression)
        return None if price is None else (price, expression)
    if isinstance(expression, Not):
        return None
    found = [_cheapest(child, cost) for child in expression.of]
    if isinstance(expression, All):
        return min((one for one in found if one is not None), key=_price, default=None)
    if None in found:
        return None
    every_one = [one for one in found if one is not None]
    return sum(map(_price, every_one)), Some(tuple(one for _, one in every_one))
