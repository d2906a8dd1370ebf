"""Alerts with the names of the Elastic Common Schema (`--alert_format ecs`): one table, read in both directions.

Names that ECS does not have are Kibana's for its own alerts (`kibana.alert.*`), Winlogbeat's (`winlog.*`), or stand
below `huntbeam`, as ECS wants it. What is null or empty is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from huntbeam.schemas.alert import Alert, techniques
from huntbeam.schemas.record import Kind, columns

VERSION = "8.11.0"  # of ECS; the names below are in all later ones, too


class AlertFormat(StrEnum):
    """How alerts and suppressed ones are written."""

    COLUMNS = "columns"
    ECS = "ecs"


# Column -> ECS name.
NAMES: dict[str, str] = {
    "time": "@timestamp",
    "event_uid": "event.id",
    "revision": "huntbeam.revision",
    "retracted": "huntbeam.retracted",
    "host": "host.name",
    "process_path": "process.executable",
    "record_id": "winlog.record_id",
    "rule_id": "rule.uuid",
    "rule_title": "rule.name",
    "rule_level": "kibana.alert.severity",
    "rule_type": "rule.category",
    "tags": "tags",
    "references": "rule.reference",
    "ruleset": "rule.ruleset",
    "matched": "huntbeam.matched",
    "event": "winlog.event_data",
    "contributing": "huntbeam.contributing",
    "contributing_count": "huntbeam.contributing_count",
    "first_seen": "event.start",
    "last_seen": "event.end",
    "truncated": "huntbeam.truncated",
    "suppressed_count": "kibana.alert.suppression.docs_count",
    "src_geo": "source.geo",
    "dst_geo": "destination.geo",
}
# What a place has, and ECS's names for it.
_GEO = {"country_code": "country_iso_code", "country": "country_name", "city": "city_name", "location": "location"}
_SEVERITY = {"informational": 1, "low": 21, "medium": 47, "high": 73, "critical": 99}  # as Elastic's risk scores
_CONSTANT = {"ecs.version": VERSION, "event.kind": "signal"}


def _attack(alert: Alert, whole: bool) -> list[str]:
    found = [name.partition(".")[0] if whole else name for name in alert.attack if whole or "." in name]
    return list(dict.fromkeys(found))


def _account(alert: Alert) -> tuple[str, str]:
    """Domain and name; without both all of it is the name."""
    account = alert.user_account or ""
    domain, _, name = account.partition("\\")
    return (domain, name) if domain and name else ("", account)


# What follows from columns in another form.
DERIVED: dict[str, Callable[[Alert], Any]] = {
    "rule.id": attrgetter("rule_id"),
    "rule.author": lambda alert: [alert.author] if alert.author else [],  # ECS wants a list
    "user.domain": lambda alert: _account(alert)[0],
    "user.name": lambda alert: _account(alert)[1],
    "event.severity": lambda alert: _SEVERITY.get(alert.rule_level or ""),
    "threat.framework": lambda alert: "MITRE ATT&CK" if alert.attack else None,
    "threat.technique.id": lambda alert: _attack(alert, True),
    "threat.technique.subtechnique.id": lambda alert: _attack(alert, False),
}


# Event data once more, where Elastic's own tools look for them.
COPIES = {
    "process.command_line": "CommandLine",
    "process.parent.executable": "ParentImage",
    "process.parent.command_line": "ParentCommandLine",
}


class _Place(NamedTuple):
    path: tuple[str, ...]
    value: Callable[[Alert], Any]


def _geo(column: str) -> Callable[[Alert], Any]:
    of = attrgetter(column)
    return lambda alert: {_GEO[name]: value for name, value in msgspec.to_builtins(of(alert) or {}).items()}


_GEOS = frozenset(column.name for column in columns(Alert) if column.kind is Kind.GEO)
_PLACES = [
    *(
        _Place(tuple(name.split(".")), _geo(column) if column in _GEOS else attrgetter(column))
        for column, name in NAMES.items()
    ),
    *(_Place(tuple(name.split(".")), value) for name, value in DERIVED.items()),
]
_EMPTY: dict[Kind, Callable[[], Any]] = {Kind.TEXT_LIST: list, Kind.TEXT_MAP: dict}
_encode_lines = msgspec.json.Encoder().encode_lines


def document(alert: Alert, marks: Mapping[str, Any] | None = None, *, copies: bool = True) -> dict[str, Any]:
    """The alert as a document, its names as objects in one another. `marks` come below `huntbeam`."""
    found: dict[str, Any] = {"huntbeam": dict(marks or {})}
    for name, constant in _CONSTANT.items():
        _put(found, name.split("."), constant)
    for path, value in _PLACES:
        if (got := value(alert)) not in (None, "", [], {}):
            _put(found, path, got)
    for name, field in COPIES.items() if copies else ():
        if alert.event.get(field):
            _put(found, name.split("."), alert.event[field])
    return found


def json_lines(alerts: Sequence[Alert]) -> bytes:
    """The documents as UTF-8, one a line, as json_rows.json_lines() writes rows."""
    return _encode_lines([document(alert) for alert in alerts])


def as_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as its columns: what document() made of it is undone, any other stays as it is."""
    if not isinstance(row.get("ecs"), dict) or not isinstance(row.get("huntbeam"), dict):
        return dict(row)
    found: dict[str, Any] = {}
    for column in columns(Alert):
        value = _get(row, NAMES[column.name]) if column.name in NAMES else None
        if column.kind is Kind.GEO:
            if isinstance(value, dict):
                found[column.name] = {name: value[ecs] for name, ecs in _GEO.items() if ecs in value}
            continue
        found[column.name] = _EMPTY[column.kind]() if value is None and column.kind in _EMPTY else value
    domain, name, author = (_get(row, of) for of in ("user.domain", "user.name", "rule.author"))
    found["user_account"] = f"{domain}\\{name}" if domain else name
    found["author"] = author[0] if isinstance(author, list) and author else None
    found["attack"] = techniques(tag for tag in _get(row, NAMES["tags"]) or () if isinstance(tag, str))
    return found


def _put(found: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *objects, last = path
    for name in objects:
        found = found.setdefault(name, {})
    found[last] = value


def _get(found: Any, name: str) -> Any:
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
