"""The report: parts in any order are one whole."""

from __future__ import annotations

import pytest

from huntbeam.transforms import report
from huntbeam.transforms.report import ReportPart, WrittenFile, merge


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
