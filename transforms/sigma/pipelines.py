"""Sigma's log sources and field names turned into Windows', by pySigma pipelines: one for Sysmon, one for the audit and
other logs, and the user's own with the values of placeholders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sigma.processing.conditions import LogsourceCondition, RuleProcessingItemAppliedCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import (
    AddConditionTransformation,
    ChangeLogsourceTransformation,
    FieldMappingTransformation,
    ValueListPlaceholderTransformation,
)

from huntbeam.transforms.sigma.sources import (
    MONSTER_CATEGORIES,
    SECURITY_NAMES,
    SERVICES,
    SYSMON_CATEGORIES,
    WINDOWS_CATEGORIES,
    Target,
)
from huntbeam.transforms.sigma.user_pipelines import UserPipeline

PRIORITY = 10  # as pySigma's own: a user's pipeline of a lower one sees Sigma's names, of a higher one Windows'

_WINDOWS = "windows"


def sysmon(user: Sequence[UserPipeline] = ()) -> ProcessingPipeline:
    """Categories become Sysmon's event ids; fields keep their names, which are Sysmon's."""
    return _joined(_categories(SYSMON_CATEGORIES), user)


def windows(user: Sequence[UserPipeline] = ()) -> ProcessingPipeline:
    """Categories become events of the Security and PowerShell logs; fields of Security events get the names there."""
    return _joined([*_categories(WINDOWS_CATEGORIES), *_security_names()], user)


def monster(user: Sequence[UserPipeline] = ()) -> ProcessingPipeline:
    """Categories become Monster Agent's event ids; fields keep their names, which its documents have too."""
    return _joined(_categories(MONSTER_CATEGORIES), user)


def _joined(items: list[ProcessingItem], user: Sequence[UserPipeline]) -> ProcessingPipeline:
    ours = ProcessingPipeline([*items, *_channels()], priority=PRIORITY)
    parsed = [one.parsed() for one in user]  # anew: an item belongs to one pipeline
    joined = sum(sorted([ours, *parsed], key=lambda one: one.priority), start=ProcessingPipeline())
    if joined.vars:
        names = [str(name) for name in joined.vars]
        joined += ProcessingPipeline([ProcessingItem(ValueListPlaceholderTransformation(include=names))])
    return joined


def _categories(targets: Mapping[str, Target]) -> list[ProcessingItem]:
    items = []
    for category, target in targets.items():
        wanted: dict[str, Any] = {"EventID": list(target.event_ids), **target.conditions}
        items += [
            ProcessingItem(
                AddConditionTransformation(wanted, name="_event"),
                rule_conditions=[LogsourceCondition(category=category, product=_WINDOWS)],
            ),
            ProcessingItem(
                ChangeLogsourceTransformation(category, _WINDOWS, target.service),
                rule_conditions=[LogsourceCondition(category=category, product=_WINDOWS)],
                identifier=f"event_{category}",
            ),
        ]
    return items


def _security_names() -> list[ProcessingItem]:
    items = []
    for category, target in WINDOWS_CATEGORIES.items():
        for event_id in target.event_ids:
            if target.service == "security" and event_id in SECURITY_NAMES:
                condition = RuleProcessingItemAppliedCondition(f"event_{category}")
                mapping = dict(SECURITY_NAMES[event_id])
                names = FieldMappingTransformation(mapping)
                items.append(ProcessingItem(names, rule_conditions=[condition]))
    return items


def _channels() -> list[ProcessingItem]:
    return [
        ProcessingItem(
            AddConditionTransformation({"Channel": channels}, name="_channel"),
            rule_conditions=[LogsourceCondition(product=_WINDOWS, service=service)],
        )
        for service, channels in SERVICES.items()
    ]
