"""The store: relations of folders in any format, old, new and growing; views against what Python counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from huntbeam.schemas.clock import instant
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.views.catalog import VIEWS
from huntbeam.transforms.views.store import Store
from huntbeam.transforms.views.table import BYTES, CubeTable, RowTable, row_table
from huntbeam.transforms.views.view import Ask, Cube, Rows
from tests.conftest import ROOT, run_replay
from tests.transforms.views.folders import T0, Row, add_parquet, folder_of, sorted_json

SAMPLE = ROOT / "samples"
OPTIONS = ("--rules", str(SAMPLE / "rules"), "--anomaly_rules", str(SAMPLE / "anomalies.yml"), "--dedupe")


def connect(n: int, **more: Any) -> Row:
    row = {
        "event_uid": f"{n:032x}",
        "host": "WS-1",
        "dst_ip_addr": "192.0.2.1",
        "dst_port": 443,
        "process_path": "a.exe",
    }
    return row | {"event_date_creation": instant(T0 + n * 1000), "event_id": 3} | more


def cube(store: Store, name: str, ask: Ask = Ask()) -> CubeTable:  # noqa: B008  # immutable
    table = store.run(VIEWS[name], ask)
    assert isinstance(table, CubeTable)
    return table


def rows(store: Store, name: str, ask: Ask = Ask()) -> RowTable:  # noqa: B008  # immutable
    table = store.run(VIEWS[name], ask)
    assert isinstance(table, RowTable)
    return table


def test_the_three_formats_give_equal_views(tmp_path: Path) -> None:
    seen = {}
    for form in ("jsonl", "parquet", "avro"):
        output = tmp_path / form
        found = run_replay(output, SAMPLE / "logs", options=("--format", form, "--streams", "sysmon_events", *OPTIONS))
        with Store(output) as store:
            seen[form] = {name: store.run(view) for name, view in VIEWS.items()}
            assert store.rows == {stream: len(some) for stream, some in found.items()}
    for name in VIEWS:
        assert seen["jsonl"][name] == seen["parquet"][name] == seen["avro"][name], name


EVENTS = st.lists(
    st.tuples(
        st.integers(-2, 4).map(lambda n: None if n == 4 else T0 + n * 90_000),
        st.sampled_from(["WS-1", "ws-1", "SRV", None]),
        st.sampled_from([443, 445, None]),
    ),
    max_size=30,
)


@settings(max_examples=12)
@given(EVENTS, st.integers(0, 3), st.integers(1, 3))
def test_cubes_count_what_python_counts(
    events: list[tuple[int | None, str | None, int | None]], a: int, b: int
) -> None:
    made = [
        connect(n, event_date_creation=None if t is None else instant(t), host=host, dst_port=port)
        for n, (t, host, port) in enumerate(events)
    ]
    with TemporaryDirectory() as folder, Store(folder_of(Path(folder), {"sysmon_network_connect": made})) as store:
        span = Ask(T0 + a * 90_000, T0 + (a + b) * 90_000)
        for ask in (Ask(), span):
            inside = [e for e in events if ask == Ask() or (e[0] is not None and span.since <= e[0] < span.until)]  # type: ignore[operator]
            table = cube(store, "time_connects", ask)
            found: Counter[tuple[int | None, str | None]] = Counter()
            for bucket, key, n in table.cells:
                found[bucket, table.keys[key][0]] += n
            grid = store.grid
            expected = Counter(
                (
                    None if t is None else max(-1, min(grid.buckets, (t - grid.start) // grid.width)),
                    host and host.lower(),
                )
                for t, host, _ in inside
            )
            assert found == expected
            assert table.total == len(inside)
            ports = cube(store, "ports", ask)
            assert ports.found == len({port for *_, port in inside})


def test_a_cube_keeps_the_highest_keys_and_says_how_many_there_are(tmp_path: Path) -> None:
    made = [connect(n, dst_ip_addr=f"10.0.{n // 250}.{n % 250}") for n in range(150)] + [connect(999)] * 3
    with Store(folder_of(tmp_path, {"sysmon_network_connect": made})) as store:
        table = cube(store, "destinations")
        assert (len(table.keys), table.found, table.total) == (50, 151, 153)
        assert table.keys[0] == ["192.0.2.1", "443"]


@settings(max_examples=8)
@given(EVENTS)
def test_a_cube_of_many_keys_is_the_same_counted_either_way(
    events: list[tuple[int | None, str | None, int | None]],
) -> None:
    made = [
        connect(n, event_date_creation=None if t is None else instant(t), host=host, dst_port=port)
        for n, (t, host, port) in enumerate(events)
    ]
    with TemporaryDirectory() as folder, Store(folder_of(Path(folder), {"sysmon_network_connect": made})) as store:
        for name in ("talkers", "destinations"):
            view = VIEWS[name]
            assert isinstance(view, Cube)
            assert view.many
            assert store.run(view) == store.run(replace(view, many=False))
            few = replace(view, limit=2)
            assert store.run(few) == store.run(replace(few, many=False))


def test_the_newest_rows_are_found_without_sorting_the_others(tmp_path: Path) -> None:
    made = [connect(n, event_date_creation=None if n < 3 else instant(T0 + n % 7 * 1000)) for n in range(20)]
    with Store(folder_of(tmp_path, {"sysmon_join": made})) as store:
        view = VIEWS["connections"]
        assert isinstance(view, Rows)
        everything = rows(store, "connections").rows
        for limit in (1, 5, 16, 17, 18, 20, 21):
            table = store.run(replace(view, limit=limit))
            assert isinstance(table, RowTable)
            assert (table.rows, table.total) == (everything[:limit], 20)


def test_rows_with_a_text_are_found_in_their_files(tmp_path: Path) -> None:
    for number in range(3):
        made = [connect(n, process_command_line=f"run {n}") for n in range(number * 10, number * 10 + 10)]
        add_parquet(tmp_path, "sysmon_join", f"part-0-{number}.parquet", [*made, connect(90 + number, host=None)])
    with Store(tmp_path) as store:
        view = VIEWS["connections"]
        assert isinstance(view, Rows)
        at = list(view.columns).index("event_uid")
        for text, found in (("run 1", [1, *range(10, 20)]), ("run 2", [2, *range(20, 30)]), ("run 7", [7]), ("q", [])):
            for limit in (1, 11, 12, 100):
                table = store.run(replace(view, limit=limit), Ask(text=text))
                assert isinstance(table, RowTable)
                expected = [f"{n:032x}" for n in sorted(found, reverse=True)][:limit]
                assert ([row[at] for row in table.rows], table.total) == (expected, len(found))


def test_text_is_looked_for_in_every_row_and_whatever_its_case(tmp_path: Path) -> None:
    made = [connect(n, process_command_line=f"run {n} '; DROP --") for n in range(9)]
    made.append(connect(9, process_command_line="PowerShell -Enc 100%_"))
    with Store(folder_of(tmp_path, {"sysmon_join": made})) as store:
        assert rows(store, "connections", Ask(text="powershell")).total == 1
        assert rows(store, "connections", Ask(text="100%_")).total == 1  # no wildcards
        assert rows(store, "connections", Ask(text="%")).total == 1
        assert rows(store, "connections", Ask(text="'; drop --")).total == 9
        assert rows(store, "connections", Ask(text="443")).total == 10
        assert rows(store, "connections").total == 10


def test_hostile_text_comes_through_as_it_is(tmp_path: Path) -> None:
    hostile = [
        "</script><script>alert(1)</script>",
        "a\u2028b\u2029c",
        "=cmd|' /C calc'!A0",
        "q\"u'o`te",
        "nul\0l",
        "\u202eevil",
    ]
    made = [connect(n, process_command_line=text) for n, text in enumerate(hostile)]
    with Store(folder_of(tmp_path, {"sysmon_join": made})) as store:
        table = rows(store, "connections")
        at = table.columns.index("process_command_line")
        assert sorted(row[at] for row in table.rows) == sorted(hostile)


def test_a_folder_that_grows_is_taken_up_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "_archive.json").write_text("{}")
    add_parquet(tmp_path, "sysmon_network_connect", "part-0-1.parquet", [connect(1), connect(2)])
    with Store(tmp_path) as store:
        assert (store.rows, store.archived) == ({"sysmon_network_connect": 2}, True)
        assert not store.refresh()
        add_parquet(tmp_path, "sysmon_network_connect", "part-0-2.parquet", [connect(3)])
        assert store.refresh()
        assert cube(store, "time_connects").total == 3
        (tmp_path / "sysmon_network_connect" / "part-0-1.parquet").unlink()
        assert store.refresh()
        assert cube(store, "time_connects").total == 1
        folder_of(tmp_path, {"dead_letters": [{"event_uid": "d", "step": "parse", "error_class": "X", "raw_b64": ""}]})
        assert store.refresh()
        assert cube(store, "letters").total == 1
        (tmp_path / "dead_letters" / "part-00000-of-00001.jsonl").unlink()
        assert store.refresh()
        assert cube(store, "letters").total == 0


def test_of_an_archives_copies_the_valid_ones_count(tmp_path: Path) -> None:
    (tmp_path / "_archive.json").write_text("{}")
    alert = {"time": instant(T0), "rule_title": "R", "rule_id": "r", "rule_level": "high", "attack": [], "matched": {}}
    alerts = [
        alert | {"event_uid": "a", "revision": 0, "retracted": False},
        alert | {"event_uid": "a", "revision": 1, "retracted": False, "rule_title": "R1"},
        alert | {"event_uid": "b", "revision": 0, "retracted": False},
        alert | {"event_uid": "b", "revision": 1, "retracted": True},
    ]
    window = {
        "counter": "c",
        "window_start": instant(T0),
        "window_end": instant(T0),
        "key": {"host": "h"},
        "distinct": {},
    }
    windows = [
        window | {"event_uid": "w", "generation": g, "count": n, "late_count": 0} for g, n in ((0, 3), (0, 5), (1, 2))
    ]
    with Store(folder_of(tmp_path, {"alerts": alerts, "window_counts": windows})) as store:
        table = rows(store, "alerts")
        assert [row[table.columns.index("rule_title")] for row in table.rows] == ["R1"]
        assert cube(store, "late").total == 7
    (tmp_path / "_archive.json").unlink()
    with Store(tmp_path) as store:  # a replay's rows are what they are
        assert cube(store, "levels").total == 4
        assert cube(store, "late").total == 10


def test_columns_that_a_folder_does_not_have_are_null_and_those_it_has_are_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "sysmon_join").mkdir()
    place = {"country_code": "NL", "country": "Netherlands", "city": None, "location": {"lat": 52.4, "lon": 4.9}}
    table = pa.table({"host": ["a"], "dst_geo": [place], "dst_port": [1]})
    pq.write_table(table, tmp_path / "sysmon_join" / "part-0.parquet")
    (tmp_path / "monster_events").mkdir()
    monster = pa.table(
        {"EventID": ["1500", "3500"], "HostIP": ["10.0.0.1"] * 2, "SendBytes": [0, 30], "RecvBytes": [0, 10]}
    )
    pq.write_table(monster, tmp_path / "monster_events" / "part-0.parquet")
    with Store(tmp_path) as store:
        assert cube(store, "countries").keys == [["Netherlands"]]
        assert cube(store, "countries").cells == [[None, 0, 1, 1, 52.4, 4.9]]
        assert rows(store, "connections").total == 1
        assert cube(store, "monster_hosts").total == 2
        assert cube(store, "monster_bytes").cells == [[None, 0, 30, 10]]


def test_alerts_as_documents_are_read_as_their_columns(tmp_path: Path) -> None:
    seen = []
    for form in ("columns", "ecs"):
        output = tmp_path / form
        run_replay(output, SAMPLE / "logs", options=(*OPTIONS, "--alert_format", form))
        with Store(output) as store:
            seen.append([store.run(VIEWS[name]) for name in ("levels", "rules", "techniques", "alerts")])
    assert seen[0] == seen[1]


def test_a_view_takes_no_more_than_its_bytes() -> None:
    table = row_table(["a"], ([["x" * 100_000] * 30] for _ in range(100)), 100)
    assert len(table.rows) < 100
    assert len(sorted_json([table])[0]) <= BYTES + 1_000
    assert table.total == 100


def test_a_folder_without_results_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="holds no results: name the --output of a replay"):
        Store(tmp_path)
