"""Alerts of events: what a rule set finds in an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import NamedTuple

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.alert import RULE, Alert, techniques
from huntbeam.schemas.clock import EventTime, instant, read_clocks
from huntbeam.schemas.correlation import Grouped
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.values import Json, first, shown, text
from huntbeam.schemas.winlog import WinlogEvent, identifying
from huntbeam.transforms.correlation.hits import Fields
from huntbeam.transforms.correlation.hits import hits as correlation_hits
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.sigma.events import SigmaEvent, channel_of, sigma_event
from huntbeam.transforms.sigma.explain import holds, looks_at
from huntbeam.transforms.sigma.fields import context_fields
from huntbeam.transforms.sigma.matcher import Matcher
from huntbeam.transforms.sigma.plan import Rule, RuleSet
from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.sieve import RecordSieve

_IMAGES = ("Image", "NewProcessName", "ProcessName", "SourceImage", "Application")
_attack = lru_cache(maxsize=4_096)(techniques)  # the lists are shared, and nobody writes into a row
_USERS = (("", "User"), ("SubjectDomainName", "SubjectUserName"), ("TargetDomainName", "TargetUserName"))


class Found(NamedTuple):
    """What rules found in an event."""

    event_uid: str
    time: str | None
    alerts: list[Alert]  # in the order of the rules
    hits: list[Grouped]  # of correlations
    timeless: int = 0  # hits that are none, since the event has no time
    deferred: tuple[str, ...] = ()  # rules that are decided when the context of the event's process is there


class Detector:
    """A rule set at work. Threads may share it."""

    def __init__(self, rules: RuleSet, enrich: AbstractSet[int] = frozenset()) -> None:
        self._rules = rules
        self._matcher = Matcher(rules, enrich)
        self._indices = {rule.id: index for index, rule in enumerate(rules.rules)} if enrich else {}
        known = FixedCorrelations(one.settings for one in rules.correlations)
        self._naming = {index: known.naming_rule(rule.id) for index, rule in enumerate(rules.rules)}

    def prepare(self, like: Detector) -> None:
        """Makes ready what the events that another detector has met will ask for."""
        self._matcher.prepare(like._matcher)

    def wants(self, provider: str | None, channel: str | None, event_id: int) -> bool:
        """Whether any rule looks at such events; of the others nothing need be read."""
        return self._matcher.wants(channel_of(provider, channel), event_id)

    def sieve(self, channel: str | None, event_id: int) -> RecordSieve | None:
        """Rules out records that no rule matches. None where that cannot be told, as where the channel is concluded."""
        return self._matcher.sieve(channel, event_id) if channel else None

    def find(
        self, event: WinlogEvent, mode: EventTime, *, defers: bool = True, event_uid: str | None = None
    ) -> Found | None:
        """The alerts of an event and what it is to correlations; None where no rule matches. Never fails.

        Without `defers` no context will come: what waits for one is decided at once. `event_uid` is where the id is
        known: what is no Windows event has one of its own.
        """
        seen = sigma_event(event)
        hits = self._matcher.match(seen)
        if not hits:
            return None
        waiting = self._matcher.deferred(seen)
        later = [index for index in hits if index in waiting] if waiting else []
        if not later:
            return self._found(event, mode, seen, hits, event_uid=event_uid)
        now = [index for index in hits if index not in waiting or (not defers and holds(self._rules, index, seen))]
        deferred = tuple(self._rules.rules[index].id for index in later) if defers else ()
        return self._found(event, mode, seen, now, deferred, event_uid) if now or deferred else None

    def settle(
        self, event: WinlogEvent, mode: EventTime, deferred: Iterable[str], context: Mapping[str, Json]
    ) -> Found | None:
        """What deferred rules find in an event with what is known of its process, by the names that rules have for it.

        A rule that is no longer there finds nothing.
        """
        seen = with_context(sigma_event(event), context)
        known = sorted(self._indices[rule] for rule in deferred if rule in self._indices)
        hits = [index for index in known if holds(self._rules, index, seen)]
        return self._found(event, mode, seen, hits) if hits else None

    def _found(
        self,
        event: WinlogEvent,
        mode: EventTime,
        seen: SigmaEvent,
        matched: Sequence[int],
        deferred: tuple[str, ...] = (),
        event_uid: str | None = None,
    ) -> Found:
        data = _data(event)
        utc_time = text(data.get("UtcTime"))
        millis = read_clocks(mode if utc_time else EventTime.TIMESTAMP, utc_time, event.time).millis
        time = None if millis is None else instant(millis)
        event_uid = event_uid or uid.event(
            event.host, event.provider, event.channel, event.event_id, event.record_id, event.time, identifying(data)
        )
        alerts = [
            self._alert(rule, event, event_uid, time, data, self._matcher.matched(index, seen, known=True))
            for index in matched
            if (rule := self._rules.rules[index]).alerts
        ]
        asked = [(index, correlation) for index in matched for correlation in self._naming[index]]
        if millis is None:
            return Found(event_uid, time, alerts, [], len(asked), deferred)
        hits = [
            hit
            for index, correlation in asked
            for hit in correlation_hits(correlation, *self._as_rule_sees(index, seen), millis, event_uid)
        ]
        return Found(event_uid, time, alerts, hits, deferred=deferred)

    def _as_rule_sees(self, index: int, seen: SigmaEvent) -> tuple[str, Fields]:
        """A rule's id, and the event with the names that the rule has for its fields."""
        rule = self._rules.rules[index]
        names: dict[str, tuple[str, ...]] = {}
        for variant in rule.variants:
            if variant.names and looks_at(variant, fold(seen.channel) if seen.channel else None, seen.event_id):
                names |= variant.names
        return rule.id, Renamed(seen.fields, names) if names else seen.fields

    def _alert(
        self,
        rule: Rule,
        event: WinlogEvent,
        event_uid: str,
        time: str | None,
        data: Mapping[str, Json],
        matched: Mapping[str, Json],
    ) -> Alert:
        return Alert(
            time=time,
            event_uid=uid.alert(rule.id, event_uid),
            revision=0,
            retracted=False,
            host=event.host,
            user_account=_user(data),
            process_path=_first(data, _IMAGES),
            record_id=text(event.record_id),
            rule_id=rule.id,
            rule_title=rule.title,
            rule_level=rule.level,
            rule_type=RULE,
            tags=list(rule.tags),
            attack=_attack(rule.tags),
            author=rule.author,
            references=list(rule.references),
            ruleset=self._rules.digest,
            matched=shown(matched),
            event=shown(data),
            contributing=[event_uid],
            contributing_count=1,
            first_seen=time,
            last_seen=time,
            truncated=False,
        )


