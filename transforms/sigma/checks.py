"""Conditions as functions of the set of true atoms: literals first, what has to be computed last and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import NamedTuple

from huntbeam.transforms.sigma.leaves import Leaf, View, leaf
from huntbeam.transforms.sigma.plan import All, Atom, Expression, Glob, Literal, Not, Number, Regex, Some

Found = AbstractSet[int]  # the atoms that were looked up and are true
Check = Callable[[Found, View], bool]

_PRICE = {Regex: 8, Glob: 8}
_by_price = attrgetter("price")


class _Part(NamedTuple):
    check: Check
    price: int


class Builder:
    """Makes checks of the expressions of one rule set. Leaves are made once, however many rules share them.

    `requires` says which literal an atom needs to be true.
    """

    def __init__(self, atoms: Sequence[Atom], requires: Mapping[int, int]) -> None:
        self._atoms = atoms
        self._requires = requires
        self._leaves: dict[int, Leaf] = {}

    def check(self, expression: Expression) -> Check:
        """The expression as a function."""
        return self._part(expression).check

    def _part(self, expression: Expression) -> _Part:
        if isinstance(expression, All):
            return self._every(expression.of)
        if isinstance(expression, Some):
            return self._some(expression.of)
        if isinstance(expression, Not):
            return self._every((expression,))
        if self._is_looked_up(expression):
            return _Part(lambda found, _view: expression in found, 0)
        return self._computed(expression)

    def _is_looked_up(self, atom: int) -> bool:
        return isinstance(self._atoms[atom], Literal | Number)

    def _lookups(self, expression: Expression) -> frozenset[int] | None:
        """The atoms of which one is enough, when they are all that is asked for."""
        children = expression.of if isinstance(expression, Some) else (expression,)
        atoms = [child for child in children if isinstance(child, int) and self._is_looked_up(child)]
        return frozenset(atoms) if len(atoms) == len(children) else None

    def _computed(self, atom: int) -> _Part:
        test = self._leaves.get(atom)
        if test is None:
            test = self._leaves[atom] = leaf(self._atoms[atom])
        required_atom = self._requires.get(atom)

        def check(found: Found, view: View) -> bool:
            if required_atom is not None and required_atom not in found:
                return False
            truth = view.known.get(atom)
            if truth is None:
                truth = view.known[atom] = test(view)
            return truth

        return _Part(check, _PRICE.get(type(self._atoms[atom]), 2))

    def _every(self, children: Iterable[Expression]) -> _Part:
        needed: set[int] = set()
        barred: set[int] = set()
        parts: list[_Part] = []
        for child in children:
            if isinstance(child, int) and self._is_looked_up(child):
                needed.add(child)
            elif isinstance(child, Not):
                lookups = self._lookups(child.of)
                if lookups is None:
                    parts.append(_opposite(self._part(child.of)))
                else:
                    barred |= lookups
            else:
                parts.append(self._part(child))
        return _all_of(frozenset(needed), frozenset(barred), sorted(parts, key=_by_price))

    def _some(self, children: Iterable[Expression]) -> _Part:
        enough: set[int] = set()
        parts: list[_Part] = []
        for child in children:
            if isinstance(child, int) and self._is_looked_up(child):
                enough.add(child)
            else:
                parts.append(self._part(child))
        return _some_of(frozenset(enough), sorted(parts, key=_by_price))


def _opposite(part: _Part) -> _Part:
    check = part.check
    return _Part(lambda found, view: not check(found, view), part.price)


def _all_of(needed: frozenset[int], barred: frozenset[int], parts: list[_Part]) -> _Part:
    checks = tuple(part.check for part in parts)

    def check(found: Found, view: View) -> bool:
        if not (needed <= found and barred.isdisjoint(found)):
            return False
        for one in checks:  # noqa: SIM110  # all() over a generator takes twice as long
            if not one(found, view):
                return False
        return True

    return _Part(check, 1 + sum(part.price for part in parts))


def _some_of(enough: frozenset[int], parts: list[_Part]) -> _Part:
    checks = tuple(part.check for part in parts)

    def check(found: Found, view: View) -> bool:
        if not enough.isdisjoint(found):
            return True
        for one in checks:  # noqa: SIM110  # as above
            if one(found, view):
                return True
        return False

    return _Part(check, 1 + sum(part.price for part in parts))
