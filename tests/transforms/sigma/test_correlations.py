"""Correlation rules handed on, with their references resolved and the silence that they ask for."""

from __future__ import annotations

from typing import Any

from huntbeam.schemas.clock import MINUTE
from huntbeam.transforms.sigma.user_pipelines import UserPipeline
from tests.transforms.sigma.rules import PROCESS, Data, event, hits, rule, ruleset


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
    assert [r.rule for r in one.settings.references] == [first["id"], second["id"]]
    assert (one.settings.title, one.line, one.settings.alerts) == ("Correlation c", 1, True)
    assert (one.settings.timespan_ms, one.settings.depth) == (5 * MINUTE, 0)


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
    outer, inner = (one.settings for one in found.correlations)
    assert [one.rule for one in outer.references] == [inner.rule_id, found.rules[0].id]
    assert (outer.depth, inner.depth) == (1, 0)
    assert (outer.alerts, inner.alerts, found.rules[0].alerts) == (True, False, True)


def test_extended_conditions_name_their_rules() -> None:
    rules = [rule({"A": name}, name=name) for name in ("a", "b")]
    extended = {"title": "t", "correlation": {"type": "temporal", "timespan": "1h", "condition": "b and a"}}
    found = ruleset(*rules, extended)
    assert [one.rule for one in found.correlations[0].settings.references] == [rules[1]["id"], rules[0]["id"]]


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
    assert [one.settings.title for one in found.correlations] == ["Correlation d"]
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


def test_what_cannot_be_done_is_an_error_that_leaves_out_what_refers_to_it() -> None:
    found = ruleset(
        rule({"A": 1}, name="r"), correlation("a", ["r"], timespan="2y"), correlation("b", ["a"], generate=True)
    )
    assert found.correlations == ()
    assert [(one.line, one.error_class) for one in found.errors] == [(2, "Correlation"), (3, "Reference")]
    assert "longer than a year" in found.errors[0].reason
    assert found.rules[0].alerts is True


def versions(*rules: Data, **pipelines: Any) -> dict[str, str]:
    found = ruleset(*rules, **pipelines)
    assert found.errors == ()
    return {one.settings.title: one.settings.version for one in found.correlations}


def test_a_version_is_that_of_the_settings_and_of_all_rules_below() -> None:
    first, second = rule({"A": 1}, name="r"), rule({"A": 2}, name="s")
    chain = [correlation("i", ["r"]), correlation("o", ["i"]), correlation("x", ["s"])]
    before = versions(first, second, *chain)
    assert versions(second, *reversed(chain), rule({"Other": "x"}), first | {"title": "Another"}) == before
    changed = versions(first | {"detection": {"selection": {"A": 3}, "condition": "selection"}}, second, *chain)
    assert {title for title in before if before[title] != changed[title]} == {"Correlation i", "Correlation o"}
    wider = versions(first, second, correlation("i", ["r"], timespan="6m"), *chain[1:])
    assert {title for title in before if before[title] != wider[title]} == {"Correlation i", "Correlation o"}


def test_a_filter_makes_another_version() -> None:
    process = rule({"Image|endswith": "a.exe"}, PROCESS, name="r")
    excluding = {
        "title": "f",
        "id": "00000000-0000-4000-8000-000000000001",
        "logsource": PROCESS,
        "filter": {"rules": [process["id"]], "selection": {"User": "x"}, "condition": "not selection"},
    }
    chain = correlation("c", [process["id"]])
    assert versions(process, chain) != versions(process, chain, excluding)


def test_fields_that_correlations_read_have_the_sources_names() -> None:
    process = rule({"CommandLine": "x"}, PROCESS, name="r")
    aliased = correlation(
        "c", ["r"], **{"group-by": ["ParentImage", "who", "Computer"]}, aliases={"who": {"r": "Image"}}
    )
    (found,) = ruleset(process, aliased).rules
    assert {one.source: one.names for one in found.variants} == {
        "Sysmon 1": {},
        "Security 4688": {"ParentImage": ("ParentProcessName",), "Image": ("NewProcessName",)},
    }


def test_a_users_pipeline_renames_them_too() -> None:
    user = UserPipeline(
        "p", "priority: 20\ntransformations: [{type: field_name_mapping, mapping: {Who: [User, SubjectUserName]}}]"
    )
    chain = correlation("c", ["r"], **{"group-by": ["Who"]})
    (found,) = ruleset(rule({"A": 1}, name="r"), chain, user=[user]).rules
    assert [one.names for one in found.variants] == [{"Who": ("SubjectUserName", "User")}]
