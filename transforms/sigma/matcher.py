"""Which rules match an event. Rules of its source alone are looked at; of those, the ones that a literal calls for.

The scan of each field's value gives the set of true literals (scan.py). Every condition has witnesses, literals of
which one is true whenever it holds; they call for the rule's check (checks.py). What has no witness is always checked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, partial
from itertools import islice, product
from threading import Lock
from typing import TypeVar

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma import explain
from huntbeam.transforms.sigma.checks import Builder, Check, required
from huntbeam.transforms.sigma.events import SigmaEvent
from huntbeam.transforms.sigma.expression import at_most, atoms_of, given, witnesses
from huntbeam.transforms.sigma.fields import SYSMON_CHANNEL
from huntbeam.transforms.sigma.leaves import View
from huntbeam.transforms.sigma.plan import (
    ANYWHERE,
    END,
    FALSE,
    START,
    WHOLE,
    Atom,
    Expression,
    Literal,
    Number,
    Reference,
    RuleSet,
    Variant,
)
from huntbeam.transforms.sigma.readings import fold, texts
from huntbeam.transforms.sigma.scan import NOTHING, REMEMBERED_LENGTH, Found, Scan

LONG = 8  # long texts of an event that others are compared with
MET = 4_096  # spellings of channels, with ids
_LETTERS = 12  # characters of a literal that make it rarer
_PLACES = {WHOLE: 0.25, START: 1.0, END: 1.0, ANYWHERE: 2.0}
# These do not: they stand in most events of some kind.
_COMMON = re.compile(
    r"windows|system32|program files|microsoft|software|currentversion|currentcontrolset|svchost|ntdll|kernelbase"
    r"|true|false|valid|binary data|createkey|deletekey|setvalue|powershell|hidden|[a-z]:|\.(?:exe|dll)"
)
_NUMBER_COST = 0.05

T = TypeVar("T")

_Kind = tuple[str | None, int | None]  # a channel, folded, and an event id


class _Shared:
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
        asked = {index: (_channel_asked(atom), _id_asked(atom)) for index, atom in enumerate(atoms)}
        self.asked = {index: kind for index, kind in asked.items() if kind != (None, None)}

    def _cost(self, atom: int) -> float | None:
        """About how often an atom is true: the longer a literal, the rarer."""
        found = self.atoms[self.requires.get(atom, atom)]
        if not isinstance(found, Literal | Number):
            return None
        if isinstance(found, Number):
            return _NUMBER_COST
        rarity: float = 2.0 ** -min(len(_COMMON.sub("", found.text)), _LETTERS)
        return rarity * (4 if found.field is None else 1) * _PLACES[found.at]


class _Source:
    """The rules that one kind of event can match, with what is known of the kind taken out of their conditions."""

    def __init__(
        self, conditions: Sequence[tuple[int, Expression]], shared: _Shared, deferred: frozenset[int] = frozenset()
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


class Matcher:
    """Matches events with a rule set. Threads may share it: what they add to it is equal, whoever comes first.

    What a kind of event needs is built when its first event comes. There are no more kinds than the rules name; of what
    events call themselves a bounded number is remembered.

    `enrich` are the Sysmon events whose context will be there: a rule that names its fields is deferred. It is matched
    as far as the event goes, and what is found is a candidate.
    """

    def __init__(self, rules: RuleSet, enrich: AbstractSet[int] = frozenset()) -> None:
        self.rules = rules
        self._enrich = enrich
        self._shared = _Shared(rules.atoms)
        self._variants: dict[_Kind, list[tuple[int, Variant]]] = defaultdict(list)  # None: of any channel, any id
        for index, rule in enumerate(rules.rules):
            for variant in rule.variants:
                for kind in product(_or_any(variant.channels), _or_any(variant.event_ids)):
                    self._variants[kind].append((index, variant))
        self._ids = self._named_ids()
        self._sources: dict[_Kind, _Source] = {}
        self._met: dict[_Kind, _Source] = {}  # by what events call themselves
        self._building = Lock()

    def match(self, event: SigmaEvent) -> list[int]:
        """The indices of the rules that match, ascending; of the deferred ones those that still can."""
        return self._source(event.channel, event.event_id).match(event.fields)

    def deferred(self, event: SigmaEvent) -> frozenset[int]:
        """The rules that are decided when the context of such an event is there."""
        return self._source(event.channel, event.event_id).deferred

    def wants(self, channel: str | None, event_id: int) -> bool:
        """Whether any rule can match events of a kind."""
        return bool(self._source(channel, event_id).rules)

    def prepare(self, like: Matcher) -> None:
        """Builds what the kinds of events need that another matcher has met."""
        for channel, event_id in list(like._sources):
            self._source(channel, event_id)

    def _source(self, written: str | None, written_id: int | None) -> _Source:
        source = self._met.get((written, written_id))
        if source is None:
            channel = fold(written or "") or None
            ids = self._ids.get(channel)
            if ids is None:
                channel, ids = None, self._ids[None]
            source = self._built(channel, written_id if written_id in ids else None)
            if len(self._met) >= MET:
                self._met.clear()
            self._met[written, written_id] = source
        return source

    def _built(self, channel: str | None, event_id: int | None) -> _Source:
        with self._building:
            source = self._sources.get((channel, event_id))
            if source is None:
                source = self._sources[channel, event_id] = self._build(channel, event_id)
            return source

    def explain(self, rule: int, event: SigmaEvent) -> explain.Explained:
        """The rule's condition with the truth of every part of it."""
        return explain.explain(self.rules, rule, event)

    def matched(self, rule: int, event: SigmaEvent) -> dict[str, Json]:
        """The fields, with their values, that made the rule match; empty when it does not."""
        return explain.matched(self.rules, rule, event)

    def _named_ids(self) -> dict[str | None, frozenset[int]]:
        """For each channel that rules name, and for all others, the event ids that they tell apart there."""
        ids: dict[str | None, set[int]] = {None: set()}
        asked = self._shared.asked
        for channel, _ in (*asked.values(), *self._variants):
            ids.setdefault(channel, set())
        for (channel, event_id), variants in self._variants.items():
            atoms = {atom for _, variant in variants for atom in atoms_of(variant.condition)}
            found = {asked[atom][1] for atom in atoms & asked.keys()} | {event_id}
            for name in ids if channel is None else (channel,):
                ids[name].update(one for one in found if one is not None)
        if self._enrich:
            ids[SYSMON_CHANNEL] = ids.get(SYSMON_CHANNEL, ids[None]) | self._enrich
        return {name: frozenset(named) for name, named in ids.items()}

    def _build(self, channel: str | None, event_id: int | None) -> _Source:
        known = partial(_known, self._shared.asked, channel, event_id)
        is_enriched = channel == SYSMON_CHANNEL and event_id in self._enrich
        conditions: list[tuple[int, Expression]] = []
        deferred: set[int] = set()
        kinds = dict.fromkeys(product((channel, None), (event_id, None)))
        for rule, variant in (one for kind in kinds for one in self._variants.get(kind, ())):
            if variant.needs_context and not is_enriched:
                continue
            condition = given(variant.condition, known)
            fields = variant.context.get(event_id, ()) if is_enriched and event_id is not None else ()
            if fields:
                condition = at_most(condition, partial(self._is_unknown, frozenset(fields)))
            if condition != FALSE:
                conditions.append((rule, condition))
                deferred.update([rule] if fields else ())
        return _Source(conditions, self._shared, frozenset(deferred))

    def _is_unknown(self, fields: frozenset[str], index: int) -> bool:
        """Whether an atom asks for what is known with the context only; any value may be one of it."""
        atom = self._shared.atoms[index]
        return atom.field is None or atom.field in fields or (isinstance(atom, Reference) and atom.other in fields)


def _or_any(named: tuple[T, ...] | None) -> tuple[T | None, ...]:
    return (None,) if named is None else named


def _known(asked: Mapping[int, _Kind], channel: str | None, event_id: int | None, index: int) -> bool | None:
    """The truth of an atom that asks for the kind of event; None: it asks for something else.

    A channel or an id of None is one that no rule names.
    """
    kind = asked.get(index)
    return None if kind is None else kind in ((channel, None), (None, event_id))


def _channel_asked(atom: Atom) -> str | None:
    is_channel = isinstance(atom, Literal) and atom.field == "Channel" and atom.at == WHOLE and not atom.cased
    return atom.text if isinstance(atom, Literal) and is_channel and atom.text else None


def _id_asked(atom: Atom) -> int | None:
    is_id = isinstance(atom, Number) and atom.field == "EventID" and isinstance(atom.value, int)
    return int(atom.value) if isinstance(atom, Number) and is_id else None
