"""Mappings and panels: every column has a type, and every panel shows fields that there are, as their types allow."""

from __future__ import annotations

from typing import Any

import pytest

from huntbeam.schemas import streams
from huntbeam.schemas.panels import (
    DASHBOARDS,
    AnyOf,
    Between,
    Condition,
    Dashboard,
    Like,
    Not,
    OneOf,
    Over,
    Panel,
    Shape,
    Split,
)
from huntbeam.schemas.search import USUAL, indexable, mapping, target
from huntbeam.schemas.streams import STREAMS

PANELS = [(board, panel) for board in DASHBOARDS for panel in board.panels]
THERE = [(board, panel) for board, panel in PANELS if panel.stream in STREAMS]


def field_type(stream: str, path: str) -> str:
    properties: Any = mapping(STREAMS[stream])
    for name in path.split("."):
        properties = properties["properties"][name]
    found: str = properties["type"]
    return found


@pytest.mark.parametrize("stream", indexable())
def test_every_column_has_a_type(stream: str) -> None:
    found = mapping(STREAMS[stream])
    assert list(found["properties"]) == list(STREAMS[stream].__struct_encode_fields__)
    assert found["dynamic"] is False


def test_types_that_dashboards_go_by() -> None:
    types = {name: field_type(streams.JOIN, name) for name in ("src_ip_addr", "dst_ip_addr", "dst_port", "host")}
    assert types == {"src_ip_addr": "ip", "dst_ip_addr": "ip", "dst_port": "long", "host": "keyword"}
    assert field_type(streams.JOIN, "event_date_creation") == "date"
    assert mapping(STREAMS[streams.JOIN])["properties"]["process_command_line"]["ignore_above"] == 1024
    assert field_type(streams.WINDOW_COUNTS, "key.dst_port") == "long"
    assert field_type(streams.WINDOW_COUNTS, "distinct.src_port") == "long"


def test_names_of_event_data_make_no_fields() -> None:
    assert mapping(STREAMS[streams.ALERTS])["properties"]["event"] == {"type": "object", "enabled": False}


def test_what_is_indexed_and_what_never_is() -> None:
    assert set(USUAL) <= set(indexable())
    assert not {streams.DEAD_LETTERS, streams.DUPLICATES} & set(indexable())
    names = [target(stream).name for stream in indexable()]
    assert len(set(names)) == len(names)
    assert {"sysmon-join", "sysmon-windows", "sysmon-alerts", "sysmon-anomalies"} <= set(names)
    for one in names:  # else one template's pattern would take another stream's indexes
        assert not [other for other in names if other != one and other.startswith(f"{one}-")]


def fields(condition: Condition) -> list[str]:
    match condition:
        case AnyOf(some):
            return [field for one in some for field in fields(one)]
        case Not(of):
            return fields(of)
        case OneOf() | Between() | Like():
            return [condition.field]


@pytest.mark.parametrize(("board", "panel"), THERE, ids=lambda one: one.name)
def test_a_panel_shows_fields_that_there_are(board: Dashboard, panel: Panel) -> None:
    used = [split.field for split in panel.splits]
    used += [field for condition in panel.where for field in fields(condition)]
    for field in (*used, *panel.columns):
        assert field_type(panel.stream, field) != "object"
    assert {field_type(panel.stream, field) for field in panel.sums} <= {"long", "double"}
    assert all(field_type(panel.stream, s.field) == "date" for s in panel.splits if isinstance(s, Over))
    texts = [split.field for split in panel.splits if isinstance(split, Split) and split.missing]
    assert all(field_type(panel.stream, field) == "keyword" for field in texts)
    if panel.shape is Shape.MAP:
        assert field_type(panel.stream, panel.splits[0].field) == "geo_point"


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=lambda one: one.name)
def test_a_panel_is_whole(board: Dashboard, panel: Panel) -> None:
    assert 1 <= panel.width <= 48
    assert (panel.shape is Shape.LIST) == bool(panel.columns)
    assert (panel.shape in (Shape.LIST, Shape.NUMBER)) == (not panel.splits)
    assert len(panel.sums) == (2 if panel.shape is Shape.RATIO else len(panel.sums[:1]))


def test_names_are_used_once() -> None:
    for board in DASHBOARDS:
        assert len({panel.name for panel in board.panels}) == len(board.panels)
