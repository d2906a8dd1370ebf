"""The rules that one kind of event can match: what is looked up in its fields, and which rules that calls for.

Every condition has witnesses, literals of which one is true whenever it holds; they call for the rule's check
(checks.py). What has no witness is always checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma.checks import Builder, Check
from huntbeam.transforms.sigma.leaves import View
from huntbeam.transforms.sigma.plan import Atom, Expression, Literal, Needs, Number
from huntbeam.transforms.sigma.readings import texts
from huntbeam.transforms.sigma.scan import NOTHING, REMEMBERED_LENGTH, Found, Scan
from huntbeam.transforms.sigma.sieve import RecordSieve

_LookedUp = tuple[list[frozenset[int]], set[int], list[tuple[Scan, str]]]


class Conditioned(NamedTuple):
    """A rule's condition for one kind of events, as far as that is not known, with its needs."""

    rule: int
    condition: Callable[[], Expression]  # worked out when it is called for: most never are
    needs: Needs


class _Long:
    """In the place of what is remembered of a field whose values are long: to hash them takes too long."""

    @staticmethod
    def get(_value: Json) -> None:
        return None


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
        self._remembered: dict[str, dict[str, Found] | type[_Long]] = {
            field: scan.remembered for field, scan in self.scans.items()
        }

    @cached_property
    def sieve(self) -> RecordSieve | None:
        """Rules out records that no rule matches; None where there can be no such sieve."""
        scans = [*self.scans.values(), *((self.rest,) if self.rest else ())]
        found = None if self.always else RecordSieve(set().union(*(scan.calling_texts() for scan in scans)))
        return found if found is not None and found.is_of_use else None

    def match(self, fields: Mapping[str, Json], envelope: int = 0, known: Found | None = None) -> list[int]:
        """The rules that match, ascending, by their index in the set.

        With `known`, what found() has found in them, so many fields at the end are left out.
        """
        true, called, passed = self._look_up(fields, envelope)
        called |= self.always
        if known is not None and known is not NOTHING:
            true.append(known[0])
            called |= known[1]
        if not called:
            return []
        true += [scan.look_up(text)[0] for scan, text in passed]
        found, view = NOTHING[0].union(*true), View(fields)
        rules, checks = self.rules, self._checks
        hits = [rules[check] for check in called if (checks.get(check) or self._check(check))(found, view)]
        return sorted(set(hits)) if self.twins else sorted(hits)

    def found(self, fields: Mapping[str, Json]) -> Found:
        """What is found in some fields: the atoms that are true, and the checks that they call for."""
        true, called, passed = self._look_up(fields, 0)
        true += [scan.look_up(text)[0] for scan, text in passed]
        atoms = NOTHING[0].union(*true)
        return (atoms, frozenset(called)) if atoms else NOTHING

    def _look_up(self, fields: Mapping[str, Json], envelope: int) -> _LookedUp:
        """The atoms that are true, the checks that they call for, and texts that call for none but may hold more."""
        true: list[frozenset[int]] = []
        called: set[int] = set()
        long: list[tuple[Scan, str]] = []
        loose: list[Json] = []  # what is asked for no more than any value
        remembered, nothing = self._remembered, NOTHING
        items = fields.items()
        for name, value in islice(items, len(items) - envelope) if envelope else items:
            recall = remembered.get(name)
            if recall is None:
                loose.append(value)
                continue
            try:
                found = recall.get(value)
            except TypeError:  # a list
                found = None
            if found is nothing:
                continue
            if found is not None:
                true.append(found[0])
                called |= found[1]
                continue
            scan = self.scans[name]
            for text in texts(value):
                if len(text) > REMEMBERED_LENGTH:
                    long.append((scan, text))
                    remembered[name] = _Long
                else:
                    found = scan.remembered.get(text) or scan.look_up(text)
                    true.append(found[0])
                    called |= found[1]
        passed: list[tuple[Scan, str]] = []
        for scan, text in long:
            if scan.may_call(text):
                found = scan.look_up(text)
                true.append(found[0])
                called |= found[1]
            elif not scan.calls_all:
                passed.append((scan, text))
        rest = self.rest
        if rest is not None:
            try:
                is_clean = not long and rest.calls_all and not rest.may_call("\n".join(loose))
            except TypeError:
                is_clean = False
            if not is_clean:
                passed += self._look_up_loose(rest, loose, long, true, called)
        return true, called, passed

    def _look_up_loose(
        self,
        rest: Scan,
        loose: Iterable[Json],
        long: Sequence[tuple[Scan, str]],
        true: list[frozenset[int]],
        called: set[int],
    ) -> Iterable[tuple[Scan, str]]:
        """Looks up what is asked for no more than any value. Few of them hold a witness, and all are sieved at once."""
        looked_up = [text for _, text in long]  # for all that any value may have, too
        values = [text for value in loose for text in texts(value) if text not in looked_up]
        if not rest.may_call("\n".join(values)):
            return () if rest.calls_all else [(rest, text) for text in values]
        for text in values:
            found = rest.remembered.get(text) or rest.look_up(text)
            true.append(found[0])
            called |= found[1]
        return ()

    def _check(self, candidate: int) -> Check:
        check = self._checks[candidate] = self._builder.check(self._conditions[candidate].condition())
        return check
