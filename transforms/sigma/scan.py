"""All literals and numbers that rules look for in one field, found in one pass over the value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ahocorasick

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma.plan import ANYWHERE, END, START, WHOLE, Literal, Number
from huntbeam.transforms.sigma.readings import fold, number, texts

REMEMBERED = 1_024  # values of a field; telemetry repeats itself
REMEMBERED_LENGTH = 512  # characters of one at most: attackers fill no more than 2 MB a field

Found = tuple[frozenset[int], frozenset[int]]  # atoms that are true, and the checks that they call for
NOTHING: Found = (frozenset(), frozenset())


class _Texts:
    """Literals of one kind of case."""

    def __init__(self, literals: Iterable[tuple[int, Literal]]) -> None:
        by_place: dict[str, dict[str, int]] = {WHOLE: {}, START: {}, END: {}, ANYWHERE: {}}
        self._any: list[int] = []  # that stand in every text: the empty one does
        self._twins: dict[int, int] = {}  # what one field is asked for, and any field too
        for atom, literal in literals:
            if literal.text or literal.at == WHOLE:
                first = by_place[literal.at].setdefault(literal.text, atom)
                if first != atom:
                    self._twins[first] = atom
            else:
                self._any.append(atom)
        self._whole = by_place[WHOLE]
        self._anywhere = _automaton(by_place[ANYWHERE])
        self._starts, self._ends = _automaton(by_place[START]), _automaton(by_place[END])
        self._start_length = max(map(len, by_place[START]), default=0)
        self._end_length = max(map(len, by_place[END]), default=0)

    def find(self, text: str) -> list[int]:
        """The atoms that are true of a text, some perhaps twice."""
        found = list(self._any)
        whole = self._whole.get(text)
        if whole is not None:
            found.append(whole)
        if self._anywhere is not None:
            found += [atom for _, (atom, _) in self._anywhere.iter(text)]
        if self._starts is not None:
            head = text[: self._start_length]
            found += [atom for end, (atom, length) in self._starts.iter(head) if end == length - 1]
        if self._ends is not None:
            tail = text[-self._end_length :]
            last = len(tail) - 1
            found += [atom for end, (atom, _) in self._ends.iter(tail) if end == last]
        if self._twins:
            found += [self._twins[atom] for atom in found if atom in self._twins]
        return found


def _automaton(texts_: Mapping[str, int]) -> ahocorasick.Automaton | None:
    if not texts_:
        return None
    automaton = ahocorasick.Automaton()
    for text, atom in texts_.items():
        automaton.add_word(text, (atom, len(text)))
    automaton.make_automaton()
    return automaton


class Scan:
    """The atoms that are looked up in one field's values, and the checks that each calls for."""

    def __init__(self, atoms: Mapping[int, Literal | Number], calls: Mapping[int, Iterable[int]]) -> None:
        self._remembered: dict[Json, Found] = {}
        self._calls = {atom: tuple(calls[atom]) for atom in atoms if atom in calls}
        literals = [(index, atom) for index, atom in atoms.items() if isinstance(atom, Literal)]
        self._folded = _Texts((index, atom) for index, atom in literals if not atom.cased)
        cased = [(index, atom) for index, atom in literals if atom.cased]
        self._cased = _Texts(cased) if cased else None
        self._numbers: dict[int | float | None, list[int]] = {}  # None is no number of any atom
        for index, atom in atoms.items():
            if isinstance(atom, Number):
                self._numbers.setdefault(atom.value, []).append(index)

    def look_up(self, value: Json) -> Found:
        """The atoms that are true of a value, and the checks that they call for."""
        kind = value.__class__
        if kind is str or kind is int:  # True would be found as 1
            found = self._remembered.get(value)
            if found is not None:
                return found
        found = self._found(value)
        if kind is int or (kind is str and len(value) <= REMEMBERED_LENGTH):
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[value] = found
        return found

    def _found(self, value: Json) -> Found:
        true: list[int] = []
        for text in texts(value):
            true += self._folded.find(fold(text))
            if self._cased is not None:
                true += self._cased.find(text)
            if self._numbers:
                true += self._numbers.get(number(text), ())
        if not true:
            return NOTHING
        atoms = frozenset(true)
        called: list[int] = []
        for atom in atoms:
            checks = self._calls.get(atom)
            if checks is not None:
                called += checks
        return atoms, frozenset(called)
