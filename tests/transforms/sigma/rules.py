"""Rules made in tests, and what becomes of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from huntbeam.transforms.sigma.compile import compile_documents
from huntbeam.transforms.sigma.documents import Document
from huntbeam.transforms.sigma.events import ENVELOPE, SECURITY, SYSMON, SigmaEvent
from huntbeam.transforms.sigma.load import Loaded, parse_all
from huntbeam.transforms.sigma.matcher import Matcher
from huntbeam.transforms.sigma.plan import RuleSet
from huntbeam.transforms.sigma.user_pipelines import UserPipeline

PROCESS = {"product": "windows", "category": "process_creation"}
APPLICATION = {"product": "windows", "service": "application"}

Data = dict[str, Any]


def rule(detection: Mapping[str, Any], logsource: Mapping[str, Any] = APPLICATION, **more: Any) -> Data:
    """A rule; without a condition there is one selection."""
    found = {"condition": "selection", **detection} if "condition" in detection else {"selection": dict(detection)}
    return {
        "title": "Rule",
        "id": str(uuid.uuid4()),
        "logsource": dict(logsource),
        "detection": {"condition": "selection", **found},
        **more,
    }


def documents(*rules: Data) -> list[Document]:
    return [
        Document("rules.yml", number, yaml.safe_dump(one, allow_unicode=True, sort_keys=False))
        for number, one in enumerate(rules, 1)
    ]


def loaded(*rules: Data) -> Loaded:
    return parse_all(documents(*rules))


def ruleset(*rules: Data, user: Sequence[UserPipeline] = ()) -> RuleSet:
    return compile_documents(documents(*rules), user)


def event(fields: Mapping[str, Any], channel: str | None = "Application", event_id: int = 1000) -> SigmaEvent:
    """An event of the Application log."""
    own = {"Computer": "ws-7", "Channel": channel, "Provider_Name": "Provider", "EventID": event_id}
    envelope = 0 if own.keys() & fields.keys() else ENVELOPE
    return SigmaEvent("Provider", channel, event_id, {**fields, **own}, envelope)


def sysmon(event_id: int, **fields: Any) -> SigmaEvent:
    return event(fields, SYSMON, event_id)


def security(event_id: int, **fields: Any) -> SigmaEvent:
    return event(fields, SECURITY, event_id)


def hits(rules: RuleSet, found: SigmaEvent) -> list[int]:
    return Matcher(rules).match(found)


def matches(detection: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Whether a rule with this detection fires on an event with these fields."""
    rules = ruleset(rule(detection))
    assert not rules.errors, rules.errors
    return hits(rules, event(fields)) == [0]
