"""The rules that one kind of event can match: what is looked up in its fields, and which rules that calls for.

Every condition has witnesses, literals of which one is true whenever it holds; they call for the rule's check
(checks.py). What has no witness is always checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma.checks import Builder, Check
from huntbeam.transforms.sigma.leaves import View
from huntbeam.transforms.sigma.plan import Atom, Expression, Literal, Needs, Number
from huntbeam.transforms.sigma.readings import texts
from huntbeam.transforms.sigma.scan import NOTHING, REMEMBERED_LENGTH, Found, Scan


class Conditioned(NamedTuple):
    """A rule's condition for one kind of events, as far as that is not known, with its needs."""

    rule: int
    condition: Callable[[], Expression]  # worked out when it is called for: most never are
    needs: Needs


class SourceRules:
    """The rules that one kind of event can match, with what is known of the kind taken out of their conditions."""

    def __init__(
        self,
        conditions: Sequence[Conditioned],
        atoms: Sequence[Atom],
        builder: Builder,
        deferred: frozenset[int] = frozenset(),
    ) -> None:
        self.deferred = deferred
        self.rules = [one.rule for one in conditions]
        self.twins = len(set(self.rules)) < len(self.rules)
        self._conditions = conditions
        self._builder = builder
        self._checks: dict[int, Check] = {}
        self.always: set[int] = set()
        calls: dict[int, list[int]] = defaultdict(list)
        looked_up: set[int] = set()
        for check, one in enumerate(conditions):
            looked_up.update(one.needs.atoms)
            if one.needs.witnesses is None:
                self.always.add(check)
            else:
                for atom in one.needs.witnesses:
                    calls[atom].append(check)
        by_field: dict[str | None, dict[int, Literal | Number]] = defaultdict(dict)
        for index in looked_up:
            literal = atoms[index]
            if isinstance(literal, Literal | Number):
                by_field[literal.field][index] = literal
        anywhere = by_field.pop(None, {})  # what any field may have is looked for where its value is scanned anyway
        named = {field: found for field, found in by_field.items() if field is not None}
        self.scans = {field: Scan({**found, **anywhere}, calls) for field, found in named.items()}
        self.rest = Scan(anywhere, calls) if anywhere else None
        self._recall = {field: scan.remembered for field, scan in self.scans.items()}
        self._others = self.rest.remembered if self.rest is not None else {}

    def match(self, fields: dict[str, Json]) -> list[int]:
        """The rules that match, ascending, by their index in the set."""
        true: list[frozenset[int]] = []
        candidates = set(self.always)
        recall, others = self._recall, self._others
        long: list[tuple[Scan, str]] = []
        for name, value in fields.items() if self.rest is not None else self._named(fields):
            if value.__class__ is str and len(value) <= REMEMBERED_LENGTH:
                found = recall.get(name, others).get(value) or self._scan(name).look_up(value)
                if found is not NOTHING:
                    true.append(found[0])
                    candidates |= found[1]
            elif value is not None:
                for found in self._look_up(self._scan(name), value, long):
                    true.append(found[0])
                    candidates |= found[1]
        passed = self._take_long(long, true, candidates) if long else ()
        if not candidates:
            return []
        view, atoms = View(fields), NOTHING[0].union(*true, *(scan.look_up(text)[0] for scan, text in passed))
        rules, checks = self.rules, self._checks
        hits = [
            rules[candidate]
            for candidate in candidates
            if (checks.get(candidate) or self._check(candidate))(atoms, view)
        ]
        return sorted(set(hits)) if self.twins else sorted(hits)

    def _check(self, candidate: int) -> Check:
        check = self._checks[candidate] = self._builder.check(self._conditions[candidate].condition())
        return check

    def _named(self, fields: dict[str, Json]) -> list[tuple[str, Json]]:
        return [(name, fields[name]) for name in self.scans if name in fields]

    def _scan(self, name: str) -> Scan:
        scan = self.scans.get(name, self.rest)
        assert scan is not None  # noqa: S101 - without a rest only named fields are looked at
        return scan

    def _look_up(self, scan: Scan, value: Json, long: list[tuple[Scan, str]]) -> Iterator[Found]:
        """What is found in a value that is no short text. Long texts are put aside."""
        for text in (value,) if value.__class__ is int else texts(value):  # True would be found as 1
            if text.__class__ is str and len(text) > REMEMBERED_LENGTH:
                long.append((scan, text))
            else:
                found = scan.remembered.get(text) or scan.look_up(text)
                if found is not NOTHING:
                    yield found

    def _take_long(
        self, long: list[tuple[Scan, str]], true: list[frozenset[int]], candidates: set[int]
    ) -> list[tuple[Scan, str]]:
        """Looks long texts up that may call for a check, and gives the others back."""
        passed: list[tuple[Scan, str]] = []
        named = [text for scan, text in long if scan is not self.rest]
        for scan, text in long:
            if scan is self.rest and text in named:
                continue  # all that any field may have was looked for there
            if scan.may_call(text):
                found = scan.look_up(text)
                true.append(found[0])
                candidates |= found[1]
            else:
                passed.append((scan, text))
        return passed
