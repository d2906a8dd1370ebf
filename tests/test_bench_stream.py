"""The pure parts of the stream's benchmarks: trends, percentiles, tables, and what tells rows apart."""

from __future__ import annotations

import doctest
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_synthesize import load

figures = load("figures")
feeding = load("feeding")
latency = load("latency")
soak = load("soak")
joinable = load("joinable")

NUMBERS = st.floats(min_value=-1e6, max_value=1e6)


@pytest.mark.parametrize("module", [figures, feeding])
def test_the_examples_hold(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]  # a module that was loaded by its path
    assert tried > 0
    assert failed == 0


@given(st.lists(NUMBERS, min_size=1), st.floats(min_value=0, max_value=1))
def test_a_percentile_is_a_value_that_its_share_does_not_exceed(values: list[float], share: float) -> None:
    found = figures.percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < max(share * len(values), 1)


@given(st.floats(min_value=-100, max_value=100), st.floats(min_value=-1e4, max_value=1e4))
def test_the_trend_of_a_line_is_its_rise(slope: float, start: float) -> None:
    found = figures.trend([(float(t), start + slope * t) for t in range(0, 150, 15)])
    assert found.rise == pytest.approx(slope * 135, abs=1e-6)
    assert found.mean == pytest.approx(start + slope * 67.5, abs=1e-6)


def test_a_saw_is_flat_and_a_leak_is_not() -> None:
    limit = figures.Limit(share=0.1, least=5.0)
    saw = [(t * 15.0, 100.0 + 4 * (t % 3)) for t in range(20)]
    leak = [(time, value + time / 10) for time, value in saw]
    assert figures.trend(saw).flat(limit)
    assert not figures.trend(leak).flat(limit)
    assert figures.trend([(time, 200 - value) for time, value in leak]).flat(limit)
    assert figures.trend(saw[:3]) is None


def test_ratios_stand_behind_the_programs_where_there_is_a_rival() -> None:
    lines = [figures.Figure("last, s", "last", 1), figures.Figure("rows", "rows", 0, "different", compared=False)]
    runs = [
        SimpleNamespace(program=name, last=last, rows=rows, different=7)
        for name, last, rows in (("ours", 3.0, 7), ("theirs", 2.0, 7), ("ours", 8.0, 9), ("theirs", 4.0, 7))
    ]
    assert figures.comparison("mix", ["ours", "theirs"], "theirs", lines, runs).splitlines() == [
        "| mix | ours | theirs | ratio, ours |",
        "|---|---|---|---|",
        "| last, s | 3.0 / 5.5 / 8.0 | 2.0 / 3.0 / 4.0 | 1.75 |",
        "| rows | 7 / 8 / 9 (7 / 7 / 7) | 7 / 7 / 7 (7 / 7 / 7) |  |",
    ]
    assert "ratio" not in figures.comparison("mix", ["ours"], None, lines, runs)


def test_a_process_has_one_spelling_in_the_feed_and_each_connect_is_told_apart() -> None:
    made = [feeding.plain(record) for record in joinable.records(50)]
    connects = [connect for record in made if (connect := latency.connect_of(record)) is not None]
    assert len(set(connects)) == len(connects) == 50 * joinable.CONNECTS
    assert len({guid for guid, _, _ in connects}) == 50
    assert len({record.partition(b'"ProcessGuid":"')[2][:38] for record in made}) == 50
    assert sum(soak._CONNECT in record for record in made) == len(connects)


def look(time: float, workers: float) -> soak.Look:
    return soak.Look(time, 0, 0, 0, 100, 0.5, 40.0, 0.2, 900.0, workers, 0)


def test_the_soak_fails_by_the_figure_that_grows_and_looks_at_the_settled_half_only() -> None:
    filling = [look(15.0 * n, 50.0 * n) for n in range(1, 21)]
    lines, good = soak.trends([*filling, *(look(15.0 * n, 1_000.0) for n in range(21, 41))])
    assert good
    assert lines.pop("task_manager")[-1] == "within its bound"
    assert {cells[-1] for cells in lines.values()} == {"flat"}
    lines, good = soak.trends([look(15.0 * n, 300.0 + 20 * n) for n in range(1, 41)])
    assert not good
    assert [name for name, cells in lines.items() if cells[-1] == "GROWS"] == ["workers"]


def test_a_short_soak_does_not_pass() -> None:
    lines, good = soak.trends([look(15.0 * n, 1.0) for n in range(1, 9)])
    assert not good
    assert {cells[-1] for name, cells in lines.items() if name != "task_manager"} == {"too short to tell"}


def test_a_task_manager_beyond_its_memory_does_not_pass() -> None:
    looks = [msgspec.structs.replace(look(15.0 * n, 100.0), task_manager=5_000.0) for n in range(1, 41)]
    lines, good = soak.trends(looks)
    assert (lines["task_manager"][-1], good) == ("TOO LARGE", False)
