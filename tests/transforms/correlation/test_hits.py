"""Hits of correlations: groups and values of events, and the specification's examples from events to alerts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule

from huntbeam.schemas.correlation import (
    Correlation,
    CorrelationAlert,
    CorrelationType,
    Group,
    Grouped,
    GroupKey,
    Hit,
    Reference,
)
from huntbeam.transforms.correlation.evaluate import evaluate
from huntbeam.transforms.correlation.hits import (
    GROUP_LENGTH,
    VALUE_LENGTH,
    alert_hits,
    hits,
    number,
)
from huntbeam.transforms.correlation.rules import Names, references
from huntbeam.transforms.correlation.rules import correlation as from_sigma
from tests.transforms.correlation.test_evaluate import correlation

BY_USER = msgspec.structs.replace(correlation(CorrelationType.VALUE_COUNT), group_by=("User",), fields=("Ip",))


def one(asked: Correlation, rule: str = "one", **fields: Any) -> Grouped:
    (grouped,) = hits(asked, rule, fields, 5, "uid")
    return grouped


def in_group(group: Group, hit: Hit) -> Grouped:
    return Grouped(GroupKey("c-1", "", group), 0, hit)


def test_an_event_is_in_the_group_of_its_fields() -> None:
    assert one(BY_USER, User="LAB\\Ada", Ip="10.0.0.1") == in_group(("lab\\ada",), Hit(5, "uid", "one", "10.0.0.1"))
    assert one(BY_USER, User=7, Ip=443) == one(BY_USER, User="7", Ip="443")
    assert one(BY_USER, Ip="") == in_group((None,), Hit(5, "uid", "one", None))


def test_a_rule_that_is_not_named_has_no_hits() -> None:
    assert list(hits(BY_USER, "other", {"User": "ada"}, 5, "uid")) == []


def test_an_alias_is_a_field_of_each_rules_own() -> None:
    references = (Reference("one", {"User": "SubjectUserName", "Ip": "Source"}), Reference("two"))
    asked = msgspec.structs.replace(BY_USER, references=references)
    fields = {"SubjectUserName": "ada", "User": "grace", "Source": "a", "Ip": "b"}
    assert one(asked, **fields) == in_group(("ada",), Hit(5, "uid", "one", "a"))
    assert one(asked, "two", **fields) == in_group(("grace",), Hit(5, "uid", "two", "b"))


def test_several_fields_are_one_value_when_all_are_there() -> None:
    asked = msgspec.structs.replace(BY_USER, fields=("Ip", "Port"))
    assert one(asked, Ip="a", Port=1).hit.value == '["a","1"]'
    assert one(asked, Ip="a").hit.value is None


@given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 3))
def test_long_values_are_short_and_differ_where_values_differ(a: str, b: str, times: int) -> None:
    long_a, long_b = (text * (times * GROUP_LENGTH + 1) for text in (a, b))
    of_a, of_b = one(BY_USER, User=long_a, Ip=long_a), one(BY_USER, User=long_b, Ip=long_b)
    assert (of_a == of_b) == (long_a.lower() == long_b.lower())
    assert len(of_a.key.group[0] or "") <= GROUP_LENGTH
    assert len(str(of_a.hit.value)) <= VALUE_LENGTH


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (5, 5), ("5", 5), (" 5 ", 5), ("0x1a", 26), (2.5, 2.5), ("-2.5", -2.5), ("9" * 25, 1e25),
        (2**70, float(2**70)), (True, None), (None, None), ("", None), ("-", None), ("1,5", None), ("nan", None),
        (float("inf"), None), ([1], None),
    ],
)  # fmt: skip
def test_numbers_are_numbers_as_text_too(value: Any, found: float | None) -> None:
    assert number(value) == found
    assert type(number(value)) is type(found)


# From rules and events to alerts --------------------------------------------------------------------------------------

LOGINS = """
title: Many failures and then a login
correlation: {type: temporal_ordered, rules: [many_failures, login], group-by: [User], timespan: 10m}
---
title: Many failures
name: many_failures
correlation: {type: event_count, rules: [failure], group-by: [User, Computer], timespan: 10m, condition: {gte: 3}}
---
title: Failure
name: failure
logsource: {product: windows, service: security}
detection: {selection: {EventID: 4625}, condition: selection}
---
title: Login
name: login
logsource: {product: windows, service: security}
detection: {selection: {EventID: 4624}, condition: selection}
"""

ALIASES = """
title: An error and a connection back
correlation:
  type: temporal
  rules: [internal_error, new_network_connection]
  group-by: [internal_ip, remote_ip]
  timespan: 10s
  aliases:
    internal_ip: {internal_error: destination.ip, new_network_connection: source.ip}
    remote_ip: {internal_error: source.ip, new_network_connection: destination.ip}
