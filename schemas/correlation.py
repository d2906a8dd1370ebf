"""Correlations: what a Sigma correlation rule asks for, its hits and alerts (docs/semantics.md, "Correlations")."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec

from huntbeam.schemas.record import Kind, column

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
    author: str | None = None
    links: tuple[str, ...] = ()  # Sigma's references: where to read on
    depth: int = 0  # it names events' rules alone; else one more than the deepest correlation that it names
    version: str = ""  # hash of these settings and of the rules it names: with another one it is another correlation
    alerts: bool = True  # false: it only feeds correlations that say `generate: false`


Value = str | int | float
Group = tuple[str | None, ...]


class Hit(msgspec.Struct, frozen=True, array_like=True):
    """An event of a group, by one of the rules it matches. A value is text, a number where the type needs numbers."""

    time_ms: int
    event_uid: str
    rule: str
    value: Value | None = None


class GroupKey(NamedTuple):
    """A group of a correlation; state is kept by it."""

    rule_id: str
    version: str
    group: Group


class Grouped(msgspec.Struct, frozen=True, array_like=True):
    """A hit, the group that it is of, and what it is if it is an alert itself: those are revised and taken back."""

    key: GroupKey
    depth: int  # of the correlation
    hit: Hit
    revision: int = 0
    retracted: bool = False


T, N, B = Kind.TEXT, Kind.INTEGER, Kind.BOOLEAN

Revision = Annotated[int, column(N, "computed", "0 at first, one more each time the row is put out again; 0 in replay")]
Retracted = Annotated[bool, column(B, "computed", "Stream: what the row said no longer holds; false in replay")]
RuleId = Annotated[str, column(T, "rule", "Id of the rule")]
Title = Annotated[str, column(T, "rule", "Title of the rule")]


class CorrelationAlert(msgspec.Struct, frozen=True):
    """One run of events of a group that satisfy a correlation; schemas/alert.py has the row that it is put out as."""

    time: str  # of the first event that satisfied the condition
    event_uid: str
    revision: int
    retracted: bool
    truncated: bool  # stream: events were given up, the group had over 10,000
    key: GroupKey
    group: dict[str, str | None]  # fields of group-by, values in lower case
    first_seen: str  # earliest contributing event
    last_seen: str  # last event that satisfied the condition
    events: int  # that contribute; 0 once retracted
    event_uids: list[str]  # the first 100 of them
