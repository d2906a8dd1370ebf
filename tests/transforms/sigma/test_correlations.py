"""Correlation rules handed on, with their references resolved and the silence that they ask for."""

from __future__ import annotations

import json
from typing import Any

from sigma.correlations import SigmaCorrelationRule

from tests.transforms.sigma.rules import Data, event, hits, rule, ruleset


def correlation(name: str, rules: Any, generate: bool | None = None, **more: Any) -> Data:
    inner = {"type": "event_count", "rules": rules, "timespan": "5m", "condition": {"gte": 2}, **more}
    if generate is not None:
        inner["generate"] = generate
    return {"title": f"Correlation {name}", "name": name, "correlation": inner}


def test_references_by_id_and_by_name_in_any_order() -> None:
    first, second = rule({"A": 1}), rule({"A": 2}, name="second")
    found = ruleset(correlation("c", [first["id"], "second"]), first, second)
    assert found.errors == ()
    (one,) = found.correlations
    assert [(r.reference, r.rule, r.correlation) for r in one.refers] == [(first["id"], 0, None), ("second", 1, None)]
    assert (one.title, one.line, one.alerts) == ("Correlation c", 1, True)
    again = SigmaCorrelationRule.from_dict(json.loads(one.document))
    assert [reference.reference for reference in again.rules or []] == [first["id"], "second"]
    assert (again.timespan.seconds, again.title) == (300, "Correlation c")


def test_what_only_silent_correlations_use_gives_no_alerts() -> None:
    names = ["unused", "quiet", "loud", "both"]
    rules = [rule({"A": name}, name=name) for name in names]
    found = ruleset(
        *rules,
        correlation("a", ["quiet", "both"]),
        correlation("b", ["loud", "both"], generate=True),
        correlation("c", ["quiet"], generate=False),
    )
    assert {one.name: one.alerts for one in found.rules} == {"unused": True, "quiet": False, "loud": True, "both": True}
    assert hits(found, event({"A": "quiet"})) == [1]  # it is matched all the same: the correlation needs it


def test_correlations_of_correlations() -> None:
    found = ruleset(
        rule({"A": 1}, name="r"), correlation("outer", ["inner", "r"]), correlation("inner", ["r"], generate=True)
    )
    outer, inner = found.correlations
    assert [(one.rule, one.correlation) for one in outer.refers] == [(None, 1), (0, None)]
    assert (outer.alerts, inner.alerts, found.rules[0].alerts) == (True, False, True)


def test_extended_conditions_name_their_rules() -> None:
    rules = [rule({"A": name}, name=name) for name in ("a", "b")]
    extended = {"title": "t", "correlation": {"type": "temporal", "timespan": "1h", "condition": "a and not b"}}
    found = ruleset(*rules, extended)
    assert {one.reference: one.rule for one in found.correlations[0].refers} == {"a": 0, "b": 1}


def test_a_missing_rule_leaves_out_what_refers_to_it_however_far() -> None:
    broken = rule({"A|evil": 1}, name="broken")
    found = ruleset(
        broken,
        rule({"A": 1}, name="r"),
        correlation("a", ["r", "gone"]),
        correlation("b", ["a"]),
        correlation("c", ["broken"]),
        correlation("d", ["r"]),
    )
    assert [one.title for one in found.correlations] == ["Correlation d"]
    references = [(one.line, one.reason) for one in found.errors if one.error_class == "Reference"]
    assert references == [
        (3, "it refers to gone, which is no rule that can be used"),
        (4, "it refers to a, which is no rule that can be used"),
        (5, "it refers to broken, which is no rule that can be used"),
    ]
    assert found.rules[0].alerts is False


def test_what_goes_in_circles_is_left_out() -> None:
    found = ruleset(correlation("a", ["b"]), correlation("b", ["a"]), correlation("c", ["c"]))
    assert found.correlations == ()
    assert [one.error_class for one in found.errors] == ["Reference"] * 3


def test_ids_stand_once_across_rules_and_correlations() -> None:
    first = rule({"A": 1}, name="r")
    same = {**correlation("c", ["r"]), "id": first["id"]}
    found = ruleset(first, same)
    assert found.correlations == ()
    assert [one.error_class for one in found.errors] == ["Duplicate"]
