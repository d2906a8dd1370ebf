"""Rules on their sources: what runs where, what does not and why, filters, duplicates, the digest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from huntbeam.transforms.sigma.enrichment import at_work
from huntbeam.transforms.sigma.plan import RuleSet
from huntbeam.transforms.sigma.user_pipelines import UserPipeline
from tests.transforms.sigma.rules import APPLICATION, PROCESS, Data, event, hits, rule, ruleset, security, sysmon

NETWORK = {"product": "windows", "category": "network_connection"}


def told(found: RuleSet) -> list[tuple[str, str]]:
    return [(one.error_class, one.reason) for one in found.errors]


def noted(found: RuleSet) -> list[tuple[str, str]]:
    return [(one.error_class, one.reason) for one in found.notes]


def sources(found: RuleSet) -> list[str]:
    return [variant.source for variant in found.rules[0].variants]


@pytest.mark.parametrize(
    ("logsource", "error_class"),
    [
        ({"product": "linux", "category": "process_creation"}, "NotWindows"),
        ({"category": "process_creation"}, "NotWindows"),
        ({"product": "windows", "category": "file_access"}, "NoSource"),
        ({"product": "windows", "service": "toaster"}, "NoSource"),
        ({"product": "windows", "category": "ps_script", "service": "security"}, "NoSource"),
    ],
)
def test_rules_without_a_source_are_errors(logsource: Data, error_class: str) -> None:
    found = ruleset(rule({"A": 1}, logsource))
    assert [one for one, _ in told(found)] == [error_class]
    assert found.rules == ()


def test_a_rule_for_all_of_windows_runs_everywhere() -> None:
    found = ruleset(rule({"A": 1}, {"product": "windows"}))
    assert sources(found) == ["Windows"]
    for one in (sysmon(1, A=1), security(4688, A=1), event({"A": 1}, None), event({"A": 1}, "No one knows")):
        assert hits(found, one) == [0]


def test_a_rule_that_needs_fields_of_sysmon_is_told_not_to_run_on_security() -> None:
    found = ruleset(rule({"Hashes|contains": "IMPHASH=0", "OriginalFileName": "a.exe"}, PROCESS))
    assert sources(found) == ["Sysmon 1"]
    reason = "cannot run on Security 4688 because its events have no Hashes, OriginalFileName"
    assert noted(found) == [("FieldsMissing", reason)]
    assert found.errors == ()


def test_a_rule_that_can_do_without_a_field_runs_and_says_so() -> None:
    either = {"selection": [{"Image|endswith": "\\a.exe"}, {"OriginalFileName": "a.exe"}], "condition": "selection"}
    found = ruleset(rule(either, PROCESS))
    assert sources(found) == ["Sysmon 1", "Security 4688"]
    reason = "runs on Security 4688 without OriginalFileName, which its events do not have"
    assert noted(found) == [("WithoutFields", reason)]
    assert found.rules[0].variants[1].without == ("OriginalFileName",)
    assert hits(found, security(4688, NewProcessName="C:\\A.EXE")) == [0]


@pytest.mark.parametrize(
    ("detection", "runs"),
    [
        ({"CommandLine": "a"}, False),
        ({"CommandLine|re": "a"}, False),
        ({"CommandLine|exists": True}, False),
        ({"CommandLine|exists": False}, True),
        ({"CommandLine": None}, True),
        ({"CommandLine|neq": "a"}, True),
        ({"CommandLine": ["a", None]}, True),
        ({"Image|fieldref": "CommandLine"}, False),
        ({"selection": {"Image": "a"}, "filter": {"CommandLine": "b"}, "condition": "selection and not filter"}, True),
        ({"selection": {"Image": "a"}, "other": {"CommandLine": "b"}, "condition": "selection and other"}, False),
    ],
)
def test_missing_fields_decide(detection: Data, runs: bool) -> None:
    found = ruleset(rule(json.loads(json.dumps(detection).replace("CommandLine", "Nowhere")), NETWORK))
    assert [one for one, _ in told(found)] == ([] if runs else ["FieldsMissing"])
    assert [one for one, _ in noted(found)] == (["WithoutFields"] if runs else [])
    given = at_work(ruleset(rule(detection, NETWORK)), frozenset())  # by the process's create, but it is not asked for
    assert [one for one, _ in told(given)] == ([] if runs else ["NeedsEnrich"])
    assert [one for one, _ in noted(given)] == (["WithoutFields"] if runs else [])


def test_a_condition_for_another_event_than_the_sources_is_told() -> None:
    found = ruleset(rule({"EventID": 3, "A": 1}, {"product": "windows", "category": "dns_query"}))
    assert told(found) == [("NoSource", "the condition asks for events that its log source does not have")]


def test_event_ids_of_a_rule_narrow_its_source() -> None:
    found = ruleset(rule({"EventID": [4624, "4625"], "LogonType": 3}, {"product": "windows", "service": "security"}))
    assert sources(found) == ["Security 4624, 4625"]
    assert [hits(found, security(n, LogonType="3")) for n in (4624, 4625, 4626)] == [[0], [0], []]
    assert found.rules[0].variants[0].channels == ("security",)


def test_what_alerts_show_of_a_rule() -> None:
    data = rule(
        {"A": 1},
        description="What it does",
        level="high",
        status="test",
        author="Ada, Grace",
        license="DRL-1.1",
        tags=["attack.t1059.001", "attack.execution"],
        references=["https://example.org/a"],
        falsepositives=["Admins"],
        fields=["A"],
        name="a_rule",
    )
    one = ruleset(rule({"B": 1}), data).rules[1]
    assert (one.id, one.title, one.name, one.line) == (data["id"], "Rule", "a_rule", 2)
    assert (one.level, one.status, one.author, one.license) == ("high", "test", "Ada, Grace", "DRL-1.1")
    assert (one.tags, one.fields) == (("attack.t1059.001", "attack.execution"), ("A",))
    assert (one.references, one.falsepositives) == (("https://example.org/a",), ("Admins",))
    assert (one.category, one.service, one.alerts) == (None, "application", True)


def test_a_rule_without_an_id_has_one_of_its_text() -> None:
    a, b, again = rule({"A": 1}), rule({"A": 2}), rule({"A": 1})
    for one in (a, b, again):
        del one["id"]
    found = ruleset(a, b, again)
    assert len({one.id for one in found.rules}) == 2
    assert told(found) == [("Duplicate", "a rule with this id stands in rules.yml, line 1")]
    assert ruleset(again).rules[0].id == found.rules[0].id


def test_the_second_rule_of_an_id_is_left_out() -> None:
    found = ruleset(rule({"A": 1}), rule({"A": 2}, id="7b6f9bd1-0c2f-4d6e-9a70-0b0a5c4a1d11"))
    again = ruleset(rule({"A": 1}, id=found.rules[0].id), rule({"A": 2}, id=found.rules[0].id))
    assert [one for one, _ in told(again)] == ["Duplicate"]
    assert hits(again, event({"A": 1})) == [0]
    assert hits(again, event({"A": 2})) == []


# Filters -------------------------------------------------------------------------------------------------------------


def filtering(rules: Any, logsource: Data = APPLICATION, **detection: Any) -> Data:
    return {
        "title": "Filter",
        "id": "1a2b9c9e-7f6a-4e1e-8e0b-35d7ce0b5c22",
        "logsource": dict(logsource),
        "filter": {"rules": rules, "condition": "1 of them", **detection},
    }


def test_filters_narrow_the_rules_that_they_name() -> None:
    first, second = rule({"A": 1}), rule({"A": 1}, name="second")
    found = ruleset(first, second, filtering([first["id"], "second"], selection_user={"User|startswith": "adm_"}))
    assert hits(found, event({"A": 1, "User": "bob"})) == []  # a filter is a further condition
    filtered = event({"A": 1, "User": "ADM_bob"})
    assert hits(found, filtered) == [0, 1]
    negated = filtering(["second"], selection_user={"User|startswith": "adm_"})
    negated["filter"]["condition"] = "not selection_user"
    assert hits(ruleset(first, second, negated), filtered) == [0]


def test_filters_for_all_rules_of_a_source_and_in_sysmons_names() -> None:
    everywhere = filtering("any", {"product": "windows"}, selection={"Image|endswith": "\\safe.exe"})
    everywhere["filter"]["condition"] = "not selection"
    found = ruleset(rule({"CommandLine|contains": "x"}, PROCESS), everywhere)
    assert found.notes == ()
    assert hits(found, sysmon(1, CommandLine="x", Image="C:\\a.exe")) == [0]
    assert hits(found, sysmon(1, CommandLine="x", Image="C:\\safe.exe")) == []
    assert hits(found, security(4688, CommandLine="x", NewProcessName="C:\\safe.exe")) == []


def test_a_filter_for_no_rule_is_noted() -> None:
    found = ruleset(rule({"A": 1}), filtering(["no such rule"], selection={"A": 2}))
    assert noted(found) == [("UnusedFilter", "the filter is for none of the rules")]
    assert found.notes[0].line == 2


# The digest ----------------------------------------------------------------------------------------------------------


def test_equal_rules_equal_digest() -> None:
    a, b = rule({"A": 1}), rule({"A": 2})
    assert ruleset(a, b).digest == ruleset(a, b).digest
    different = [ruleset(a, b), ruleset(b, a), ruleset(a), ruleset(a, rule({"A": 3}, id=b["id"]))]
    different.append(ruleset(a, b, user=[UserPipeline("p.yml", "vars: {a: 1}")]))
    assert len({one.digest for one in different}) == len(different)
    assert ruleset(a, user=[UserPipeline("p", "{}")]).digest == ruleset(a, user=[UserPipeline("q", "{}")]).digest