---
title: Error
name: internal_error
logsource: {category: webserver}
detection: {selection: {http.response.status_code: 500}, condition: selection}
---
title: Connection
name: new_network_connection
logsource: {category: network_connection}
detection: {selection: {event.type: connection}, condition: selection}
"""


def correlations(document: str) -> list[Correlation]:
    """Those of a document, each after those that it names."""
    rules = SigmaCollection.from_yaml(document).rules
    names = {r.name: Names(r.name) for r in rules if not isinstance(r, SigmaCorrelationRule) and r.name}
    found: list[Correlation] = []
    waiting = [r for r in rules if isinstance(r, SigmaCorrelationRule)]
    while waiting:
        rule = next(r for r in waiting if all(name in names for name in references(r)))
        waiting.remove(rule)
        found.append(from_sigma(rule, rule.name or rule.title, names))
        names[found[-1].rule_id] = Names(found[-1].rule_id, found[-1].depth)
    return found


def alerts(document: str, events: list[tuple[int, str, dict[str, Any]]]) -> dict[str, list[CorrelationAlert]]:
    """What a set of rules makes of (seconds, matching rule, fields), by title; inner correlations first."""
    found: dict[str, list[CorrelationAlert]] = {}
    for asked in correlations(document):
        groups: dict[Group, list[Hit]] = {}
        grouped = [g for n, (at, rule, f) in enumerate(events) for g in hits(asked, rule, f, at * 1000, f"{n:02}")]
        for one in (*grouped, *(g for of in found.values() for row in of for g in alert_hits(asked, row))):
            groups.setdefault(one.key.group, []).append(one.hit)
        found[asked.title] = [row for group, of in groups.items() for row in evaluate(asked, group, of)]
    return found


def test_failures_followed_by_a_login() -> None:
    failures = [(n, "failure", {"User": "Ada", "Computer": "ws-7"}) for n in range(3)]
    found = alerts(LOGINS, [*failures, (60, "login", {"User": "ADA", "Computer": "ws-8"})])
    (many,) = found["Many failures"]
    assert (many.group, many.time) == ({"User": "ada", "Computer": "ws-7"}, "1970-01-01T00:00:02.000Z")
    (row,) = found["Many failures and then a login"]
    assert (row.group, row.event_uids) == ({"User": "ada"}, [many.event_uid, "03"])
    early = [(1, "login", {"User": "ada"}), *failures]
    assert alerts(LOGINS, early)["Many failures and then a login"] == []
    other = [*failures, (60, "login", {"User": "grace"})]
    assert alerts(LOGINS, other)["Many failures and then a login"] == []


def test_fields_of_different_names_are_one_group() -> None:
    error = (0, "internal_error", {"destination.ip": "10.0.0.5", "source.ip": "192.0.2.9"})
    back = (9, "new_network_connection", {"source.ip": "10.0.0.5", "destination.ip": "192.0.2.9"})
    away = (9, "new_network_connection", {"destination.ip": "10.0.0.5", "source.ip": "192.0.2.9"})
    (row,) = alerts(ALIASES, [error, back])["An error and a connection back"]
    assert row.group == {"internal_ip": "10.0.0.5", "remote_ip": "192.0.2.9"}
    assert alerts(ALIASES, [error, away])["An error and a connection back"] == []
