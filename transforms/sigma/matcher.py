"""Which rules match an event. Rules of its source alone are looked at (source_rules.py), each as far as is not known.

The scan of each field's value gives the set of true literals (scan.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice, product
from threading import Lock
from typing import TypeVar

from huntbeam.schemas.values import Json
from huntbeam.transforms.sigma import explain
from huntbeam.transforms.sigma.checks import Builder
from huntbeam.transforms.sigma.events import SigmaEvent
from huntbeam.transforms.sigma.expression import at_most, atoms_of
from huntbeam.transforms.sigma.fields import SYSMON_CHANNEL
from huntbeam.transforms.sigma.needs import Judge, channel_asked, id_asked
from huntbeam.transforms.sigma.plan import Reference, RuleSet, Variant
from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.scan import Found
from huntbeam.transforms.sigma.sieve import RecordSieve
from huntbeam.transforms.sigma.source_rules import Conditioned, SourceRules

MET = 8_192  # envelopes of events: hosts, channels and ids
LONGEST = 256  # characters of a host, a channel and a provider that are remembered

T = TypeVar("T")

_Kind = tuple[str | None, int | None]  # a channel, folded, and an event id
_Envelope = tuple[str | None, str | None, str | None, int]  # host, channel, provider and event id as they are written


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
        self._judge = Judge(rules.atoms, rules.requires)
        self._builder = Builder(rules.atoms, rules.requires)
        self._variants: dict[_Kind, list[tuple[int, Variant]]] = defaultdict(list)  # None: of any channel, any id
        for index, rule in enumerate(rules.rules):
            for variant in rule.variants:
                for kind in product(_or_any(variant.channels), _or_any(variant.event_ids)):
                    self._variants[kind].append((index, variant))
        self._ids = self._named_ids()
        self._sources: dict[_Kind, SourceRules] = {}
        self._met: dict[_Envelope, tuple[SourceRules, Found]] = {}
        self._building = Lock()

    def match(self, event: SigmaEvent) -> list[int]:
        """The indices of the rules that match, ascending; of the deferred ones those that still can."""
        fields = event.fields
        if not event.envelope:
            return self._source(event.channel, event.event_id).match(fields)
        envelope = fields["Computer"], event.channel, event.provider, event.event_id
        source, found = self._met.get(envelope) or self._meet(envelope, event)
        return source.match(fields, event.envelope, found)

    def _meet(self, envelope: _Envelope, event: SigmaEvent) -> tuple[SourceRules, Found]:
        source = self._source(event.channel, event.event_id)
        met = source, source.found(dict(islice(event.fields.items(), len(event.fields) - event.envelope, None)))
        if sum(len(one or "") for one in envelope[:3]) <= LONGEST:
            if len(self._met) >= MET:
                self._met.clear()
            self._met[envelope] = met
        return met

    def deferred(self, event: SigmaEvent) -> frozenset[int]:
        """The rules that are decided when the context of such an event is there."""
        return self._source(event.channel, event.event_id).deferred

    def wants(self, channel: str | None, event_id: int) -> bool:
        """Whether any rule can match events of a kind."""
        return bool(self._source(channel, event_id).rules)

    def sieve(self, channel: str, event_id: int) -> RecordSieve | None:
        """Rules out records of events of a kind that no rule matches; None where there can be no such sieve."""
        return self._source(channel, event_id).sieve

    def prepare(self, like: Matcher) -> None:
        """Builds what the kinds of events need that another matcher has met."""
        for channel, event_id in list(like._sources):
            self._source(channel, event_id)

    def _source(self, written: str | None, written_id: int | None) -> SourceRules:
        channel = fold(written or "") or None
        ids = self._ids.get(channel)
        if ids is None:
            channel, ids = None, self._ids[None]
        event_id = written_id if written_id in ids else None
        return self._sources.get((channel, event_id)) or self._built(channel, event_id)

    def _built(self, channel: str | None, event_id: int | None) -> SourceRules:
        with self._building:
            source = self._sources.get((channel, event_id))
            if source is None:
                source = self._sources[channel, event_id] = self._build(channel, event_id)
            return source

    def explain(self, rule: int, event: SigmaEvent) -> explain.Explained:
        """The rule's condition with the truth of every part of it."""
        return explain.explain(self.rules, rule, event)

    def matched(self, rule: int, event: SigmaEvent, *, known: bool = False) -> dict[str, Json]:
        """The fields, with their values, that made the rule match; empty when it does not. `known`: it does."""
        return explain.matched(self.rules, rule, event, known=known)

    def _named_ids(self) -> dict[str | None, frozenset[int]]:
        """For each channel that rules name, and for all others, the event ids that they tell apart there."""
        atoms = self.rules.atoms
        several = {  # the others have in their conditions what they are for, and no more of it
            kind: {atoms[atom] for _, one in variants if one.needs is None for atom in atoms_of(one.condition)}
            for kind, variants in self._variants.items()
        }
        channels = {channel_asked(atom) for asked in several.values() for atom in asked}
        ids: dict[str | None, set[int]] = {name: set() for name in (None, *channels, *(name for name, _ in several))}
        for (channel, event_id), asked in several.items():
            found = {id_asked(atom) for atom in asked} | {event_id}
            for name in ids if channel is None else (channel,):
                ids[name].update(one for one in found if one is not None)
        if self._enrich:
            ids[SYSMON_CHANNEL] = ids.get(SYSMON_CHANNEL, ids[None]) | self._enrich
        return {name: frozenset(named) for name, named in ids.items()}

    def _build(self, channel: str | None, event_id: int | None) -> SourceRules:
        judge = self._judge
        is_enriched = channel == SYSMON_CHANNEL and event_id in self._enrich
        conditions: list[Conditioned] = []
        deferred: set[int] = set()
        kinds = dict.fromkeys(product((channel, None), (event_id, None)))
        for rule, variant in (one for kind in kinds for one in self._variants.get(kind, ())):
            if variant.needs_context and not is_enriched:
                continue
            left = partial(judge.given, variant.condition, channel, event_id)
            fields = variant.context.get(event_id, ()) if is_enriched and event_id is not None else ()
            if fields:
                left = partial(at_most, left(), partial(self._is_unknown, frozenset(fields)))
            needs = judge.needs(left()) if fields or variant.needs is None else variant.needs
            if needs.witnesses != ():  # else it can never hold
                conditions.append(Conditioned(rule, left, needs))
                deferred.update([rule] if fields else ())
        return SourceRules(conditions, self.rules.atoms, self._builder, frozenset(deferred))

    def _is_unknown(self, fields: frozenset[str], index: int) -> bool:
        """Whether an atom asks for what is known with the context only; any value may be one of it."""
        atom = self.rules.atoms[index]
        return atom.field is None or atom.field in fields or (isinstance(atom, Reference) and atom.other in fields)


def _or_any(named: tuple[T, ...] | None) -> tuple[T | None, ...]:
    return (None,) if named is None else named
