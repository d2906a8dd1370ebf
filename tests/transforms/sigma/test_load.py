"""Documents become rules; every error is told with its file, line and rule, and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.sigma.compile import compile_loaded
from huntbeam.transforms.sigma.documents import Document
from huntbeam.transforms.sigma.load import Loaded, load, parse_all
from huntbeam.transforms.sigma.plan import RuleSet
from tests.transforms.sigma.rules import loaded, rule

GOOD = yaml.safe_dump(rule({"Field": "value"}))
RULE = """
title: Rule
logsource: {product: windows, service: application}
detection:
    selection: {Field: value}
    condition: selection
"""


def parsed(*texts: str) -> Loaded:
    return parse_all(Document("rules.yml", 10 * number, text) for number, text in enumerate(texts, 1))


def problems(found: Loaded) -> list[tuple[int, str, str]]:
    return [(error.line, error.rule, error.error_class) for error in found.errors]


@pytest.mark.parametrize(
    ("text", "error_class", "reason"),
    [
        ("title: [", "Yaml", "in line 2"),
        ("a: b: c", "Yaml", "in line 20: mapping values are not allowed"),
        ("- a\n- b", "Yaml", "no map"),
        ("text", "Yaml", "no map"),
        ("title: a\ntitle: b", "Yaml", "in line 21: the key title stands twice"),
        ("a: !!python/object/apply:os.system [ls]", "Yaml", "could not determine a constructor"),
        (RULE.replace("{Field: value}", "{Field|evil: value}"), "ModifierError", "Unknown modifier"),
        (RULE.replace("{Field: value}", "{Field|re: '('}"), "RegularExpressionError", "invalid"),
        (RULE.replace("{Field: value}", "{Field|cidr: 1.2.3}"), "TypeError", "CIDR"),
        (RULE.replace("{Field: value}", "{}"), "DetectionError", "empty"),
        (RULE.replace("title: Rule", "id: 7"), "AttributeError", ""),
        (RULE.replace("logsource", "logsorce"), "LogsourceError", "must have a log source"),
        (RULE.replace("detection", "detectoin"), "DetectionError", "must have a detection"),
        (RULE.replace("condition: selection", "cond: selection"), "ConditionError", "at least one condition"),
        ("title: x\ncorrelation: {type: evil, rules: a, timespan: 1m}", "CorrelationTypeError", "no valid"),
        ("title: x\nlogsource: {product: windows}\nfilter: {rules: any}", "FilterConditionError", "one condition"),
        ("action: explode", "Yaml", "the action explode is not known"),
        ("a: &a [x]\nb: " + "[" * 5_000, "Yaml", ""),
    ],
)
def test_errors_are_told_and_stop_no_other(text: str, error_class: str, reason: str) -> None:
    found = parsed(GOOD, text, GOOD)
    assert len(found.rules) == 2
    assert [(error.file, error.line, error.error_class) for error in found.errors][:1] == [
        ("rules.yml", 20, error_class)
    ]
    assert reason in found.errors[0].reason
    assert "\n" not in found.errors[0].reason


def test_all_errors_of_a_rule_are_told() -> None:
    data = rule({"Field": "value"}, id="no uuid", status="brilliant", level="extreme")
    assert {error for _, _, error in problems(loaded(data))} == {"IdentifierError", "StatusError", "LevelError"}
    assert problems(loaded(data))[0][1] == "no uuid"
    del data["id"]
    assert problems(loaded(data))[0][1] == "Rule"


@given(st.text(max_size=60) | st.sampled_from(["{", "? ", "&a *a", "*a", "%TAG", "\t", "\0", "---", "!!set {a}", "1"]))
def test_no_text_stops_the_loading(text: str) -> None:
    found = parsed(text, RULE, RULE.replace("value", text.replace("\n", " ")))
    assert found.rules[:1] != []


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["title", "id", "logsource", "detection", "tags", "level", "related", "filter"]), _values)
def test_no_value_in_the_wrong_place_stops_the_loading(key: str, value: object) -> None:
    odd = {**rule({"Field": "value"}), key: value}
    found = loaded(odd, rule({"Field": "value"}))
    assert found.rules[-1].data["title"] == "Rule"
    assert len(found.rules) + len(found.filters) == 2 or found.errors


@given(st.sampled_from(["Field", "Field|re", "Field|contains|all", "|all", "Field|gt", "Field|windash"]), _values)
def test_no_value_in_a_detection_stops_the_loading(key: str, value: object) -> None:
    found = loaded(rule({key: value}), rule({"Field": "value"}))
    assert found.rules[-1].document.line == 2
    compiled = compile_loaded(found)
    assert len(compiled.rules) + len({error.rule for error in compiled.errors}) == 2
    assert RuleSet.unpack(compiled.pack()) == compiled


def test_aliases_are_followed_but_not_without_end() -> None:
    shared = RULE + "fields: &f [a, b]\nfalsepositives: *f\n"
    assert parsed(shared).rules[0].data["falsepositives"] == ["a", "b"]
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
    assert problems(parsed(laughs)) == [(10, "", "Yaml")]
    assert problems(parsed("a: &a [*a]")) == [(10, "", "Yaml")]


def test_the_old_way_to_share_parts_of_rules() -> None:
    found = parsed(
        "action: global\ntitle: Shared\nlogsource: {product: windows, service: application}",
        "detection: {selection: {A: 1}, condition: selection}",
        "action: repeat\ndetection: {selection: {A: 2}}",
        "action: reset",
        RULE,
    )
    assert found.errors == []
    assert [one.data["title"] for one in found.rules] == ["Shared", "Shared", "Rule"]
    assert [one.data["detection"]["selection"] for one in found.rules] == [{"A": 1}, {"A": 2}, {"Field": "value"}]


def test_templates_end_with_their_file() -> None:
    found = parse_all(
        [
            Document("a.yml", 1, "action: global\nlogsource: {product: windows, service: application}"),
            Document("b.yml", 1, RULE.replace("logsource", "nothing")),
        ]
    )
    assert problems(found) == [(1, "Rule", "LogsourceError")]


def test_rules_filters_and_correlations_are_told_apart(tmp_path: Path) -> None:
    filtering = "title: f\nlogsource: {product: windows}\nfilter: {rules: any, selection: {A: 1}, condition: selection}"
    correlating = "title: c\ncorrelation: {type: event_count, rules: a, timespan: 1m, condition: {gte: 2}}"
    (tmp_path / "all.yml").write_text("\n---\n".join([RULE, filtering, correlating, "# nothing"]), encoding="utf-8")
    found = load([tmp_path])
    assert [len(part) for part in (found.texts, found.rules, found.filters, found.correlations)] == [3, 1, 1, 1]
    assert [one.line for one in found.texts] == [2, 9, 13]


@pytest.mark.parametrize("text", ["[", "{a: ", "- ", "? "])
def test_a_document_that_is_nested_without_end_is_refused(text: str) -> None:
    """The loader is recursive, and its stack is C's."""
    loaded = parse_all([Document("deep.yml", 1, f"title: deep\nkind: \n  {text * 200_000}"), Document("b", 1, RULE)])
    assert [(error.file, error.error_class) for error in loaded.errors] == [("deep.yml", "Yaml")]
    assert len(loaded.rules) == 1


def test_an_anomaly_rule_is_no_rule_of_sigma_but_noted() -> None:
    loaded = parse_all([Document("a.yml", 3, "kind: beacon\nid: x\nname: A\nseverity: low\n")])
    assert (loaded.rules, loaded.errors, loaded.texts) == ([], [], [])
    assert [(note.file, note.line, note.rule, note.error_class) for note in loaded.notes] == [
        ("a.yml", 3, "x", "AnomalyRule")
    ]
