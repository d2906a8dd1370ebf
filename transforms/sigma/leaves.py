"""What each atom asks of an event, one by one and without an index: the meaning of every leaf of a rule.

The matcher looks literals and numbers up in automata instead (scan.py); explanations ask here.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from operator import eq, ge, gt, le, lt

from huntbeam.transforms.sigma.patterns import glob, regex
from huntbeam.transforms.sigma.plan import (
    ANYWHERE,
    END,
    START,
    WHOLE,
    Atom,
    Cidr,
    Compare,
    Exists,
    Glob,
    Literal,
    Null,
    Number,
    Reference,
    Regex,
)
from huntbeam.transforms.sigma.readings import Fields, address, fold, number, texts, time_part

OPERATORS: dict[str, Callable[[float, float], bool]] = {"eq": eq, "lt": lt, "lte": le, "gt": gt, "gte": ge}
PLACES: dict[str, Callable[[str, str], bool]] = {
    WHOLE: str.__eq__,
    START: str.startswith,
    END: str.endswith,
    ANYWHERE: str.__contains__,
}


class View:
    """The fields of one event, read at most once each."""

    __slots__ = ("_folded", "_texts", "fields", "known")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.known: dict[int, bool] = {}  # what a matcher has asked already
        self._texts: dict[str | None, tuple[str, ...]] = {}
        self._folded: dict[str | None, tuple[str, ...]] = {}

    def texts(self, field: str | None) -> tuple[str, ...]:
        """The texts of a field; of all fields without one."""
        found = self._texts.get(field)
        if found is None:
            if field is None:
                found = tuple(text for value in self.fields.values() for text in texts(value))
            else:
                found = texts(self.fields.get(field))
            self._texts[field] = found
        return found

    def folded(self, field: str | None) -> tuple[str, ...]:
        """The same without case."""
        found = self._folded.get(field)
        if found is None:
            found = self._folded[field] = tuple(map(fold, self.texts(field)))
        return found


Leaf = Callable[[View], bool]


def leaf(atom: Atom) -> Leaf:
    """Whether an atom is true of an event. Raises ValueError for an expression that cannot run."""
    if isinstance(atom, Null):
        return lambda view: not view.texts(atom.field)
    if isinstance(atom, Exists):
        return lambda view: atom.field in view.fields
    if isinstance(atom, Reference):
        return _reference(atom)
    if isinstance(atom, Literal | Glob) and not atom.cased:
        test = test_of(atom)
        return lambda view: any(map(test, view.folded(atom.field)))
    test = test_of(atom)
    return lambda view: any(map(test, view.texts(atom.field)))


def test_of(atom: Literal | Glob | Regex | Number | Compare | Cidr) -> Callable[[str], bool]:
    """The same of one text, which is folded already where the atom is without case."""
    if isinstance(atom, Literal):
        place, text = PLACES[atom.at], atom.text
        return lambda value: place(value, text)
    if isinstance(atom, Glob):
        return glob(atom.parts).search
    if isinstance(atom, Regex):
        return regex(atom.pattern, atom.flags).search
    if isinstance(atom, Number):
        wanted = atom.value
        return lambda value: number(value) == wanted
    if isinstance(atom, Cidr):
        network = ip_network(atom.network)
        return lambda value: (found := address(value)) is not None and found in network
    return _compare(atom)


def _compare(atom: Compare) -> Callable[[str], bool]:
    operator, limit, part = OPERATORS[atom.op], atom.value, atom.part

    def test(value: str) -> bool:
        found = number(value) if part is None else time_part(value, part)
        return found is not None and operator(found, limit)

    return test


def _reference(atom: Reference) -> Leaf:
    place = PLACES[(ANYWHERE if atom.end else START) if atom.start else (END if atom.end else WHOLE)]
    field, other = atom.field, atom.other
    return lambda view: any(place(value, with_) for value in view.folded(field) for with_ in view.folded(other))
