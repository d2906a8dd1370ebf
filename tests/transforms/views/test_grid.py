"""The grid: which span it covers and how it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.clock import DAY, HOUR, MINUTE
from huntbeam.transforms.views.grid import BUCKETS, EMPTY, MOST, WIDTHS, Grid, grid_of

T0 = 1_709_542_800_000


def hours_of(times: list[int]) -> list[tuple[int, int, int, int]]:
    by_hour: dict[int, list[int]] = {}
    for time in times:
        by_hour.setdefault(time // HOUR, []).append(time)
    return [(hour, len(some), min(some), max(some)) for hour, some in sorted(by_hour.items())]


def bucket(grid: Grid, time: int) -> int:
    return max(-1, min(grid.buckets, (time - grid.start) // grid.width))


def test_without_events_there_is_an_empty_grid() -> None:
    assert grid_of([]) == EMPTY


def test_a_host_whose_clock_is_days_off_does_not_stretch_the_axis() -> None:
    day = [T0 + n * MINUTE for n in range(120)]
    behind = [T0 - 9 * DAY + n * MINUTE for n in range(20)]
    grid = grid_of(hours_of(day + behind))
    assert (grid.start, grid.end) == (T0, T0 + 120 * MINUTE)
    assert grid.first == behind[0]
    assert {bucket(grid, time) for time in behind} == {-1}


def test_an_archive_with_pauses_is_shown_whole() -> None:
    days = [T0 + d * DAY + n * HOUR for d in range(14) for n in range(9)]
    grid = grid_of(hours_of(days))
    assert grid.start <= days[0]
    assert grid.end > days[-1]


@given(st.lists(st.integers(-62_135_596_800_000, 253_402_300_799_999), min_size=1, max_size=40))
def test_any_times_make_a_grid_that_covers_most_of_them_in_few_buckets(times: list[int]) -> None:
    grid = grid_of(hours_of(times))
    assert 1 <= grid.buckets <= BUCKETS or grid.width == WIDTHS[-1]
    assert grid.first == min(times)
    assert grid.last == max(times)
    assert grid.start % grid.width == 0
    assert sum(grid.start <= time < grid.end for time in times) >= MOST * len(times)


@given(st.integers(0, 10 * DAY), st.lists(st.integers(0, HOUR), min_size=1, max_size=20))
def test_times_close_together_are_all_on_the_axis(shift: int, times: list[int]) -> None:
    shifted = [T0 + shift + time for time in times]
    grid = grid_of(hours_of(shifted))
    assert all(0 <= bucket(grid, time) < grid.buckets for time in shifted)
