"""Correlations: what a Sigma correlation rule asks for, and the alert it raises (docs/semantics.md, "Correlations")."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from huntbeam.schemas.record import Kind, column
from huntbeam.schemas.sysmon import EventUid

CONTRIBUTING = 100  # event uids that an alert lists; `events` counts all


class CorrelationType(StrEnum):
    """What is looked at in the events of a group within a timespan."""

    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"  # distinct values
    TEMPORAL = "temporal"  # distinct rules
    TEMPORAL_ORDERED = "temporal_ordered"  # all rules, in their order
    VALUE_SUM = "value_sum"
    VALUE_AVG = "value_avg"
    VALUE_PERCENTILE = "value_percentile"  # nearest rank: a value that was there
    VALUE_MEDIAN = "value_median"  # of two middle values their mean


NUMERIC = frozenset(
    {
        CorrelationType.VALUE_SUM,
        CorrelationType.VALUE_AVG,
        CorrelationType.VALUE_PERCENTILE,
        CorrelationType.VALUE_MEDIAN,
    }
)


class Operator(StrEnum):
    """How what was found is compared with a threshold."""

    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EQ = "eq"
    NEQ = "neq"


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One comparison of a condition."""

    operator: Operator
    threshold: int | float


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule whose hits are correlated. `fields` says under which field of its events an alias stands."""

    rule: str
    fields: dict[str, str] = {}


class Correlation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one correlation."""

    rule_id: str
    title: str
    type: CorrelationType
    references: tuple[Reference, ...]
    group_by: tuple[str, ...] = ()  # none: all hits are one group
    timespan_ms: int
    bounds: tuple[Bound, ...] = ()  # all of them hold; temporal_ordered has none
    fields: tuple[str, ...] = ()  # whose values are looked at; value_count takes several as one value
    percentile: int | None = None  # 0 to 100
    generate: bool = False  # the rules it names give alerts of their own, too
    level: str | None = None
    tags: tuple[str, ...] = ()


T, N, B, I = Kind.TEXT, Kind.INTEGER, Kind.BOOLEAN, Kind.INSTANT  # noqa: E741 - one letter a kind, as in sysmon.py

Revision = Annotated[int, column(N, "computed", "0 at first, one more each time the row is put out again; 0 in replay")]
Retracted = Annotated[bool, column(B, "computed", "Stream: what the row said no longer holds; false in replay")]
RuleId = Annotated[str, column(T, "rule", "Id of the rule")]
Title = Annotated[str, column(T, "rule", "Title of the rule")]


class CorrelationAlert(msgspec.Struct, frozen=True):
    """One run of events of a group that satisfy a correlation."""

    time: Annotated[str, column(I, "event time", "First event that satisfied the condition")]
    event_uid: EventUid
    revision: Revision
    retracted: Retracted
    truncated: Annotated[bool, column(B, "computed", "Stream: events were given up, the group had over 10,000")]
    rule_id: RuleId
    title: Title
    level: Annotated[str | None, column(T, "rule", "Severity, as Sigma's level")]
    tags: Annotated[list[str], column(Kind.TEXT_LIST, "rule", "Tags, ATT&CK's among them")]
    type: Annotated[str, column(T, "rule", "Type of the correlation")]
    group: Annotated[dict[str, str | None], column(Kind.TEXT_MAP, "events", "Fields of group-by, values in lower case")]
    first_seen: Annotated[str, column(I, "event time", "Earliest contributing event")]
    last_seen: Annotated[str, column(I, "event time", "Last event that satisfied the condition")]
    events: Annotated[int, column(N, "counted", "Contributing events; 0 once retracted")]
    event_uids: Annotated[list[str], column(Kind.TEXT_LIST, "events", "The first 100 of them")]
