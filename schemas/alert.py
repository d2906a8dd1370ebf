"""Alerts: what a Sigma rule found, with the event that it found it in."""

from __future__ import annotations

from typing import Annotated

import msgspec

from huntbeam.schemas.correlation import Retracted, Revision, RuleId, Title
from huntbeam.schemas.record import Kind, column
from huntbeam.schemas.sysmon import EventUid

_I, _N, _T, _L, _M = Kind.INSTANT, Kind.INTEGER, Kind.TEXT, Kind.TEXT_LIST, Kind.TEXT_MAP


class Alert(msgspec.Struct, frozen=True):
    """One rule on one event."""

    time: Annotated[str | None, column(_I, "event time", "UtcTime where the event has one, else the record's own time")]
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
    tags: Annotated[list[str], column(_L, "rule", "Tags")]
    attack: Annotated[list[str], column(_L, "rule", "ATT&CK techniques of the tags: T1059.001")]
    author: Annotated[str | None, column(_T, "rule", "Who wrote the rule")]
    references: Annotated[list[str], column(_L, "rule", "Where to read on")]
    ruleset: Annotated[str, column(_T, "rules", "Hash of all rules that the run had")]
    matched: Annotated[dict[str, str | int | None], column(_M, "event data", "Fields that made the rule match")]
    event: Annotated[dict[str, str | int | None], column(_M, "event data", "Event data as they stand")]
    contributing: Annotated[list[str], column(_L, "events", "event_uid of the events, 100 at the most")]
    contributing_count: Annotated[int, column(_N, "events", "How many events there are")]
