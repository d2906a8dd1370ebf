"""Deterministic ids: H of rule 4, computed a second time here, and what does and does not change an id."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.winlog import parse_record
from huntbeam.transforms.rekey import read_event
from tests.events import CHANNEL, CONNECT, CONNECT_DATA, GUID, SHAPES, SYSMON, Fact, Shape, evtx, line, wlb6, wlb7


def h(*parts: Any) -> str:
    """H as docs/semantics.md words it, by other means."""
    compact = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(compact.encode()).hexdigest()[:32]


def event_uid(raw: bytes) -> str:
    return read_event(parse_record(raw), EventTime.UTC_TIME).event_uid


def test_an_event_id_is_pinned() -> None:
    """This id is in archives already: a change of it is a change of rule 4."""
    assert event_uid(line(CONNECT)) == "e57b57383a82e8e2d83f31ee81477275"
    fields = {k: v.strip("{}").lower() if k == "ProcessGuid" else v for k, v in CONNECT_DATA.items()}
    assert event_uid(line(CONNECT)) == h(
        "e1", "ws-7.lab.example", SYSMON, CHANNEL, 3, 77, "2026-03-04T05:06:07.100Z", sorted(map(list, fields.items()))
    )


def test_the_ids_of_rows() -> None:
    assert uid.joined("a") == h("j1", "a")
    assert uid.unmatched("a") == h("u1", "a")
    key = ("ws-7", None, 443)
    assert uid.window("c", 300_000, "2026-03-04T05:05:00.000Z", key) == h(
        "w1", "c", 300_000, "2026-03-04T05:05:00.000Z", ["ws-7", None, 443]
    )
    assert uid.dead_letter("00ff", "parse", "InvalidJson") == h("d1", "00ff", "parse", "InvalidJson")
    assert uid.event(None, None, None, 3, None, None, {}) == h("e1", None, None, None, 3, None, None, [])


@given(
    st.lists(
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8")), st.booleans())
    )
)
def test_h_is_the_same_by_other_means(parts: list[Any]) -> None:
    assert uid.digest(*parts) == h(*parts)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_shape_does_not_change_the_id_where_it_keeps_the_record_id(shape: Shape) -> None:
    kept = Fact(3, CONNECT_DATA, record_id=None) if shape.__name__ == "timecreated" else CONNECT
    assert event_uid(line(kept, shape)) == event_uid(line(kept, wlb6))


@given(st.permutations(sorted(CONNECT_DATA)), st.permutations(sorted(wlb6(CONNECT))))
def test_the_order_of_names_does_not_change_the_id(names: list[str], envelope: list[str]) -> None:
    document = wlb6(Fact(3, {name: CONNECT_DATA[name] for name in names}))
    assert event_uid(json.dumps({k: document[k] for k in envelope}).encode()) == event_uid(line(CONNECT))


@pytest.mark.parametrize(
    "extra",
    [
        {"agent": {"id": "x"}},
        {"@metadata": {"beat": "winlogbeat"}},
        {"event": {"created": "2026-09-09T09:09:09Z"}},
        {"tags": ["a"]},
        {"file": {"path": "a.evtx"}},
        {"log": {"offset": 7}},
        {"message": "another"},
        {"host": {"name": "another"}},
    ],
)
def test_the_envelope_does_not_change_the_id(extra: dict[str, Any]) -> None:
    for shape in (wlb6, wlb7):
        assert event_uid(json.dumps(shape(CONNECT) | extra).encode()) == event_uid(line(CONNECT))


@pytest.mark.parametrize(
    "data",
    [
        CONNECT_DATA | {"ProcessGuid": GUID},
        CONNECT_DATA | {"ProcessGuid": GUID.upper()},
        CONNECT_DATA | {"SourcePort": 50123, "Initiated": True, "ProcessId": 4242},
        CONNECT_DATA | {"RuleName": "", "Other": None},
    ],
    ids=["guid without braces", "guid in upper case", "typed values", "null and empty values"],
)
def test_the_spelling_of_a_value_does_not_change_the_id(data: dict[str, Any]) -> None:
    assert event_uid(line(Fact(3, data))) == event_uid(line(Fact(3, data), evtx)) == event_uid(line(CONNECT))


def test_the_case_of_the_host_does_not_change_the_id() -> None:
    assert event_uid(line(CONNECT._replace(host="ws-7.LAB.EXAMPLE"))) == event_uid(line(CONNECT))


def test_how_json_escapes_does_not_change_the_id() -> None:
    assert event_uid(line(CONNECT, ascii_only=True)) == event_uid(line(CONNECT))


@given(st.sampled_from(sorted(CONNECT_DATA)), st.sampled_from(["0", "-", "another", "true ", "4243", "Ä"]))
def test_another_value_is_another_id(name: str, value: str) -> None:
    if CONNECT_DATA[name] != value:
        assert event_uid(line(Fact(3, CONNECT_DATA | {name: value}))) != event_uid(line(CONNECT))


@pytest.mark.parametrize(
    "other",
    [
        CONNECT._replace(host="WS-8.lab.example"),
        CONNECT._replace(provider=SYSMON.upper()),
        CONNECT._replace(channel="ForwardedEvents"),
        CONNECT._replace(event_id=22),
        CONNECT._replace(record_id=78),
        CONNECT._replace(record_id=None),
        CONNECT._replace(time="2026-03-04T05:06:07.101Z"),
        CONNECT._replace(time="2026-03-04 05:06:07.100"),  # as written, not as read
        CONNECT._replace(data={k: v for k, v in CONNECT_DATA.items() if k != "User"}),
        CONNECT._replace(data=CONNECT_DATA | {"RuleName": "x"}),
        CONNECT._replace(data={k if k != "User" else "USER": v for k, v in CONNECT_DATA.items()}),
    ],
)
def test_another_event_is_another_id(other: Fact) -> None:
    assert event_uid(line(other)) != event_uid(line(CONNECT))


def test_lone_surrogates_count_as_one_replacement_character() -> None:
    escaped = line(Fact(3, CONNECT_DATA | {"User": "X"})).replace(b'"X"', b'"\\ud83d"')
    assert event_uid(escaped) == event_uid(line(Fact(3, CONNECT_DATA | {"User": "\N{REPLACEMENT CHARACTER}"})))


def test_the_process_id_out_of_a_message_is_not_in_the_id() -> None:
    """NXLog drops it from the event data; a copy from another forwarder differs there, and only there."""
    without = Fact(3, {k: v for k, v in CONNECT_DATA.items() if k != "ProcessId"})
    document = SHAPES["nxlog"](without)
    told = document | {"Message": "Network connection detected:\r\nProcessId: 4242\r\nImage: x"}
    reading = read_event(parse_record(json.dumps(told).encode()), EventTime.UTC_TIME)
    assert reading.data["ProcessId"] == "4242"
    assert reading.event_uid == event_uid(json.dumps(document).encode())
