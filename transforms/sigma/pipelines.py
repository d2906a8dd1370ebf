"""Sigma's log sources and field names turned into Windows', by pySigma pipelines: one for Sysmon, one for the audit and
other logs, and the user's own with the values of placeholders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from sigma.exceptions import SigmaError
from sigma.processing.conditions import LogsourceCondition, RuleProcessingItemAppliedCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import (
    AddConditionTransformation,
    ChangeLogsourceTransformation,
    FieldMappingTransformation,
    ValueListPlaceholderTransformation,
)

from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.sigma.sources import (
    SECURITY_NAMES,
    SERVICES,
    SYSMON_CATEGORIES,
    WINDOWS_CATEGORIES,
    Target,
)

VERSION = 1  # of what sources.py and this module make of a rule
PRIORITY = 10  # as pySigma's own: a user's pipeline of a lower one sees Sigma's names, of a higher one Windows'

_WINDOWS = "windows"


class UserPipeline(NamedTuple):
    """A pipeline file of the user, pySigma's YAML."""

    name: str
    text: str

    def parsed(self) -> ProcessingPipeline:
        """A new pipeline. Raises UnusableError for what is none."""
        try:
            return ProcessingPipeline.from_yaml(self.text)
        except (SigmaError, yaml.YAMLError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise UnusableError(f"{self.name} is no pySigma pipeline: {told}") from error


def read_pipelines(files: Iterable[str | PathLike[str]]) -> list[UserPipeline]:
    """The user's pipelines. Raises UnusableError for a file that cannot be used."""
    found = []
    for file in files:
        try:
            pipeline = UserPipeline(str(file), Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableError(f"the pipeline {file} cannot be read: name a text file in UTF-8") from error
        pipeline.parsed()
        found.append(pipeline)
    return found


def sysmon(user: Sequence[UserPipeline] = ()) -> ProcessingPipeline:
    """Categories become Sysmon's event ids; fields keep their names, which are Sysmon's."""
    return _joined(_categories(SYSMON_CATEGORIES), user)


def windows(user: Sequence[UserPipeline] = ()) -> ProcessingPipeline:
    """Categories become events of the Security and PowerShell logs; fields of Security events get the names there."""
    return _joined([*_categories(WINDOWS_CATEGORIES), *_security_names()], user)


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
