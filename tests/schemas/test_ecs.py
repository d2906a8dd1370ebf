"""Alerts as documents of the Elastic Common Schema, and back."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.alert import Alert, techniques
from huntbeam.schemas.ecs import COPIES, DERIVED, NAMES, AlertFormat, as_columns, document, json_lines
from huntbeam.schemas.geo import Geo, Location
from huntbeam.schemas.record import columns
from huntbeam.transforms.topic_rows import Encoding, RowEncoder, decode_value
from tests.transforms.suppression.test_suppression import alert, correlated

ECS = (AlertFormat.ECS,)
FULL: dict[str, Any] = {
    "user_account": "LAB\\ada",
    "process_path": "C:\\a.exe",
    "record_id": "77",
    "rule_level": "high",
    "tags": ["attack.execution", "attack.t1059.001", "attack.t1003"],
    "attack": ["T1059.001", "T1003"],
    "author": "ada",
    "references": ["https://example.com"],
    "matched": {"Image": "a", "EventID": 1},
    "event": {"CommandLine": "a -x", "ParentImage": "C:\\b.exe", "Port": 443},
    "suppressed_count": 3,
}


def test_a_full_alert() -> None:
    assert document(alert(1, "u", **FULL)) == {
        "ecs": {"version": "8.11.0"},
        "@timestamp": "2027-01-15T08:00:00.001Z",
        "event": {
            "kind": "signal",
            "id": "u",
            "start": "2027-01-15T08:00:00.001Z",
            "end": "2027-01-15T08:00:00.001Z",
            "severity": 73,
        },
        "host": {"name": "ws-7"},
        "user": {"domain": "LAB", "name": "ada"},
        "process": {"executable": "C:\\a.exe", "command_line": "a -x", "parent": {"executable": "C:\\b.exe"}},
        "winlog": {"record_id": "77", "event_data": {"CommandLine": "a -x", "ParentImage": "C:\\b.exe", "Port": 443}},
        "rule": {
            "id": "r",
            "uuid": "r",
            "name": "r",
            "category": "rule",
            "author": ["ada"],
            "reference": ["https://example.com"],
            "ruleset": "s",
        },
        "tags": ["attack.execution", "attack.t1059.001", "attack.t1003"],
        "threat": {
            "framework": "MITRE ATT&CK",
            "technique": {"id": ["T1059", "T1003"], "subtechnique": {"id": ["T1059.001"]}},
        },
        "kibana": {"alert": {"severity": "high", "suppression": {"docs_count": 3}}},
        "huntbeam": {
            "revision": 0,
            "retracted": False,
            "matched": {"Image": "a", "EventID": 1},
            "contributing": ["u"],
            "contributing_count": 1,
            "truncated": False,
        },
    }


def test_every_column_is_there_and_no_name_twice_or_within_another() -> None:
    derived = {"user_account", "attack", "author"}
    assert set(NAMES) | derived == {column.name for column in columns(Alert)}
    names = [*NAMES.values(), *DERIVED, *COPIES, "ecs.version", "event.kind"]
    assert len(set(names)) == len(names)
    assert not [(a, b) for a in names for b in names if b.startswith(f"{a}.") and a != b]
    assert all(re.fullmatch(r"@?[a-z_]+(\.[a-z_]+)*", name) for name in names)


texts = st.none() | st.text(max_size=5) | st.sampled_from(["LAB\\ada", "\\", "a\\", "\\b", "a\\b\\c"])
maps = st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3) | st.integers(0, 9), max_size=3)
tags = st.lists(st.sampled_from(["attack.t1059.001", "attack.t1003", "x", "attack.execution"]), max_size=3)


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    row = draw(st.sampled_from([alert(1, "u"), alert(None, "u"), correlated(2, "v", retracted=True)]))
    named = draw(tags)
    nullable = ("host", "user_account", "process_path", "record_id", "rule_level", "author")
    return msgspec.structs.replace(
        row,
        **{name: draw(texts) or None for name in nullable},
        tags=named,
        attack=techniques(named),
        matched=draw(maps),
        event=draw(maps),
        references=draw(st.lists(st.text(max_size=3), max_size=2)),
        src_geo=draw(st.none() | st.just(Geo(country_code="KR", location=Location(37.5, 127.0)))),
        dst_geo=draw(st.none() | st.just(Geo("DE", "Germany", "Berlin"))),
    )


def test_places_have_the_names_of_ecs() -> None:
    row = msgspec.structs.replace(alert(1, "u"), dst_geo=Geo("DE", "Germany", "Berlin", Location(52.5, 13.25)))
    assert document(row)["destination"]["geo"] == {
        "country_iso_code": "DE",
        "country_name": "Germany",
        "city_name": "Berlin",
        "location": {"lat": 52.5, "lon": 13.25},
    }
    assert "source" not in document(row)


@given(alerts())
def test_a_document_has_all_of_an_alert(row: Alert) -> None:
    written = msgspec.json.decode(json_lines([row]).splitlines()[0])
    assert msgspec.convert(as_columns(written), Alert) == row
    assert as_columns(msgspec.to_builtins(row)) == msgspec.to_builtins(row)


def test_values_of_topics_are_documents_that_fit() -> None:
    row = alert(1, "u", **FULL | {"event": {"CommandLine": "x" * 50_000}})
    key, value = RowEncoder("alerts", Encoding.JSON, 9_000, *ECS).encode(row)
    assert (key, len(value) <= 9_000 - 1) == (b"u", True)
    assert len(value) > 8_000
    read = decode_value(value)
    assert read["huntbeam"]["truncated_fields"] == ["event.CommandLine"]
    assert read["huntbeam"]["schema_version"] == 1
    assert as_columns(read)["event_uid"] == "u"


@pytest.mark.parametrize("stream", ["sysmon_join", "anomalies"])
def test_other_streams_keep_their_columns(stream: str) -> None:
    plain, other = RowEncoder(stream, Encoding.JSON), RowEncoder(stream, Encoding.JSON, 900_000, *ECS)
    assert plain._value == other._value
