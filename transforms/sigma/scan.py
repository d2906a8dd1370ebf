"""All literals and numbers that rules look for in one field, found in one pass over the value."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma.plan import ANYWHERE, END, START, WHOLE, Literal, Number
from huntbeam.transforms.sigma.readings import fold, number, texts

SMALL = 500  # texts of an automaton that is made larger to be a quarter faster, once it has seen
WORTH = 10_000  # bytes for each of them: before, to make it takes longer than it saves
FEW = 60  # texts that SIMD instructions look for ten times as fast, where it is enough to know whether any is there
# In no UTF-8. Four texts that begin and end so keep the library from looking for three letters instead, which in some
# telemetry are everywhere.
_NOWHERE = tuple(bytes([byte]) * 4 for byte in (0xF8, 0xF9, 0xFA, 0xFB))
AUTOMATA = 512  # kept: some hundred are in use, of some 50 kB each
REMEMBERED_LENGTH = 2_048  # characters of a value at most; to hash a longer one takes too long
ROOM = 512 * 1_024  # characters of a field's values that are remembered; telemetry repeats itself
LEAST = 512  # that each counts for at least

Found = tuple[frozenset[int], frozenset[int]]  # atoms that are true, and the checks that they call for
NOTHING: Found = (frozenset(), frozenset())


@lru_cache(maxsize=AUTOMATA)
def _finder(texts: tuple[bytes, ...], large: bool) -> Callable[..., Sequence[tuple[int, int, int]]]:
    """Kinds of events share what their fields are asked for: the keywords of rules for any field stand in each."""
    kind = Implementation.DFA if large else Implementation.ContiguousNFA
    return BytesAhoCorasick(texts, implementation=kind).find_matches_as_indexes


@lru_cache(maxsize=AUTOMATA)
def _sieve(texts: tuple[bytes, ...]) -> Callable[[bytes], Sequence[object]]:
    """Finds one of a few texts at least, where there are any, but none that begins inside another."""
    return BytesAhoCorasick((*texts, *_NOWHERE), matchkind=MatchKind.LeftmostFirst).find_matches_as_indexes


class _Automaton:
    """Several texts in UTF-8, each with its atom, looked for in one pass.

    It is made for the first text that it is to look in: most fields of most kinds of events never come.
    """

    def __init__(self, atoms: Mapping[bytes, int]) -> None:
        self.atoms = list(atoms.values())
        self.length = max(map(len, atoms), default=0)  # 0: there are none, and nothing is to be looked for
        self._texts = tuple(atoms)
        self._find: Callable[..., Sequence[tuple[int, int, int]]] | None = None
        self._left = 0  # bytes before another is made

    def find(self, text: bytes) -> Sequence[tuple[int, int, int]]:
        """The number of each text that is found, and where it begins and ends."""
        find = self._find
        self._left -= len(text)
        if find is None or self._left < 0:
            is_first = find is None
            find = self._find = _finder(self._texts, large=not is_first)
            self._left = WORTH * len(self._texts) if is_first and len(self._texts) <= SMALL else sys.maxsize
        return find(text, overlapping=True)


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
        has_others = self._any or self._twins or self._whole or self._starts.length or self._ends.length
        self.only = self._anywhere if self._anywhere.length and not has_others else None

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
        self._room = ROOM
        self._atoms = atoms
        self._calls = {atom: tuple(calls[atom]) for atom in atoms if atom in calls}
        literals = [(index, atom) for index, atom in atoms.items() if isinstance(atom, Literal)]
        self._folded = _Texts((index, atom) for index, atom in literals if not atom.cased)
        cased = [(index, atom) for index, atom in literals if atom.cased]
        self._cased = _Texts(cased) if cased else None
        self._numbers: dict[int | float | None, list[int]] = {}  # None is no number of any atom
        for index, atom in atoms.items():
            if isinstance(atom, Number):
                self._numbers.setdefault(atom.value, []).append(index)
        self._only = self._folded.only if self._cased is None and not self._numbers else None

    def may_call(self, text: str) -> bool:
        """Whether a text may call for a check. One that calls for none need not be looked up where no other does."""
        sieve = self._calling
        return sieve is None or bool(sieve(_utf8(fold(text))))

    @cached_property
    def _calling(self) -> Callable[[bytes], Sequence[object]] | None:
        """Finds texts of which one stands in every value that calls for a check; None: to look it up takes no longer.

        What is cased, or has a place, is found where its letters are.
        """
        calling = [self._atoms[atom] for atom in self._calls]
        texts = {_utf8(fold(one.text)) if isinstance(one, Literal) else b"" for one in calling}
        return _sieve(tuple(sorted(texts))) if b"" not in texts and len(texts) <= FEW else None

    def look_up(self, value: Json) -> Found:
        """The atoms that are true of a value, and the checks that they call for. See `remembered` first."""
        kind, only = value.__class__, self._only
        if kind is str and only is not None and not only.find(_utf8(fold(value))):
            found = NOTHING  # most times and numbers of processes, in as few steps
        else:
            found = self._found(value)
        if kind is int or (kind is str and len(value) <= REMEMBERED_LENGTH):
            room = LEAST if kind is int else max(len(value), LEAST)
            if room > self._room:
                self.remembered.clear()
                self._room = ROOM
            self._room -= room
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
