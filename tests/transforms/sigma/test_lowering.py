"""Every modifier of Sigma 2.1 and what it matches, by example."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from tests.transforms.sigma.rules import event, hits, matches, rule, ruleset

MISSING = object()


def fires(key: str, wanted: Any, value: Any) -> bool:
    return matches({key: wanted}, {} if value is MISSING else {"Field": value})


@pytest.mark.parametrize(
    ("key", "wanted", "yes", "no"),
    [
        ("Field", "abc", ["abc", "ABC", ["x", "aBc"]], ["abcd", "", None, MISSING, [], ["x"]]),
        ("Field", "a*c", ["ac", "AxxC", "a\nc"], ["acd", "bac"]),
        ("Field", "a?c", ["abc", "a\nc", "aİc", "a😀c"], ["ac", "abbc"]),
        ("Field", "*", ["", "x", 0, False], [None, MISSING, []]),
        ("Field", "?*", ["x", "xy"], ["", None]),
        ("Field", r"a\*c", ["a*c"], ["abc", r"a\*c"]),
        ("Field", r"a\?c", ["a?c"], ["abc"]),
        ("Field", r"a\\*c", ["a\\c", "a\\bc"], ["abc", "a*c"]),
        ("Field", r"a\\\*c", ["a\\*c"], ["a\\bc"]),
        ("Field", r"C:\Windows\x", ["c:\\WINDOWS\\X"], ["C:/Windows/x"]),
        ("Field", "ΑΣ", ["ας", "ΑΣ", "ασ"], ["a"]),
        ("Field", "straße", ["STRAßE", "STRAẞE"], ["strasse"]),
        ("Field", "", [""], [None, MISSING, " ", 0]),
        ("Field", None, [None, MISSING, [], [None]], ["", 0, False, "null"]),
        ("Field", ["a", "b", None], ["A", "b", MISSING], ["c", ""]),
        ("Field", [], [None, MISSING], ["", "a"]),
        ("Field|exists", True, ["", None, 0, "x"], [MISSING]),
        ("Field|exists", False, [MISSING], ["", None]),
        ("Field|contains", "b", ["abc", "B", ["x", "xBx"]], ["ac", "", None, MISSING]),
        ("Field|contains", "b*d", ["abcde", "xbd"], ["db"]),
        ("Field|contains", "", ["", "x", 1], [None, MISSING]),
        ("Field|startswith", "ab", ["abc", "AB"], ["xab", "a"]),
        ("Field|endswith", "bc", ["abc", "BC"], ["bcx"]),
        ("Field|endswith", "\\c*e.exe", ["x\\cale.EXE"], ["x\\cale.exe "]),
        ("Field|cased", "aB", ["aB"], ["ab", "AB"]),
        ("Field|contains|cased", "aB", ["xaBx"], ["xabx"]),
        ("Field|startswith|cased", "aB", ["aBx"], ["abx", "xaB"]),
        ("Field|endswith|cased", "aB", ["xaB"], ["xab"]),
        ("Field|cased", "a?B*", ["axB", "a B!"], ["axb", "aB"]),
        ("Field|contains|all", ["a", "b"], ["ab", "B a"], ["a", "b"]),
        ("Field|neq", "a", ["b", "", None, MISSING], ["a", "A"]),
        ("Field|neq", ["a", "b"], ["c", MISSING], ["a", "B"]),
        ("Field|contains|neq", "a", ["b", MISSING], ["xAx"]),
        ("Field|neq", 7, [8, "8", MISSING], [7, "7", "0x7"]),
        ("Field|contains|windash", " -f ", [" -f ", " /F ", " –f ", " —f ", " ―f "], [" f ", "-f"]),
        ("Field|windash|contains|all", ["-a", "-b"], ["/a -b", "―b ―a"], ["/a", "a b"]),
        ("Field|re", "a.c", ["xabcx"], ["ABC", "ac", None, MISSING]),
        ("Field|re", "^a*?b{2}$", ["aabb", "bb"], ["abbc"]),
        ("Field|re|i", "aBc", ["xABCx"], ["ac"]),
        ("Field|re|m", "^b$", ["a\nb\nc"], ["ab"]),
        ("Field|re|s", "a.c", ["a\nc"], ["ac"]),
        ("Field|re|i|m|s", "^B.C", ["a\nb\nc"], ["abc"]),
        ("Field|re|contains", "b|c", ["abd", "c"], ["a"]),
        ("Field|re|startswith", "b|c", ["bx", "cx"], ["xb", "a"]),
        ("Field|re|endswith", "b|c", ["xb", "xc"], ["bx", "cx"]),
        ("Field|re", r"\$env:Public\[\d\]", ["x$env:Public[5]"], ["$env:public[5]"]),
        ("Field|base64", "foo bar", ["Zm9vIGJhcg=="], ["foo bar"]),
        ("Field|wide|base64", "ab", [b64encode("ab".encode("utf-16-le")).decode()], ["YWI="]),
        ("Field|utf16le|base64", "ab", [b64encode("ab".encode("utf-16-le")).decode()], ["YWI="]),
        ("Field|utf16be|base64", "ab", [b64encode("ab".encode("utf-16-be")).decode()], ["YWI="]),
        ("Field|utf16|base64", "ab", [b64encode(b"\xff\xfe" + "ab".encode("utf-16-le")).decode()], ["YWI="]),
        ("Field|lt", 10, [9, "9", "0x9", -1, 9.5, "9.5", [11, 9]], [10, "10", "a", "", None, MISSING]),
        ("Field|lte", 10, [10, "10.0"], [10.5, "11"]),
        ("Field|gt", 10.5, [11, "10.6"], [10, "10.5", "x11"]),
        ("Field|gte", -1, [-1, "0"], ["-2", True]),
        ("Field", 443, [443, "443", "0x1bb", 443.0, " 443 ", [1, 443]], [444, "4430", "x443", True]),
        ("Field", "443", [443, "443", 443.0], ["0x1bb", " 443"]),
        ("Field", 1.5, [1.5, "1.5", "1.50"], [1, "1,5"]),
        ("Field", 1, [1, "1"], [True, "true"]),
        ("Field", 2**70, [float(2**70), 2**70, str(2**70)], [2**69]),
        ("Field", True, [True, "true", "TRUE"], [1, "1", False]),
        ("Field", "true", [True, "True"], [1]),
        ("Field|cidr", "10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3", " 10.0.0.1"], ["11.0.0.1", "LOCAL", "", None]),
        ("Field|cidr", ["fe80::/10", "::1/128"], ["fe80:0:0:0:1:2:3:4", "0:0:0:0:0:0:0:1"], ["fec0::1", "127.0.0.1"]),
        ("Field|minute", 6, ["2026-03-04 05:06:07", "2026-03-04T05:06:07.1Z"], ["2026-03-04 05:07:06", "06"]),
        ("Field|hour|gte", 22, ["2026-03-04T22:00:00+05:00"], ["2026-03-04T21:59:00"]),
        ("Field|day", [4, 5], ["2026-03-04 00:00"], ["2026-04-03 00:00"]),
        ("Field|week", 53, ["2027-01-03 00:00"], ["2026-01-03 00:00"]),
        ("Field|month|lt", 3, ["2026-02-28 00:00"], ["2026-03-01 00:00", None]),
        ("Field|year", 2026, ["2026-12-31 23:59"], [2026, "2026"]),
    ],
)
def test_modifiers(key: str, wanted: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not fires(key, wanted, value)] == []
    assert [value for value in no if fires(key, wanted, value)] == []


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_base64_at_any_offset(before: str) -> None:
    encoded = b64encode(f"{before}powershell -enc".encode()).decode()
    assert fires("Field|base64offset|contains", "powershell", encoded)
    assert not fires("Field|base64offset|contains", "qowershell", encoded)
    wide = b64encode((before + "Nasty*").encode("utf-16-le")).decode()
    assert fires("Field|wide|base64offset|contains", r"Nasty\*", wide)


def test_references_to_other_fields() -> None:
    for modifiers, mine, other, expected in (
        ("", "ABC", "abc", True),
        ("", "abc", "abcd", False),
        ("|startswith", "abcd", "AB", True),
        ("|startswith", "xab", "ab", False),
        ("|endswith", "xAB", "ab", True),
        ("|contains", "xabx", "AB", True),
        ("|contains", "xabx", "ba", False),
        ("|neq", "a", "b", True),
        ("", ["x", "a"], ["b", "A"], True),
        ("", 7, "7", True),
        ("", "", "", True),
        ("", None, None, False),
    ):
        found = matches({f"Field|fieldref{modifiers}": "Other"}, {"Field": mine, "Other": other})
        assert found is expected, (modifiers, mine, other)
    assert not matches({"Field|fieldref": "Other"}, {"Field": "a"})


@pytest.mark.parametrize(
    ("keywords", "fields", "expected"),
    [
        (["evil", "bad"], {"Any": "so EVIL!"}, True),
        (["evil", "bad"], {"Any": "fine"}, False),
        (["e*l"], {"Any": "x e v i l x"}, True),
        (["e?il"], {"Any": "evil", "B": 1}, True),
        ([r"a\*b"], {"Any": "a*b"}, True),
        ([r"a\*b"], {"Any": "axb"}, False),
        ([4242], {"Pid": 14242}, True),
        ([4242], {"Pid": "424-2"}, False),
        ({"|all": ["one", "two"]}, {"A": "one", "B": "x TWO x"}, True),
        ({"|all": ["one", "two"]}, {"A": "one one"}, False),
        ({"|re": "^o.e$"}, {"A": "x", "B": "one"}, True),
        ({"|re": "^o.e$"}, {"A": "x one"}, False),
        ({"|cased": "One"}, {"A": "xOnex"}, True),
        ({"|cased": "One"}, {"A": "xonex"}, False),
        ({"|contains": "One"}, {"A": ["z", "xonex"]}, True),
        ({"|cidr": "10.0.0.0/8"}, {"A": "10.2.3.4"}, True),
        ({"|gt": 9_999}, {"A": "10000"}, True),
        (["ws-7"], {}, True),  # the computer's name is a value too
    ],
)
def test_keywords(keywords: Any, fields: dict[str, Any], expected: bool) -> None:
    rules = ruleset(rule({"selection": keywords, "condition": "selection"}))
    assert rules.errors == ()
    assert bool(hits(rules, event(fields))) is expected


@pytest.mark.parametrize(
    ("condition", "fields", "expected"),
    [
        ("1 of sel*", "a", True),
        ("1 of sel*", "d", False),
        ("any of sel*", "b", True),
        ("all of sel*", "ab", True),
        ("all of sel*", "a", False),
        ("1 of them", "d", True),
        ("1 of them", "h", False),
        ("all of them", "abde", True),
        ("all of them", "abd", False),
        ("sel1 or sel2 and filter_d", "a", True),
        ("(sel1 or sel2) and filter_d", "a", False),
        ("(sel1 or sel2) and filter_d", "bd", True),
        ("not sel1 and not filter_d", "b", True),
        ("not (sel1 or filter_d)", "d", False),
        ("sel1 and not 1 of filter_*", "ad", False),
        ("sel1 and not 1 of filter_*", "a", True),
        ("not notsel", "a", True),
        ("_hidden", "h", True),
        (["sel1", "sel2"], "b", True),
        (["sel1", "sel2"], "d", False),
    ],
)
def test_conditions(condition: Any, fields: str, expected: bool) -> None:
    """`fields` has a letter for each detection that holds."""
    detections = {"sel1": "a", "sel2": "b", "filter_d": "d", "filter_e": "e", "_hidden": "h"}
    if condition == "not notsel":
        detections["notsel"] = "n"
    found = {name: {letter: "yes"} for name, letter in detections.items()}
    assert matches({**found, "condition": condition}, dict.fromkeys(fields, "yes")) is expected


def test_lists_of_maps_are_alternatives_and_maps_are_not() -> None:
    detection = {"selection": [{"A": 1, "B": 2}, {"C": 3}], "condition": "selection"}
    assert matches(detection, {"A": 1, "B": 2})
    assert matches(detection, {"C": 3})
    assert not matches(detection, {"A": 1})


@pytest.mark.parametrize(
    ("detection", "error_class", "reason"),
    [
        ({"Field|re": r"(?=(a+)+$)"}, "RegularExpression", "too long"),
        ({"selection": [], "condition": "selection"}, "ConditionError", "bound to a field"),
        ({"selection": [None], "condition": "selection"}, "Unsupported", "`null` needs a field"),
        ({"selection": {"A": 1}, "condition": "1 of nothing*"}, "ConditionError", "match any detection"),
        ({"selection": {"A": 1}, "condition": "selection and other"}, "ConditionError", "not defined"),
        ({"selection": {"A": 1}, "condition": "selection | count() > 5"}, "ConditionError", "deprecated"),
        ({"selection": {"A": 1}, "condition": "selection and"}, "ConditionError", ""),
    ],
)
def test_what_cannot_be_compiled_is_told(detection: dict[str, Any], error_class: str, reason: str) -> None:
    rules = ruleset(rule(detection), rule({"A": 1}))
    assert [(error.error_class, error.line) for error in rules.errors] == [(error_class, 1)]
    assert reason in rules.errors[0].reason
    assert len(rules.rules) == 1
