"""The report: parts in any order are one whole."""

from __future__ import annotations

import pytest

from huntbeam.transforms import report
from huntbeam.transforms.report import AlertCount, ReportPart, WrittenFile, alert_summary, by_level, merge, ranked


def test_merge_adds_up_in_any_order() -> None:
    a = ReportPart([WrittenFile("s", "b", 1, 1)], {"x": 1}, [("p", 1, 2), (None, None, 1)])
    b = ReportPart([WrittenFile("s", "a", 1, 1)], {"x": 2, "y": 1}, [("p", 1, 3), ("p", "1", 1)])
    assert merge(a, b) == merge(b, a)
    assert merge(a, b).tallies == {"x": 3, "y": 1}
    assert merge(a, b).events == [("p", 1, 5), ("p", "1", 1), (None, None, 1)]
    assert [file.path for file in merge(a, b).files] == ["a", "b"]


def test_merge_bounds_the_kinds_of_events_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PAIRS", 3)
    a, b, c = (ReportPart(events=[("p", number, 1) for number in range(start, start + 4)]) for start in (0, 3, 1))
    assert merge(a, merge(b, c)) == merge(merge(a, b), c) == merge(merge(c, a), b) == merge(a, b, c)
    assert merge(a, b, c).events == [("p", 0, 1), ("p", 1, 2), ("p", 2, 2), ("other", None, 7)]


def test_alerts_add_up_by_rule_in_any_order() -> None:
    a = ReportPart(alerts=[AlertCount("1", "t", "high", 2), AlertCount("2", "u", None, 1)])
    b = ReportPart(
        alerts=[AlertCount("2", "u", None, 4), AlertCount("2", "u", "low", 1), AlertCount("3", "v", "odd", 9)]
    )
    assert merge(a, b) == merge(b, a)
    assert [(one.rule_id, one.level, one.alerts) for one in ranked(merge(a, b).alerts)] == [
        *(("1", "high", 2), ("2", "low", 1), ("2", None, 5), ("3", "odd", 9))
    ]
    assert list(by_level(merge(a, b).alerts).items()) == [("high", 2), ("low", 1), (None, 5), ("odd", 9)]


def test_what_is_kept_of_alerts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "TOP_RULES", 2)
    alerts = [AlertCount(str(n), "t", "low", n) for n in range(1, 6)]
    kept = alert_summary(alerts)
    assert kept == {"levels": {"low": 15}, "rules": [alerts[4], alerts[3]], "other_rules": 6}
