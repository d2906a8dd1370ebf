"""All literals and numbers that rules look for in one field, found in one pass over the value."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache

from ahocorasick_rs import BytesAhoCorasick, Implementation

from huntbeam.transforms.sigma.plan import ANYWHERE, END, START, WHOLE, Literal, Number
from huntbeam.transforms.sigma.readings import fold, number
from huntbeam.transforms.sigma.sieve import FEW, PIECE, Sieve, sieve_of, windows

SMALL = 500  # texts of an automaton that is made larger to be a quarter faster, once it has seen
WORTH = 10_000  # bytes for each of them: before, to make it takes longer than it saves
AUTOMATA = 512  # kept: some hundred are in use, of some 50 kB each
REMEMBERED_LENGTH = 2_048  # characters of a value at most; to hash a longer one takes too long
ROOM = 512 * 1_024  # characters of a field's values that are remembered; telemetry repeats itself
LEAST = 512  # that each counts for at least; longer lines of long texts are remembered by themselves
LINES_ROOM = 256 * 1_024  # characters of those

Found = tuple[frozenset[int], frozenset[int]]  # atoms that are true, and the checks that they call for
NOTHING: Found = (frozenset(), frozenset())


@lru_cache(maxsize=AUTOMATA)
def _finder(texts: tuple[bytes, ...], large: bool) -> Callable[..., Sequence[tuple[int, int, int]]]:
    """Kinds of events share what their fields are asked for: the keywords of rules for any field stand in each."""
    kind = Implementation.DFA if large else Implementation.ContiguousNFA
    return BytesAhoCorasick(texts, implementation=kind).find_matches_as_indexes


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

    def atoms_in(self, text: bytes) -> Collection[int]:
        """The atoms of the texts that stand in another, some perhaps several times."""
        if len(text) <= PIECE:
            return [self.atoms[number] for number, _, _ in self.find(text)]
        starts = range(0, len(text), PIECE)
        pieces = (text[start : start + PIECE + self.length - 1] for start in starts)
        return {self.atoms[number] for piece in pieces for number, _, _ in self.find(piece)}


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # of rules; no record has lone surrogates


class _Texts:
    """Literals of one kind of case."""

    def __init__(self, literals: Sequence[tuple[int, Literal]]) -> None:
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
        # A letter stands in many places of a text, and an automaton would tell of each.
        letters = [text for text in by_place[ANYWHERE] if len(text) == 1]
        self._letters = [(text[0], by_place[ANYWHERE].pop(text)) for text in letters]
        self._whole = by_place[WHOLE]
        self._longest = max(map(len, self._whole), default=-1)  # a long text takes longer to hash than to read
        self._anywhere, self._starts, self._ends = (_Automaton(by_place[place]) for place in (ANYWHERE, START, END))
        has_places = self._whole or self._starts.length or self._ends.length
        self.by_lines = not has_places and all("\n" not in literal.text for _, literal in literals)

    def find(self, text: bytes) -> list[int]:
        """The atoms that are true of a text in UTF-8, some perhaps twice."""
        found = self._any + [atom for letter, atom in self._letters if letter in text]
        if len(text) <= self._longest:
            whole = self._whole.get(text)
            if whole is not None:
                found.append(whole)
        anywhere, starts, ends = self._anywhere, self._starts, self._ends
        if anywhere.length:
            found += anywhere.atoms_in(text)
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
        self.calls_all = atoms.keys() <= calls.keys()  # a text that calls for no check makes none of the atoms true
        self.remembered: dict[str, Found] = {}  # what was looked up lately
        self._room = ROOM
        self._atoms = atoms
        self._calls = {atom: tuple(calls[atom]) for atom in atoms if atom in calls}
        literals = [(index, atom) for index, atom in atoms.items() if isinstance(atom, Literal)]
        self._folded = _Texts([(index, atom) for index, atom in literals if not atom.cased])
        cased = [(index, atom) for index, atom in literals if atom.cased]
        self._cased = _Texts(cased) if cased else None
        self._numbers: dict[int | float | None, list[int]] = {}  # None is no number of any atom
        for index, atom in atoms.items():
            if isinstance(atom, Number):
                self._numbers.setdefault(atom.value, []).append(index)
        self._by_lines = self._folded.by_lines and (self._cased is None or self._cased.by_lines)
        self._lines: dict[str, list[int]] = {}  # the long ones that came lately
        self._lines_room = LINES_ROOM

    def may_call(self, text: str) -> bool:
        """Whether a text may call for a check. One that calls for none need not be looked up where no other does."""
        sieve, caseless = self._calling, self._calling_in_any_case
        if sieve is None or len(text) > PIECE:
            return True
        if caseless is not None and text.isascii() and not caseless(text.encode()):
            return False
        return bool(sieve(_utf8(fold(text))))

    @cached_property
    def _calling(self) -> Sieve | None:
        """Finds texts of which one stands in every value that calls for a check; None: to look it up takes no longer.

        What is cased, or has a place, is found where its letters are.
        """
        texts = self.calling_texts()
        return sieve_of(tuple(sorted(map(_utf8, texts)))) if "" not in texts and len(texts) <= FEW else None

    @cached_property
    def _calling_in_any_case(self) -> Sieve | None:
        """The same for a text as it is, without its letters made small, which takes most of the time."""
        found = windows(self.calling_texts())
        return sieve_of(found) if found else None

    def calling_texts(self) -> set[str]:
        """Of which one stands in every value that calls for a check; an empty one, in all, in place of a number."""
        calling = [self._atoms[atom] for atom in self._calls]
        return {fold(one.text) if isinstance(one, Literal) else "" for one in calling}

    def look_up(self, text: str) -> Found:
        """The atoms that are true of a text, and the checks that they call for. See `remembered` first."""
        found = self._found(text)
        length = len(text)
        if length <= REMEMBERED_LENGTH:
            self._room -= max(length, LEAST)
            if self._room < 0:
                self.remembered.clear()
                self._room = ROOM - max(length, LEAST)
            self.remembered[text] = found
        return found

    def _found(self, text: str) -> Found:
        if self._by_lines and len(text) > REMEMBERED_LENGTH:
            true = self._in_lines(text)
        else:
            true = self._in_text(text)
            if self._numbers:
                true += self._numbers.get(number(text), ())
        if not true:
            return NOTHING
        atoms, calls = frozenset(true), self._calls
        return atoms, frozenset([check for atom in atoms if atom in calls for check in calls[atom]])

    def _in_text(self, text: str) -> list[int]:
        found = self._folded.find(_utf8(fold(text)))
        return found + self._cased.find(_utf8(text)) if self._cased is not None else found

    def _in_lines(self, text: str) -> list[int]:
        """What is found in a text, line by line. Long lines repeat: all events of a shell have its encoded command."""
        found: list[int] = []
        others: list[str] = []
        start = 0
        while len(text) - start > LEAST:
            end = text.rfind("\n", start, start + LEAST)
            if end >= 0:
                others.append(text[start:end])
            else:
                end = text.find("\n", start)
                end = end if end >= 0 else len(text)
                found += self._in_line(text[start:end])
            start = end + 1
        return found + self._in_text("\n".join((*others, text[start:])))

    def _in_line(self, line: str) -> list[int]:
        found = self._lines.get(line)
        if found is None:
            found = self._in_text(line)
            if len(line) > self._lines_room:
                self._lines.clear()
                self._lines_room = LINES_ROOM
            if len(line) <= self._lines_room:
                self._lines_room -= len(line)
                self._lines[line] = found
        return found
