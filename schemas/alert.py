"""Alerts: what a Sigma rule found in an event, or a correlation in several."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from huntbeam.schemas.correlation import Retracted, Revision, RuleId, Title
from huntbeam.schemas.record import Kind, column
from huntbeam.schemas.sysmon import DstGeo, EventUid, SrcGeo

RULE = "rule"  # rule_type of what one event gave

_B, _I, _N, _T = Kind.BOOLEAN, Kind.INSTANT, Kind.INTEGER, Kind.TEXT
_L, _M = Kind.TEXT_LIST, Kind.TEXT_MAP
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.ASCII)


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule on one event, or one run of events that a correlation is about."""

    time: Annotated[str | None, column(_I, "event time", "When; of a correlation the first event that satisfied it")]
    event_uid: EventUid
    revision: Revision
    retracted: Retracted
    host: Annotated[str | None, column(_T, "record", "Source computer")]
    user_account: Annotated[str | None, column(_T, "User", "Account, with its domain where the event has one")]
    process_path: Annotated[str | None, column(_T, "Image", "Path of the process")]
    record_id: Annotated[str | None, column(_T, "record", "Record id in the event log")]
    rule_id: RuleId
    rule_title: Title
    rule_level: Annotated[str | None, column(_T, "rule", "informational, low, medium, high or critical")]
    rule_type: Annotated[str, column(_T, "rule", "rule, or the type of a correlation: event_count, temporal, ...")]
    tags: Annotated[list[str], column(_L, "rule", "Tags")]
    attack: Annotated[list[str], column(_L, "rule", "ATT&CK techniques of the tags: T1059.001")]
    author: Annotated[str | None, column(_T, "rule", "Who wrote the rule")]
    references: Annotated[list[str], column(_L, "rule", "Where to read on")]
    ruleset: Annotated[str, column(_T, "rules", "Hash of all rules that the run had")]
    matched: Annotated[
        dict[str, str | int | None],
        column(_M, "event data", "Fields that made the rule match; of a correlation its group"),
    ]
    event: Annotated[dict[str, str | int | None], column(_M, "event data", "Event data as they stand")]
    contributing: Annotated[list[str], column(_L, "events", "event_uid of the events, 100 at the most")]
    contributing_count: Annotated[int, column(_N, "events", "How many events there are; 0 once retracted")]
    first_seen: Annotated[str | None, column(_I, "event time", "Earliest of the events")]
    last_seen: Annotated[str | None, column(_I, "event time", "Last event that satisfied the rule")]
    truncated: Annotated[bool, column(_B, "computed", "Stream: of over 10,000 events or alerts some were given up")]
    suppressed_count: Annotated[int, column(_N, "counted", "Alerts that --suppress held back because of this one")] = (
        msgspec.field(default_factory=int)
    )  # what a factory makes is not left out
    src_geo: SrcGeo = None
    dst_geo: DstGeo = None


def techniques(tags: Iterable[str]) -> list[str]:
    """The ATT&CK techniques among tags.

    >>> techniques(["attack.execution", "attack.t1059.001", "cve.2024.1"])
    ['T1059.001']
    """
    return [found[1].upper() for tag in tags if (found := _TECHNIQUE.fullmatch(tag.lower()))]
