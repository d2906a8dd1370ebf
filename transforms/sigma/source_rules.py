"""The rules that one kind of event can match: what is looked up in its fields, and which rules that calls for.

Every condition has witnesses, literals of which one is true whenever it holds; they call for the rule's check
(checks.py). What has no witness is always checked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import islice

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma.checks import Builder, Check, required
from huntbeam.transforms.sigma.expression import atoms_of, witnesses
from huntbeam.transforms.sigma.leaves import View
from huntbeam.transforms.sigma.plan import ANYWHERE, END, START, WHOLE, Atom, Expression, Literal, Number
from huntbeam.transforms.sigma.readings import texts
from huntbeam.transforms.sigma.scan import NOTHING, REMEMBERED_LENGTH, Found, Scan

LONG = 8  # long texts of an event that others are compared with
_LETTERS = 12  # characters of a literal that make it rarer
_PLACES = {WHOLE: 0.25, START: 1.0, END: 1.0, ANYWHERE: 2.0}
# These do not: they stand in most events of some kind.
_COMMON = re.compile(
    r"windows|system32|program files|microsoft|software|currentversion|currentcontrolset|svchost|ntdll|kernelbase"
    r"|true|false|valid|binary data|createkey|deletekey|setvalue|powershell|hidden|[a-z]:|\.(?:exe|dll)"
)
_NUMBER_COST = 0.05


class Shared:
    """What all sources share: the atoms, with the literals that others require, and the checks' builder."""

    def __init__(self, atoms: Sequence[Atom]) -> None:
        self.atoms: dict[int, Atom] = dict(enumerate(atoms))
        self.requires: dict[int, int] = {}
        known = {atom: index for index, atom in self.atoms.items()}
        for index, atom in enumerate(atoms):
            literal = required(atom)
            if literal is not None:
                found = known.setdefault(literal, len(known))
                self.atoms[found] = literal
                self.requires[index] = found
        self.builder = Builder(self.atoms, self.requires)
        self.cost = cache(self._cost)

    def _cost(self, atom: int) -> float | None:
        """About how often an atom is true: the longer a literal, the rarer."""
        found = self.atoms[self.requires.get(atom, atom)]
        if not isinstance(found, Literal | Number):
            return None
        if isinstance(found, Number):
            return _NUMBER_COST
        rarity: float = 2.0 ** -min(len(_COMMON.sub("", found.text)), _LETTERS)
        return rarity * (4 if found.field is None else 1) * _PLACES[found.at]


class SourceRules:
    """The rules that one kind of event can match, with what is known of the kind taken out of their conditions."""

    def __init__(
        self, conditions: Sequence[tuple[int, Expression]], shared: Shared, deferred: frozenset[int] = frozenset()
    ) -> None:
        self.deferred = deferred
        self.rules = [rule for rule, _ in conditions]
        self.twins = len(set(self.rules)) < len(self.rules)
        self._conditions = conditions
        self._builder = shared.builder
        self._checks: dict[int, Check] = {}  # those that were called for: most never are
        self.always: set[int] = set()
        calls: dict[int, list[int]] = defaultdict(list)
        looked_up: dict[str | None, dict[int, Literal | Number]] = defaultdict(dict)
        for check, (_, condition) in enumerate(conditions):
            found = witnesses(condition, shared.cost)
            if found is None:
                self.always.add(check)
            else:
                for atom in found[1]:
                    calls[shared.requires.get(atom, atom)].append(check)
            for atom in set(atoms_of(condition)):
                index = shared.requires.get(atom, atom)
                literal = shared.atoms[index]
                if isinstance(literal, Literal | Number):
                    looked_up[literal.field][index] = literal
        anywhere = looked_up.pop(None, {})  # what any field may have is looked for where its value is scanned anyway
        named = {field: atoms for field, atoms in looked_up.items() if field is not None}
        self.scans = {field: Scan({**atoms, **anywhere}, calls) for field, atoms in named.items()}
        self.rest = Scan(anywhere, calls) if anywhere else None
        self._recall = {field: scan.remembered for field, scan in self.scans.items()}
        self._others = self.rest.remembered if self.rest is not None else {}

    def match(self, fields: dict[str, Json]) -> list[int]:
        """The rules that match, ascending, by their index in the set."""
        true: list[frozenset[int]] = []
        candidates = set(self.always)
        recall, others = self._recall, self._others
        long: list[str] = []
        for name, value in fields.items() if self.rest is not None else self._named(fields):
            if value.__class__ is str and len(value) <= REMEMBERED_LENGTH:
                found = recall.get(name, others).get(value) or self._scan(name).look_up(value)
            elif value is None:
                continue
            else:
                found = self._look_up(name, value, fields, long)
            if found is not NOTHING:
                true.append(found[0])
                candidates |= found[1]
        if not candidates:
            return []
        view, atoms = View(fields), set[int]().union(*true)
        rules, checks = self.rules, self._checks
        hits = [
            rules[candidate]
            for candidate in candidates
            if (checks.get(candidate) or self._check(candidate))(atoms, view)
        ]
        return sorted(set(hits)) if self.twins else sorted(hits)

    def _check(self, candidate: int) -> Check:
        check = self._checks[candidate] = self._builder.check(self._conditions[candidate][1])
        return check

    def _named(self, fields: dict[str, Json]) -> list[tuple[str, Json]]:
        return [(name, fields[name]) for name in self.scans if name in fields]

    def _scan(self, name: str) -> Scan:
        scan = self.scans.get(name, self.rest)
        assert scan is not None  # noqa: S101 - without a rest only named fields are looked at
        return scan

    def _look_up(self, name: str, value: Json, fields: dict[str, Json], long: list[str]) -> Found:
        """What is found in a value that is no short text; in a long one, which often stands there twice, once."""
        scan = self._scan(name)
        if value.__class__ is int:  # True would be found as 1
            return scan.remembered.get(value) or scan.look_up(value)
        if scan is not self.rest or not isinstance(value, str):
            return scan.look_up(value)
        if not long:
            long += self._scanned(fields)
        if value in long:
            return NOTHING
        found = scan.look_up(scan.beyond(value, long))
        if len(long) < LONG:
            long.append(value)
        return found

    def _scanned(self, fields: dict[str, Json]) -> list[str]:
        """The long texts in which all is looked for that any field may have."""
        found = (text for name in self.scans if name in fields for text in texts(fields[name]))
        return list(islice((text for text in found if len(text) > REMEMBERED_LENGTH), LONG))
