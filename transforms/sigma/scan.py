"""All literals and numbers that rules look for in one field, found in one pass over the value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from ahocorasick_rs import BytesAhoCorasick, Implementation

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma.plan import ANYWHERE, END, START, WHOLE, Literal, Number
from huntbeam.transforms.sigma.readings import fold, number, texts

SMALL = 500  # texts of an automaton that is made larger to be a quarter faster
AUTOMATA = 512  # kept: some hundred are in use, of some 50 kB each
REMEMBERED = 1_024  # values of a field; telemetry repeats itself
REMEMBERED_LENGTH = 512  # characters of one at most: attackers fill no more than 2 MB a field
HEAD = 64  # characters by which a long text is found in another

Found = tuple[frozenset[int], frozenset[int]]  # atoms that are true, and the checks that they call for
NOTHING: Found = (frozenset(), frozenset())


@lru_cache(maxsize=AUTOMATA)
def _finder(texts: tuple[bytes, ...]) -> Callable[..., Sequence[tuple[int, int, int]]]:
    """Kinds of events share what their fields are asked for: the keywords of rules for any field stand in each."""
    kind = Implementation.DFA if len(texts) <= SMALL else Implementation.ContiguousNFA
    return BytesAhoCorasick(texts, implementation=kind).find_matches_as_indexes


class _Automaton:
    """Several texts in UTF-8, each with its atom, looked for in one pass. Without texts it finds nothing."""

    def __init__(self, atoms: Mapping[bytes, int]) -> None:
        self.atoms = list(atoms.values())
        self.length = max(map(len, atoms), default=0)
        self._find = _finder(tuple(atoms)) if atoms else None

    def find(self, text: bytes) -> Sequence[tuple[int, int, int]]:
        """The number of each text that is found, and where it begins and ends."""
        return self._find(text, overlapping=True) if self._find is not None else ()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # of rules; no record has lone surrogates


class _Texts:
    """Literals of one kind of case."""

    def __init__(self, literals: Iterable[tuple[int, Literal]]) -> None:
        by_place: dict[str, dict[bytes, int]] = {WHOLE: {}, START: {}, END: {}, ANYWHERE: {}}
        self._any: list[int] = []  # that stand in every text: the empty one does
        self._twins: dict[int, int] = {}  # what one field is asked for, and any field too
        for atom, literal in literals:
            if literal.text or literal.at == WHOLE:
                first = by_place[literal.at].setdefault(_utf8(literal.text), atom)
                if first != atom:
                    self._twins[first] = atom
            else:
                self._any.append(atom)
        self._whole = by_place[WHOLE]
        self._longest = max(map(len, self._whole), default=-1)  # a long text takes longer to hash than to read
        self._anywhere, self._starts, self._ends = (_Automaton(by_place[place]) for place in (ANYWHERE, START, END))

    def find(self, text: bytes) -> list[int]:
        """The atoms that are true of a text in UTF-8, some perhaps twice."""
        found = list(self._any)
        if len(text) <= self._longest:
            whole = self._whole.get(text)
            if whole is not None:
                found.append(whole)
        anywhere, starts, ends = self._anywhere, self._starts, self._ends
        if anywhere.length:
            found += [anywhere.atoms[number] for number, _, _ in anywhere.find(text)]
        if starts.length:
            found += [starts.atoms[number] for number, start, _ in starts.find(text[: starts.length]) if not start]
        if ends.length:
            tail = text[-ends.length :]
            last = len(tail)
            found += [ends.atoms[number] for number, _, end in ends.find(tail) if end == last]
        if self._twins:
            found += [self._twins[atom] for atom in found if atom in self._twins]
        return found


class Scan:
    """The atoms that are looked up in one field's values, and the checks that each calls for."""

    def __init__(self, atoms: Mapping[int, Literal | Number], calls: Mapping[int, Iterable[int]]) -> None:
        self.remembered: dict[str | int, Found] = {}  # what was looked up lately; booleans are no numbers here
        self._calls = {atom: tuple(calls[atom]) for atom in atoms if atom in calls}
        literals = [(index, atom) for index, atom in atoms.items() if isinstance(atom, Literal)]
        self._folded = _Texts((index, atom) for index, atom in literals if not atom.cased)
        cased = [(index, atom) for index, atom in literals if atom.cased]
        self._cased = _Texts(cased) if cased else None
        self._numbers: dict[int | float | None, list[int]] = {}  # None is no number of any atom
        for index, atom in atoms.items():
            if isinstance(atom, Number):
                self._numbers.setdefault(atom.value, []).append(index)
        inner = all(literal.at == ANYWHERE and not literal.cased for _, literal in literals) and not self._numbers
        self._overlap = max((len(literal.text) - 1 for _, literal in literals), default=0) if inner else None

    def beyond(self, text: str, known: Iterable[str]) -> Json:
        """What is to be looked up of a text in which texts stand that have been: all, or what is before and behind."""
        overlap = self._overlap
        if overlap is not None:
            for one in known:
                at = text.find(one[:HEAD])  # to look for all of it takes as long as to scan
                if at >= 0 and text.startswith(one, at):
                    return [text[: at + overlap], text[max(at + len(one) - overlap, 0) :]]
        return text

    def look_up(self, value: Json) -> Found:
        """The atoms that are true of a value, and the checks that they call for. See `remembered` first."""
        kind = value.__class__
        found = self._found(value)
        if kind is int or (kind is str and len(value) <= REMEMBERED_LENGTH):
            if len(self.remembered) >= REMEMBERED:
                self.remembered.clear()
            self.remembered[value] = found
        return found

    def _found(self, value: Json) -> Found:
        true: list[int] = []
        for text in texts(value):
            true += self._folded.find(_utf8(fold(text)))
            if self._cased is not None:
                true += self._cased.find(_utf8(text))
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
