"""Saved objects by the schemas of those who take them.

The attributes below are those that the strict mappings of OpenSearch Dashboards 2 and Kibana 7 and the validation of
Kibana 8 all have: whatever is not among them one of these would refuse. JSON inside of text is in the forms of Kibana
7.9, the last that all of them bring up to date.
"""

# ruff: noqa: N815 - the names are Kibana's
from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from huntbeam.runners.search.saved_objects import saved_objects
from huntbeam.runners.search.templates import Layout


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Nothing else is allowed."""


class Reference(Strict):
    name: str
    type: Literal["index-pattern", "search", "visualization"]
    id: str


class Meta(Strict):
    searchSourceJSON: str


class IndexPattern(Strict):
    title: str
    timeFieldName: str


class Shown(Strict):
    """What searches, visualizations and dashboards have in common."""

    title: str
    description: str
    version: int
    kibanaSavedObjectMeta: Meta


class Search(Shown):
    hits: int
    columns: list[str]
    sort: list[tuple[str, Literal["asc", "desc"]]]


class Visualization(Shown):
    visState: str
    uiStateJSON: str


class Refresh(Strict):
    pause: bool
    value: int


class Dashboard(Shown):
    hits: int
    panelsJSON: str
    optionsJSON: str
    timeRestore: bool
    timeFrom: str
    timeTo: str
    refreshInterval: Refresh


class Object(Strict):
    type: Literal["index-pattern", "search", "visualization", "dashboard"]
    id: str
    attributes: msgspec.Raw
    references: list[Reference]
    migrationVersion: dict[str, str]


class Query(Strict):
    query: str
    language: Literal["kuery", "lucene"]


class FilterMeta(Strict):
    alias: str
    type: Literal["custom"]
    key: Literal["query"]
    value: str
    disabled: bool
    negate: bool
    indexRefName: str


class Store(Strict):
    store: Literal["appState"]


class Filter(Strict):
    meta: FilterMeta
    query: dict[str, Any]
    state: Store = msgspec.field(name="$state")


class Source(Strict):
    query: Query
    filter: list[Filter]
    indexRefName: str | None = None
    highlightAll: bool | None = None
    version: bool | None = None


class Aggregation(Strict):
    id: str
    enabled: bool
    type: Literal["count", "sum", "terms", "date_histogram"]
    schema: Literal["metric", "bucket", "segment", "group"]
    params: dict[str, Any]


class VisState(Strict):
    title: str
    type: Literal["metric", "table", "pie", "histogram", "vega"]
    params: dict[str, Any]
    aggs: list[Aggregation]


class Grid(Strict):
    x: int
    y: int
    w: int
    h: int
    i: str


class Placed(Strict):
    version: str
    gridData: Grid
    panelIndex: str
    embeddableConfig: dict[str, Any]
    panelRefName: str


class Options(Strict):
    useMargins: bool
    hidePanelTitles: bool


ATTRIBUTES = {"index-pattern": IndexPattern, "search": Search, "visualization": Visualization, "dashboard": Dashboard}
MIGRATIONS = {  # the last of 7.9; OpenSearch Dashboards refuses what is newer than it knows
    "index-pattern": "7.6.0",
    "search": "7.9.3",
    "visualization": "7.9.3",
    "dashboard": "7.9.3",
}
OBJECTS = saved_objects(Layout("lab-"))


def version(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


@pytest.mark.parametrize("one", OBJECTS, ids=[one["id"] for one in OBJECTS])
def test_an_object_is_by_the_schema_of_its_type(one: dict[str, Any]) -> None:
    found = msgspec.json.decode(msgspec.json.encode(one), type=Object)
    assert list(found.migrationVersion) == [found.type]
    assert version(found.migrationVersion[found.type]) <= version(MIGRATIONS[found.type])
    attributes = msgspec.json.decode(found.attributes, type=ATTRIBUTES[found.type])
    if isinstance(attributes, Shown):
        msgspec.json.decode(attributes.kibanaSavedObjectMeta.searchSourceJSON, type=Source)
    if isinstance(attributes, Visualization):
        state = msgspec.json.decode(attributes.visState, type=VisState)
        assert state.title == attributes.title
        assert len({aggregation.id for aggregation in state.aggs}) == len(state.aggs)
    if isinstance(attributes, Dashboard):
        panels = msgspec.json.decode(attributes.panelsJSON, type=list[Placed])
        assert {panel.panelRefName for panel in panels} == {reference.name for reference in found.references}
        assert all(panel.panelIndex == panel.gridData.i for panel in panels)
        assert msgspec.json.decode(attributes.optionsJSON, type=Options).useMargins