class Renamed:
    """Fields of an event by other names; of several that one name stands for the first that is there."""

    def __init__(self, fields: Mapping[str, Json], names: Mapping[str, tuple[str, ...]]) -> None:
        self._fields = fields
        self._names = names

    def get(self, name: str, /) -> Json:
        """The value; null without one."""
        return first(*(self._fields.get(one) for one in self._names.get(name, (name,))))


def with_context(event: SigmaEvent, context: Mapping[str, Json]) -> SigmaEvent:
    """An event with the fields that it gets from its process's context; what it has itself it keeps."""
    given = {name: context[name] for name in context_fields(event.event_id) & context.keys()}
    kept = {name: value for name, value in event.fields.items() if value is not None}
    return msgspec.structs.replace(event, fields={**event.fields, **given, **kept}, envelope=0)


def _data(event: WinlogEvent) -> dict[str, Json]:
    try:
        return event.data()
    except RecordError:
        return {}


def _user(data: Mapping[str, Json]) -> str | None:
    for domain, user in _USERS:
        name = text(data.get(user))
        if name and name != "-":
            prefix = text(data.get(domain)) if domain else None
            return f"{prefix}\\{name}" if prefix and prefix != "-" else name
    return None


def _first(data: Mapping[str, Json], names: Iterable[str]) -> str | None:
    return next((found for name in names if (found := text(data.get(name)))), None)
