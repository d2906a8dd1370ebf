"""Rollups: what they answer is what the files answer, however the files come and go and the grid grows."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import DAY, instant
from huntbeam.transforms.views import sources
from huntbeam.transforms.views.catalog import VIEWS
from huntbeam.transforms.views.store import Store
from huntbeam.transforms.views.view import Ask
from tests.transforms.views.folders import T0, Row, add_parquet
from tests.transforms.views.test_store import connect

EVENTS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-3, 40)),
        st.sampled_from(["WS-1", "ws-1", "SRV", None]),
        st.sampled_from(["192.0.2.1", "192.0.2.2", None]),
        st.sampled_from([443, 445, None]),
        st.sampled_from([None, 5, -90_000]),
    ),
    max_size=12,
)
VIEWED = ("clocks", "talkers", "movement")


def rows_of(events: list[tuple[int | None, str | None, str | None, int | None, int | None]], first: int) -> list[Row]:
    return [
        connect(
            first + n,
            event_date_creation=None if t is None else instant(T0 + t * 60_000),
            host=host,
            dst_ip_addr=address,
            dst_port=port,
            clock_skew_ms=skew,
        )
        for n, (t, host, address, port, skew) in enumerate(events)
    ]


def add(folder: Path, name: str, rows: list[Row]) -> None:
    for stream in ("sysmon_network_connect", "sysmon_join"):
        add_parquet(folder, stream, name, rows)


def same(rolled: Store, folder: Path, viewed: tuple[str, ...] = VIEWED) -> None:
    """Both stores give the same, of all and of spans of buckets."""
    with Store(folder) as plain:
        assert (rolled.grid, rolled.rows) == (plain.grid, plain.rows)
        grid = plain.grid
        middle, end = (grid.start + grid.width * n for n in (grid.buckets // 3, grid.buckets))
        for ask in (Ask(), Ask(middle, end), Ask(None, middle), Ask(middle + 1, None)):
            for name in viewed:
                assert rolled.run(VIEWS[name], ask) == plain.run(VIEWS[name], ask), (name, ask)


@settings(max_examples=4)
@given(st.lists(EVENTS, min_size=1, max_size=2))
def test_a_rollup_answers_what_the_files_answer(parts: list[list[tuple[int | None, ...]]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        add(folder, "part-0-0.parquet", [connect(0)])
        with Store(folder, rollups=True) as rolled:
            same(rolled, folder)
            for number, part in enumerate(parts, 1):
                add(folder, f"part-0-{number}.parquet", rows_of(part, number * 100))  # type: ignore[arg-type]
                assert rolled.refresh()
                same(rolled, folder)


def test_a_rollup_is_made_again_when_files_go_and_when_the_grid_grows(tmp_path: Path) -> None:
    add(tmp_path, "part-0-0.parquet", [connect(n) for n in range(40)])
    with Store(tmp_path, rollups=True) as rolled:
        same(rolled, tmp_path)
        width = rolled.grid.width
        days = [connect(50 + n, event_date_creation=instant(T0 + n * DAY)) for n in range(60)]
        add(tmp_path, "part-0-1.parquet", days)
        assert rolled.refresh()
        assert rolled.grid.width > width
        same(rolled, tmp_path)
        for stream in ("sysmon_network_connect", "sysmon_join"):
            (tmp_path / stream / "part-0-0.parquet").unlink()
        assert rolled.refresh()
        same(rolled, tmp_path)


def test_what_is_not_rolled_yet_is_asked_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BATCH_BYTES", 1)
    for number in range(4):
        add(tmp_path, f"part-0-{number}.parquet", [connect(number)])
    view = VIEWS["talkers"]
    with Store(tmp_path, rollups=True) as rolled:
        assert not rolled.warm(VIEWS["alerts"])  # a table already
        for _ in range(3):
            same(rolled, tmp_path, ("talkers",))
            assert rolled.warm(view)
        same(rolled, tmp_path, ("talkers",))  # what takes one batch is taken up at once
        assert not rolled.warm(view)
        add(tmp_path, "part-0-9.parquet", [connect(9)])
        assert rolled.refresh()
        same(rolled, tmp_path, ("talkers",))
        assert not rolled.warm(view)
    with Store(tmp_path) as plain:
        assert not plain.warm(view)
