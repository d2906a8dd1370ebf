"""Anomalies: the rules that look at window rows and connects, and what they find (docs/semantics.md, "Anomalies")."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from huntbeam.schemas.correlation import Retracted, Revision, RuleId, Title
from huntbeam.schemas.record import Kind, column
from huntbeam.schemas.sysmon import EventUid

COUNT = "count"
DISTINCT = "distinct."
SUM = "sum."


class Severity(StrEnum):
    """How bad it is, as Sigma's level."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Method(StrEnum):
    """What is usual, and the unit of what is beyond it."""

    MEAN_STDDEV = "mean_stddev"  # of the population
    MEDIAN_MAD = "median_mad"  # median of absolute deviations times 1.4826, which is a normal distribution's stddev


class Prevalence(StrEnum):
    """What a baseline knows of a key without its host."""

    COUNT = "count"  # events
    WINDOWS = "windows"  # windows of any host
    HOSTS = "hosts"


Text = Annotated[str, Meta(min_length=1)]
AttackTag = Annotated[str, Meta(pattern=r"^attack\.[a-z0-9][a-z0-9_.-]*$")]
Measure = Annotated[str, Meta(pattern=r"^(count|distinct\.[a-z0-9_]+|sum\.[A-Za-z0-9_]+)$")]  # of a window row


class _Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every rule says."""

    id: Text
    name: Text
    severity: Severity
    tags: tuple[AttackTag, ...] = ()
    text: str = ""
    falsepositives: tuple[str, ...] = ()


class Threshold(_Rule, frozen=True, kw_only=True, tag="threshold"):
    """A window row's count, or distinct values, are over a threshold."""

    counter: Text
    measure: Measure = COUNT
    above: float


class Deviation(_Rule, frozen=True, kw_only=True, tag="deviation"):
    """They are over what is usual for the key by its own windows before, by more than `factor` of what is usual."""

    counter: Text
    measure: Measure = COUNT
    method: Method
    factor: Annotated[float, Meta(gt=0)]
    windows: Annotated[int, Meta(ge=1, le=2016)] = 288  # a day of windows of 5 minutes; at most a week
    min_history: Annotated[int, Meta(ge=1)]  # of these that are not zero
    above: float = 0  # and over a threshold


class Ratio(_Rule, frozen=True, kw_only=True, tag="ratio"):
    """Of two measures of a window row the one is more than `above` times the other, and at least `at_least`."""

    counter: Text
    measure: Measure
    by: Measure
    above: Annotated[float, Meta(gt=0)]
    at_least: Annotated[int, Meta(ge=0)] = 0


class FirstSeen(_Rule, frozen=True, kw_only=True, tag="first_seen"):
    """A key of a counter is there for the first time."""

    counter: Text


class Rare(_Rule, frozen=True, kw_only=True, tag="rare"):
    """A key of a counter is there that the baseline has not, or seldom."""

    counter: Text
    prevalence: Prevalence = Prevalence.HOSTS
    at_most: Annotated[int, Meta(ge=0)] = 0


class Beacon(_Rule, frozen=True, kw_only=True, tag="beacon"):
    """A process connects to a destination at regular intervals."""

    connects: Annotated[int, Meta(ge=3)] = 12  # in a tumbling hour
    variation: Annotated[float, Meta(ge=0)] = 0.1  # stddev of the gaps by their mean, at most


AnomalyRule = Threshold | Deviation | Ratio | FirstSeen | Rare | Beacon

I, F, N, T = Kind.INSTANT, Kind.NUMBER, Kind.INTEGER, Kind.TEXT  # noqa: E741 - one letter a kind, as in sysmon.py


class Anomaly(msgspec.Struct, frozen=True):
    """What a rule found in a window's row, in the sightings of a key, or in an hour of connects."""

    time: Annotated[str, column(I, "event time", "Earliest event of what stands out")]
    event_uid: EventUid
    revision: Revision
    retracted: Retracted
    rule_id: RuleId
    title: Title
    severity: Annotated[str, column(T, "rule", "informational, low, medium, high or critical")]
    attack: Annotated[list[str], column(Kind.TEXT_LIST, "rule", "ATT&CK tags")]
    text: Annotated[str, column(T, "rule", "What it means and what to do")]
    kind: Annotated[str, column(T, "rule", "threshold, deviation, ratio, first_seen, rare or beacon")]
    counter: Annotated[str | None, column(T, "rule", "Name of the counter; null for beacon")]
    window_start: Annotated[str | None, column(I, "event time", "Start of the window; null for first_seen and rare")]
    window_end: Annotated[str | None, column(I, "event time", "End of the window, exclusive")]
    key: Annotated[dict[str, str | int | None], column(Kind.TEXT_MAP, "key columns", "Key, its host in lower case")]
    measure: Annotated[str | None, column(T, "rule", "What was looked at: count, distinct.src_port, hosts, variation")]
    value: Annotated[float | None, column(F, "computed", "What it was; of a ratio null: divided by 0")]
    expected: Annotated[float | None, column(F, "computed", "Threshold, or what is usual: the mean or the median")]
    deviation: Annotated[
        float | None, column(F, "computed", "Units beyond the usual; null: it never varied, or no unit")
    ]
    history: Annotated[int | None, column(N, "computed", "Windows before that were not zero; for beacon its connects")]
