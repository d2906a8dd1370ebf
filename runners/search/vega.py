"""Panels that Kibana and OpenSearch Dashboards draw alike only through Vega: the map, and a ratio over time."""

from __future__ import annotations

import json
from typing import Any

from huntbeam.runners.search.panel_queries import GRID, aggregations, query
from huntbeam.schemas.panels import Panel, Shape
from huntbeam.schemas.search import target

_SCHEMA = "https://vega.github.io/schema/vega/v5.json"
_AUTO = {"%autointerval%": True}


def spec(panel: Panel, index: str) -> str:
    """The text of a panel's Vega specification; `index` is the pattern of the stream's indexes."""
    made = _map(panel, index) if panel.shape is Shape.MAP else _ratio(panel, index)
    return json.dumps(made, indent=2)


def _source(panel: Panel, index: str, path: str) -> dict[str, Any]:
    """What is asked for, narrowed by the dashboard's time and filters."""
    body = {"size": 0, "query": _context(panel), "aggs": aggregations(panel, _AUTO)}
    return {"url": {"index": index, "body": body}, "format": {"property": f"aggregations.{path}.buckets"}}


def _context(panel: Panel) -> dict[str, Any]:
    time = {"range": {target(panel.stream).time: {"%timefilter%": True}}}
    return {
        "bool": {
            "must": ["%dashboard_context-must_clause%", time],
            "filter": ["%dashboard_context-filter_clause%", query(panel.where)],
            "must_not": ["%dashboard_context-must_not_clause%"],
        }
    }


def _map(panel: Panel, index: str) -> dict[str, Any]:
    lon, lat = "centroid.location.lon", "centroid.location.lat"
    place = {"type": "geopoint", "projection": "projection", "fields": [lon, lat]}
    return {
        "$schema": _SCHEMA,
        "config": {"kibana": {"type": "map", "latitude": 25, "longitude": 0, "zoom": 2, "scrollWheelZoom": True}},
        "data": [{"name": "cells", **_source(panel, index, GRID), "transform": [place]}],
        "scales": [
            {
                "name": "area",
                "type": "sqrt",
                "domain": {"data": "cells", "field": "doc_count"},
                "range": [20, 1200],
                "zero": True,
            }
        ],
        "marks": [
            {
                "type": "symbol",
                "from": {"data": "cells"},
                "encode": {
                    "update": {
                        "x": {"field": "x"},
                        "y": {"field": "y"},
                        "size": {"scale": "area", "field": "doc_count"},
                        "fill": {"value": "#d6604d"},
                        "fillOpacity": {"value": 0.6},
                        "tooltip": {"signal": "format(datum.doc_count, ',') + ' events'"},
                    }
                },
            }
        ],
    }


def _ratio(panel: Panel, index: str) -> dict[str, Any]:
    """Nothing received counts as one byte, so that what only goes out is no gap."""
    above, below, host, time = "1", "2", "3", "4"
    lines = [
        {"type": "flatten", "fields": [f"['{time}'].buckets"], "as": ["at"]},
        {"type": "formula", "as": "time", "expr": "toDate(datum.at.key)"},
        {"type": "formula", "as": "ratio", "expr": f"datum.at['{above}'].value / max(datum.at['{below}'].value, 1)"},
    ]
    line = {
        "x": {"scale": "x", "field": "time"},
        "y": {"scale": "y", "field": "ratio"},
        "stroke": {"scale": "colour", "field": "key"},
        "tooltip": {"signal": "datum.key + ': ' + format(datum.ratio, '.2f')"},
    }
    return {
        "$schema": _SCHEMA,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 5,
        "data": [{"name": "lines", **_source(panel, index, host), "transform": lines}],
        "scales": [
            {"name": "x", "type": "time", "range": "width", "domain": {"data": "lines", "field": "time"}},
            {
                "name": "y",
                "type": "linear",
                "range": "height",
                "domain": {"data": "lines", "field": "ratio"},
                "zero": True,
                "nice": True,
            },
            {
                "name": "colour",
                "type": "ordinal",
                "range": "category",
                "domain": {"data": "lines", "field": "key"},
            },
        ],
        "axes": [{"orient": "bottom", "scale": "x"}, {"orient": "left", "scale": "y", "grid": True}],
        "legends": [{"stroke": "colour", "title": panel.splits[0].label}],  # type: ignore[union-attr]  # it is a Split
        "marks": [
            {
                "type": "group",
                "from": {"facet": {"name": "of_one", "data": "lines", "groupby": "key"}},
                "marks": [
                    {"type": "line", "from": {"data": "of_one"}, "encode": {"update": line}},
                    {
                        "type": "symbol",
                        "from": {"data": "of_one"},
                        "encode": {"update": line | {"size": {"value": 30}}},
                    },
                ],
            },
            {
                "type": "rule",
                "encode": {
                    "update": {
                        "x": {"value": 0},
                        "x2": {"signal": "width"},
                        "y": {"scale": "y", "value": 1},
                        "strokeDash": {"value": [4, 4]},
                        "stroke": {"value": "#888888"},
                    }
                },
            },
        ],
    }
