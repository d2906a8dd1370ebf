"""Saved objects of Kibana 7.10 and later and of OpenSearch Dashboards, from schemas/panels.py. Pure.

The two forked at 7.10: objects as 7.9 wrote them are taken by both, and brought up to date by whoever takes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from huntbeam.runners.search import vega
from huntbeam.runners.search.panel_queries import query
from huntbeam.runners.search.templates import Layout
from huntbeam.schemas.panels import DASHBOARDS, Dashboard, Over, Panel, Shape, Split
from huntbeam.schemas.search import target
from huntbeam.schemas.streams import STREAMS

Object = dict[str, Any]

_WRITTEN_BY = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.8.0", "dashboard": "7.9.3"}
_WIDTH = 48
_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"
_FILTER = "kibanaSavedObjectMeta.searchSourceJSON.filter[0].meta.index"
_SCHEMAS = {Shape.TABLE: ("bucket", "bucket"), Shape.PIE: ("segment", "segment"), Shape.BARS: ("segment", "group")}


def saved_objects(layout: Layout, dashboards: Sequence[Dashboard] = DASHBOARDS) -> list[Object]:
    """Index patterns, panels and dashboards, of the streams that there are; whatever one refers to comes before it."""
    shown = [board for board in dashboards if all(panel.stream in STREAMS for panel in board.panels)]
    streams = dict.fromkeys(panel.stream for board in shown for panel in board.panels)
    made = [_index_pattern(stream, layout) for stream in streams]
    for board in shown:
        made += [_panel(board, panel, layout) for panel in board.panels]
    return made + [_dashboard(board, layout) for board in shown]


def ndjson(objects: Sequence[Object]) -> bytes:
    """The file that an export gives and an import takes."""
    details = {"exportedCount": len(objects), "missingRefCount": 0, "missingReferences": []}
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (*objects, details)).encode()


def _object(kind: str, name: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> Object:
    return {
        "type": kind,
        "id": name,
        "attributes": attributes,
        "references": references,
        "migrationVersion": {kind: _WRITTEN_BY[kind]},
    }


def _pattern_id(stream: str, layout: Layout) -> str:
    return f"huntbeam-{layout.prefix}{target(stream).name}"


def _panel_id(board: Dashboard, panel: Panel, layout: Layout) -> str:
    return f"huntbeam-{layout.prefix}{board.name}-{panel.name.replace('_', '-')}"


def _index_pattern(stream: str, layout: Layout) -> Object:
    attributes = {"title": layout.pattern(stream), "timeFieldName": target(stream).time}
    return _object("index-pattern", _pattern_id(stream, layout), attributes, [])


def _panel(board: Dashboard, panel: Panel, layout: Layout) -> Object:
    name, pattern = _panel_id(board, panel, layout), _pattern_id(panel.stream, layout)
    state: dict[str, Any]
    if panel.shape in (Shape.MAP, Shape.RATIO):
        state = {"type": "vega", "params": {"spec": vega.spec(panel, layout.pattern(panel.stream))}, "aggs": []}
        return _object("visualization", name, _visualization(panel, state, _source(())), [])
    references = [{"name": _INDEX, "type": "index-pattern", "id": pattern}]
    filters = _filters(panel)
    if filters:
        references.append({"name": _FILTER, "type": "index-pattern", "id": pattern})
    source = _source(filters) | {"indexRefName": _INDEX}
    if panel.shape is Shape.LIST:
        return _object("search", name, _search(panel, source), references)
    state = {"type": str(panel.shape), "params": _PARAMETERS[panel.shape], "aggs": list(_aggs(panel))}
    return _object("visualization", name, _visualization(panel, state, source), references)


def _visualization(panel: Panel, state: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": panel.title,
        "description": panel.note,
        "visState": json.dumps({"title": panel.title, **state}),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
    }


def _search(panel: Panel, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": panel.title,
        "description": panel.note,
        "hits": 0,
        "columns": list(panel.columns),
        "sort": [[target(panel.stream).time, "desc"]],
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source | {"highlightAll": True, "version": True})},
    }


def _source(filters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"query": {"query": "", "language": "kuery"}, "filter": list(filters)}


def _filters(panel: Panel) -> list[dict[str, Any]]:
    """The panel's conditions as one filter, which people can switch off or edit."""
    if not panel.where:
        return []
    asked = query(panel.where)
    meta = {
        "alias": "HuntBeam",
        "type": "custom",
        "key": "query",
        "value": json.dumps(asked),
        "disabled": False,
        "negate": False,
        "indexRefName": _FILTER,
    }
    return [{"meta": meta, "query": asked, "$state": {"store": "appState"}}]


