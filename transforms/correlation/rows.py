"""Alerts of correlations as rows of the stream `alerts`, and as hits of the correlations that name them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from huntbeam.schemas.alert import Alert, techniques
from huntbeam.schemas.correlation import Correlation, CorrelationAlert, Grouped
from huntbeam.transforms.correlation.hits import alert_hits
from huntbeam.transforms.correlation.known import Known

# Under these names rules know the host and the account, in lower case here. An alias counts as what it stands for.
_HOSTS = ("computer", "computername", "host", "hostname")
_USERS = ("user", "username", "subjectusername", "targetusername", "accountname")


def alert_row(correlation: Correlation, found: CorrelationAlert, ruleset: str) -> Alert:
    """The row. It is the group's as far as the group says so: an event of many cannot speak for all."""
    return Alert(
        time=found.time,
        event_uid=found.event_uid,
        revision=found.revision,
        retracted=found.retracted,
        host=_named(correlation, found, _HOSTS),
        user_account=_named(correlation, found, _USERS),
        process_path=_named(correlation, found, ("image",)),
        record_id=None,
        rule_id=correlation.rule_id,
        rule_title=correlation.title,
        rule_level=correlation.level,
        rule_type=correlation.type.value,
        tags=list(correlation.tags),
        attack=techniques(correlation.tags),
        author=correlation.author,
        references=list(correlation.links),
        ruleset=ruleset,
        matched=dict(found.group),
        event={},
        contributing=found.event_uids,
        contributing_count=found.events,
        first_seen=found.first_seen,
        last_seen=found.last_seen,
        truncated=found.truncated,
    )


def alert_rows(known: Known, batch: Iterable[CorrelationAlert]) -> list[Alert]:
    """The rows of those correlations that give alerts of their own."""
    rows = []
    for found in batch:
        correlation = known.find(found.key.rule_id, found.key.version)
        if correlation is not None and correlation.alerts:
            rows.append(alert_row(correlation, found, known.ruleset))
    return rows


def passed_on(known: Known, batch: Iterable[CorrelationAlert]) -> Iterator[Grouped]:
    """What alerts are to the correlations that name theirs."""
    for found in batch:
        for correlation in known.naming(found.key.rule_id, found.key.version):
            yield from alert_hits(correlation, found)


def _named(correlation: Correlation, found: CorrelationAlert, names: tuple[str, ...]) -> str | None:
    for field, value in found.group.items():
        stands_for = {field, *(one.fields[field] for one in correlation.references if field in one.fields)}
        if value is not None and any(name.lower() in names for name in stands_for):
            return value
    return None
