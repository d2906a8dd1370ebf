"""Alerts of events: the rule set of a process, and what it finds in an event."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from huntbeam.schemas import uid
from huntbeam.schemas.alert import Alert
from huntbeam.schemas.clock import EventTime, instant, read_clocks
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.values import Json, text
from huntbeam.schemas.winlog import WinlogEvent, identifying
from huntbeam.transforms.sigma.events import channel_of, sigma_event
from huntbeam.transforms.sigma.matcher import Matcher
from huntbeam.transforms.sigma.plan import Rule, RuleSet

VALUE = 32_768  # characters of a value that an alert shows
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.ASCII)
_IMAGES = ("Image", "NewProcessName", "ProcessName", "SourceImage", "Application")
_USERS = (("", "User"), ("SubjectDomainName", "SubjectUserName"), ("TargetDomainName", "TargetUserName"))


class Detector:
    """A rule set at work. Not shared between threads."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._matcher = Matcher(rules)

    def wants(self, provider: str | None, channel: str | None, event_id: int) -> bool:
        """Whether any rule looks at such events; of the others nothing need be read."""
        return self._matcher.wants(channel_of(provider, channel), event_id)

    def alerts(self, event: WinlogEvent, mode: EventTime) -> list[Alert]:
        """The alerts of an event, in the order of the rules. Never fails."""
        seen = sigma_event(event)
        hits = self._matcher.match(seen)
        if not hits:
            return []
        data = _data(event)
        utc_time = text(data.get("UtcTime"))
        millis = read_clocks(mode if utc_time else EventTime.TIMESTAMP, utc_time, event.time).millis
        event_uid = uid.event(
            event.host, event.provider, event.channel, event.event_id, event.record_id, event.time, identifying(data)
        )
        return [
            self._alert(self._rules.rules[hit], event, event_uid, millis, data, self._matcher.matched(hit, seen))
            for hit in hits
            if self._rules.rules[hit].alerts
        ]

    def _alert(
        self,
        rule: Rule,
        event: WinlogEvent,
        event_uid: str,
        millis: int | None,
        data: Mapping[str, Json],
        matched: Mapping[str, Json],
    ) -> Alert:
        return Alert(
            time=None if millis is None else instant(millis),
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
            tags=list(rule.tags),
            attack=techniques(rule.tags),
            author=rule.author,
            references=list(rule.references),
            ruleset=self._rules.digest,
            matched=_shown(matched),
            event=_shown(data),
            contributing=[event_uid],
            contributing_count=1,
        )


_of_thread = threading.local()


def detector(packed: bytes) -> Detector:
    """The detector of a packed rule set, made once a thread: one of thousands of rules takes a second."""
    made = getattr(_of_thread, "made", None)
    if made is None:
        made = _of_thread.made = lru_cache(maxsize=1)(_make)
    found: Detector = made(packed)
    return found


def _make(packed: bytes) -> Detector:
    return Detector(RuleSet.unpack(packed))


def techniques(tags: Iterable[str]) -> list[str]:
    """The ATT&CK techniques among tags.

    >>> techniques(["attack.execution", "attack.t1059.001", "cve.2024.1"])
    ['T1059.001']
    """
    return [found[1].upper() for tag in tags if (found := _TECHNIQUE.fullmatch(tag.lower()))]


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


def _shown(fields: Mapping[str, Json]) -> dict[str, Any]:
    """Values as a map of text has them: numbers as they are, whatever is nested as its text."""
    return {
        name: value if value is None or value.__class__ is int else (text(value) or "")[:VALUE]
        for name, value in fields.items()
    }