def _aggs(panel: Panel) -> Iterator[dict[str, Any]]:
    """Kibana's own words for huntbeam.runners.search.panel_queries.aggregations()."""
    yield {
        "id": "1",
        "enabled": True,
        "type": "sum" if panel.sums else "count",
        "schema": "metric",
        "params": {"field": panel.sums[0]} if panel.sums else {},
    }
    for number, split in enumerate(panel.splits, 2):
        schema = _SCHEMAS[panel.shape][min(number - 2, 1)]
        kind, parameters = _split(split)
        yield {"id": str(number), "enabled": True, "type": kind, "schema": schema, "params": parameters}


def _split(split: Split | Over) -> tuple[str, dict[str, Any]]:
    if isinstance(split, Over):
        return "date_histogram", {
            "field": split.field,
            "interval": "auto",
            "useNormalizedEsInterval": True,
            "scaleMetricValues": False,
            "drop_partials": False,
            "min_doc_count": 1,
            "extended_bounds": {},
        }
    return "terms", {
        "field": split.field,
        "orderBy": "1",
        "order": "desc",
        "size": split.size,
        "otherBucket": False,
        "otherBucketLabel": "Other",
        "missingBucket": split.missing is not None,
        "missingBucketLabel": split.missing or "Missing",
        "customLabel": split.label,
    }


def _dashboard(board: Dashboard, layout: Layout) -> Object:
    placed, references = [], []
    for number, (panel, grid) in enumerate(zip(board.panels, _grid(board.panels), strict=True)):
        name, index = f"panel_{number}", str(number + 1)
        placed.append(
            {
                "version": "7.9.3",
                "gridData": {**grid, "i": index},
                "panelIndex": index,
                "embeddableConfig": {},
                "panelRefName": name,
            }
        )
        kind = "search" if panel.shape is Shape.LIST else "visualization"
        references.append({"name": name, "type": kind, "id": _panel_id(board, panel, layout)})
    attributes = {
        "title": board.title + (f" ({layout.prefix.rstrip('-')})" if layout.prefix else ""),
        "description": board.note,
        "hits": 0,
        "panelsJSON": json.dumps(placed),
        "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
        "version": 1,
        "timeRestore": True,
        "timeFrom": "now-7d",
        "timeTo": "now",
        "refreshInterval": {"pause": True, "value": 0},
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(_source(()))},
    }
    return _object("dashboard", f"huntbeam-{layout.prefix}{board.name}", attributes, references)


def _grid(panels: Sequence[Panel]) -> Iterator[dict[str, int]]:
    """Where panels stand: from left to right; a line is as high as its highest panel."""
    x = y = high = 0
    for panel in panels:
        if x + panel.width > _WIDTH:
            x, y, high = 0, y + high, 0
        yield {"x": x, "y": y, "w": panel.width, "h": panel.height}
        x, high = x + panel.width, max(high, panel.height)


_LABELS = {"show": True, "rotate": 0, "filter": True, "truncate": 100}
_PARAMETERS: dict[Shape, dict[str, Any]] = {
    Shape.NUMBER: {
        "type": "metric",
        "addTooltip": True,
        "addLegend": False,
        "metric": {
            "percentageMode": False,
            "useRanges": False,
            "colorSchema": "Green to Red",
            "metricColorMode": "None",
            "colorsRange": [{"from": 0, "to": 10_000}],
            "labels": {"show": True},
            "invertColors": False,
            "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "", "fontSize": 60},
        },
    },
    Shape.TABLE: {
        "perPage": 10,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "sort": {"columnIndex": None, "direction": None},
        "showTotal": False,
        "totalFunc": "sum",
        "percentageCol": "",
    },
    Shape.PIE: {
        "type": "pie",
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "isDonut": True,
        "labels": {"show": False, "values": True, "last_level": True, "truncate": 100},
    },
    Shape.BARS: {
        "type": "histogram",
        "grid": {"categoryLines": False},
        "categoryAxes": [
            {
                "id": "CategoryAxis-1",
                "type": "category",
                "position": "bottom",
                "show": True,
                "style": {},
                "scale": {"type": "linear"},
                "labels": _LABELS,
                "title": {},
            }
        ],
        "valueAxes": [
            {
                "id": "ValueAxis-1",
                "name": "LeftAxis-1",
                "type": "value",
                "position": "left",
                "show": True,
                "style": {},
                "scale": {"type": "linear", "mode": "normal"},
                "labels": _LABELS,
                "title": {"text": "Count"},
            }
        ],
        "seriesParams": [
            {
                "show": True,
                "type": "histogram",
                "mode": "stacked",
                "data": {"label": "Count", "id": "1"},
                "valueAxis": "ValueAxis-1",
                "drawLinesBetweenPoints": True,
                "lineWidth": 2,
                "showCircles": True,
            }
        ],
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": False,
        "labels": {"show": False},
        "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
    },
}
