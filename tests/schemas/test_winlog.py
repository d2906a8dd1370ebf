"""Shapes: the same event in each of them is read the same, and what is no event is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.envelope import NXLOG_ENVELOPE, mend
from huntbeam.schemas.winlog import identifying, parse_record
from tests.events import (
    CHANNEL,
    COLLECTOR,
    CONNECT,
    CONNECT_DATA,
    CREATE,
    GUID,
    SECURITY,
    SHAPES,
    SYSMON,
    Fact,
    Shape,
    azure,
    dotted,
    es_source,
    evtx,
    facts,
    in_message,
    line,
    nxlog,
    timecreated,
    wlb6,
    wlb7,
    wlb8,
)

ANY_SHAPE = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def encode(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def refused(raw: bytes) -> tuple[str, str]:
    """Why a record is refused: while it is parsed, or when its event data are asked for."""
    with pytest.raises(RecordError) as caught:
        parse_record(raw).data()
    assert caught.value.step == "parse"
    assert caught.value.time is None
    return caught.value.error_class, caught.value.message


# Every shape ------------------------------------------------------------------------------------------------------


@ANY_SHAPE
@pytest.mark.parametrize("fact", [CREATE, CONNECT], ids=["create", "connect"])
def test_each_shape_says_the_same(shape: Shape, fact: Fact) -> None:
    raw = line(fact, shape)
    event = parse_record(raw)
    assert (event.host, event.channel, event.provider) == ("WS-7.lab.example", CHANNEL, SYSMON)
    assert event.event_id == fact.event_id
    assert event.record_id == (None if shape is timecreated else 77)
    assert event.time == "2026-03-04T05:06:07.100Z"
    assert event.data() == fact.data
    assert event.raw == raw


@ANY_SHAPE
@given(facts())
def test_any_event_in_any_shape_says_what_winlogbeat_6_says(shape: Shape, fact: Fact) -> None:
    expected, event = parse_record(line(fact)), parse_record(line(fact, shape))
    assert (event.host, event.provider, event.event_id) == (expected.host, expected.provider, expected.event_id)
    assert identifying(event.data() if fact.data else {}) == identifying(expected.data() if fact.data else {})


@ANY_SHAPE
def test_the_collector_is_never_the_host(shape: Shape) -> None:
    document = shape(CONNECT._replace(host=""))
    assert parse_record(encode(document)).host is None


def test_where_no_shape_names_a_host_the_collector_is_not_taken_either() -> None:
    document = wlb6(CONNECT)
    del document["computer_name"]
    assert document["host"]["name"] == COLLECTOR
    assert parse_record(encode(document)).host is None


def test_event_ids_are_numbers_or_text() -> None:
    for shape, written in ((wlb6, "3"), (wlb7, "3"), (wlb8, 3), (nxlog, "3"), (azure, " 3 "), (timecreated, 3.0)):
        document = shape(CONNECT)
        where = document.get("winlog", document)
        where["EventID" if "EventID" in where else "event_id"] = written
        assert parse_record(encode(document)).event_id == 3


@pytest.mark.parametrize("written", ["three", "", True, 3.5, [3], {"id": 3}, 2**64])
def test_an_event_id_that_is_no_number(written: Any) -> None:
    assert refused(encode(wlb6(CONNECT) | {"event_id": written}))[0] == "InvalidEventId"
    assert refused(encode(nxlog(CONNECT) | {"EventID": written}))[0] == "InvalidEventId"
    document = wlb7(CONNECT)
    document["winlog"]["event_id"] = written
    assert refused(encode(document))[0] == "InvalidEventId"


@pytest.mark.parametrize(
    ("written", "expected"), [(7, "7"), (True, "true"), ("", None), (None, None), (["a"], '["a"]')]
)
def test_names_are_text_whatever_they_were_written_as(written: Any, expected: str | None) -> None:
    older = parse_record(encode(wlb6(CONNECT) | dict.fromkeys(("source_name", "log_name", "computer_name"), written)))
    flat = parse_record(encode(nxlog(CONNECT) | dict.fromkeys(("SourceName", "Channel", "Hostname"), written)))
    document = wlb7(CONNECT)
    document["winlog"] |= dict.fromkeys(("provider_name", "channel", "computer_name"), written)
    for event in (older, flat, parse_record(encode(document))):
        assert (event.provider, event.channel, event.host) == (expected,) * 3
        assert event.data() == CONNECT.data


def test_who_asks_for_event_data_may_write_into_them() -> None:
    event = parse_record(encode(wlb7(CONNECT)))
    event.data().clear()
    assert event.data() == CONNECT.data


@pytest.mark.parametrize(
    ("written", "expected"),
    [("77", 77), (77, 77), (0, 0), (2**70, str(2**70)), ("7/3", "7/3"), ("", None), (None, None)],
)
def test_record_ids(written: Any, expected: int | str | None) -> None:
    assert parse_record(encode(wlb6(CONNECT) | {"record_number": written})).record_id == expected
    assert parse_record(encode(nxlog(CONNECT) | {"RecordNumber": written})).record_id == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("2026-03-04 05:06:07", "2026-03-04 05:06:07"), (1_772_600_767_089,) * 2, ("", None)]
)
def test_the_records_own_time_is_kept_as_written(written: Any, expected: str | int | None) -> None:
    assert parse_record(encode(wlb7(CONNECT) | {"@timestamp": written})).time == expected


def test_the_records_own_time_of_flat_shapes() -> None:
    document = nxlog(CONNECT)
    assert parse_record(encode(document | {"TimeCreated": "other"})).time == CONNECT.time
    del document["@timestamp"]
    assert parse_record(encode(document)).time == "2026-03-04 00:06:07"


# Flat shapes: event data beside the envelope ----------------------------------------------------------------------


def test_the_services_process_id_is_not_the_processes() -> None:
    without = Fact(1, {k: v for k, v in CREATE.data.items() if k != "ProcessId"})
    assert "ProcessID" not in parse_record(line(without, nxlog)).data()
    assert parse_record(line(without, nxlog)).process_id_in_message() is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Process Create:\r\nProcessId: 4242\r\nImage: x\r\n", "4242"),
        ("Process Create:\nProcessId: 4242", "4242"),
        ("Process Create:\r\nParentProcessId: 612\r\nx", None),
        ("Process Create:\r\nCommandLine: a ProcessId: 4242", None),
        ("Process Create:\r\nProcessId: -\r\n", None),
        ("", None),
        (None, None),
        (["ProcessId: 4242"], None),
    ],
)
def test_a_flat_message_still_has_the_process_id(message: Any, expected: str | None) -> None:
    assert parse_record(encode(nxlog(CREATE) | {"Message": message})).process_id_in_message() == expected


def test_only_flat_records_are_asked_for_their_message() -> None:
    document = wlb6(CREATE) | {"Message": "\nProcessId: 1"}
    assert parse_record(encode(document)).process_id_in_message() is None


def test_a_name_that_nxlog_takes_for_itself_is_event_data_elsewhere() -> None:
    """Registry events have an EventType, Security 5156 a ProcessID; NXLog puts words of its own there."""
    registry = Fact(13, {"UtcTime": "-", "TargetObject": "HKLM\\x", "EventType": "SetValue"})
    filtering = Fact(5156, {"ProcessID": "4242", "Application": "x"}, provider=SECURITY)
    for shape in (wlb6, wlb7, timecreated, azure):
        assert parse_record(line(registry, shape)).data() == registry.data
        assert parse_record(line(filtering, shape)).data() == filtering.data
    document = nxlog(registry)
    assert document["EventType"] == "INFO"
    assert parse_record(encode(document)).data() == {"UtcTime": "-", "TargetObject": "HKLM\\x"}


def test_the_envelope_of_flat_records_is_no_event_data() -> None:
    document = nxlog(CONNECT) | dict.fromkeys(NXLOG_ENVELOPE - {"EventID"}, "x") | {"EventID": 3}
    assert parse_record(encode(document)).data() == CONNECT_DATA


# EVTX converters --------------------------------------------------------------------------------------------------


def test_evtx_converters_write_ids_plain_or_with_attributes_and_typed_values() -> None:
    document = evtx(Fact(3, {"ProcessGuid": GUID.upper(), "SourcePort": 50123, "Initiated": True, "Image": None}))
    document["Event"]["System"]["EventID"] = 3
    event = parse_record(encode(document))
    assert event.event_id == 3
    assert event.data() == {"ProcessGuid": GUID.upper(), "SourcePort": 50123, "Initiated": True, "Image": None}
    document["Event"]["System"]["EventID"] = "3"
    assert parse_record(encode(document)).event_id == 3


@pytest.mark.parametrize(
    ("event_data", "fields"),
    [
        ({"#attributes": {"Name": "x"}, "Image": "a"}, {"Image": "a"}),
        ({"Image": "a", "Data": {"#text": ["b", "c"]}}, {"Image": "a"}),
        ({"Data": ["b", "c"], "Image": '"#'}, {"Image": '"#'}),
        ({"Data": "named so", "n": {"#text": 1}}, {"Data": "named so", "n": {"#text": 1}}),
    ],
)
def test_event_data_of_evtx_are_what_has_a_name(event_data: Any, fields: Any) -> None:
    document = evtx(CREATE)
    document["Event"]["EventData"] = event_data
    assert parse_record(encode(document)).data() == fields


@pytest.mark.parametrize("event_data", [None, {}, "text", {"Data": {"#text": "a"}}, {"#text": "a"}, {"Data": []}])
def test_event_data_of_evtx_without_a_name_are_none(event_data: Any) -> None:
    document = evtx(CREATE)
    document["Event"]["EventData"] = event_data
    assert refused(encode(document))[0] == "NoEventData"
    del document["Event"]["EventData"]
    document["Event"]["UserData"] = {"EventXML": {"P": "v"}}
    assert refused(encode(document))[0] == "NoEventData"


@pytest.mark.parametrize(
    "event", [None, {}, {"System": None}, {"System": {}}, {"System": {"EventID": None}}, [], "x", {"System": [1]}]
)
def test_an_event_element_without_an_id_is_no_event(event: Any) -> None:
    assert refused(encode({"Event": event}))[0] == "UnknownShape"


# Envelopes in envelopes -------------------------------------------------------------------------------------------


def test_the_innermost_record_is_the_event_and_the_outermost_is_kept() -> None:
    document: Any = wlb8(CONNECT)
    for _ in range(3):
        document = {"message": json.dumps(document)}
    event = parse_record(encode(document))
    assert (event.host, event.event_id) == (CONNECT.host, 3)
    assert json.loads(event.raw) == document


def test_an_event_nested_too_deep_is_refused() -> None:
    document: Any = wlb8(CONNECT)
    for _ in range(4):
        document = {"_source": document}
    assert refused(encode(document))[0] == "UnknownShape"


def test_nesting_in_every_shape() -> None:
    for shape in SHAPES.values():
        for wrapped in ({"_source": shape(CONNECT)}, {"message": json.dumps(shape(CONNECT))}):
            if shape.__name__ != "nested_twice":
                assert parse_record(encode(wrapped)).event_id == 3


def test_a_message_that_is_no_json_is_only_a_message() -> None:
    assert refused(b'{"message": "{ this is prose }"}')[0] == "InvalidJson"
    assert refused(b'{"message": "prose"}')[0] == "UnknownShape"
    assert refused(b'{"message": ["{}"]}')[0] == "UnknownShape"
    assert refused(b'{"_source": "{}"}')[0] == "UnknownShape"


def test_dotted_names_stand_for_objects_with_typed_values_and_event_data_below_winlog() -> None:
    event = parse_record(encode(dotted(Fact(3, {"Initiated": True, "SourcePort": 7, "Image": "ä"}))))
    assert event.data() == {"Initiated": True, "SourcePort": 7, "Image": "ä"}
    mixed = {"winlog.event_id": 3, "winlog.computer_name": "ws", "winlog.event_data": {"Image": "x"}}
    assert parse_record(encode(mixed)).data() == {"Image": "x"}


def test_dotted_names_of_something_else_are_no_event() -> None:
    assert refused(b'{"winlog.api": "x"}')[0] == "UnknownShape"
    assert refused(b'{"a.b": 1}')[0] == "UnknownShape"


# What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "error_class"),
    [
        (b"", "InvalidJson"),
        (b"{", "InvalidJson"),
        (b'{"event_id": 3', "InvalidJson"),
        (b'{"event_id": 3} {"event_id": 3}', "InvalidJson"),
        (b"{'event_id': 3}", "InvalidJson"),
        (b'{"event_id": 03}', "InvalidJson"),
        (b'{"event_id": NaN}', "InvalidJson"),
        (b'{"event_id": 3, "x": "\\q"}', "InvalidJson"),
        (b'{"event_id": 3, "x": "\\ud83"}', "InvalidJson"),
        (b"# winlogbeat started", "InvalidJson"),
        (b"\0\0\0\0", "InvalidJson"),
        (b"\x1f\x8b\x08\x00", "InvalidJson"),
        (b'{"event_id": 1e400}', "InvalidJson"),
        (b'{"event_id": ' + b"9" * 5000 + b"}", "InvalidJson"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "InvalidJson"),
        (b"[1,2,3]", "NotAnObject"),
        (b"null", "NotAnObject"),
        (b"true", "NotAnObject"),
        (b'"text"', "NotAnObject"),
        (b"7", "NotAnObject"),
        (b"{}", "UnknownShape"),
        (b'{"event_id": null, "winlog": null, "EventID": null, "Event": null}', "UnknownShape"),
        (b'{"winlog": {}}', "UnknownShape"),
        (b'{"winlog": "x"}', "UnknownShape"),
        (b'{"winlog": []}', "UnknownShape"),
        (b'{"SOURCE_NAME": "Microsoft-Windows-Sysmon", "EVENT_ID": 3}', "UnknownShape"),
        (b'{"event_id": 3}', "NoEventData"),
        (b'{"event_id": 3, "event_data": null}', "NoEventData"),
        (b'{"event_id": 3, "event_data": {}}', "NoEventData"),
        (b'{"event_id": 3, "user_data": {"a": 1}}', "NoEventData"),
        (b'{"winlog": {"event_id": 3, "event_data": null}}', "NoEventData"),
        (b'{"Event": {"System": {"EventID": 3}}}', "NoEventData"),
        (b'{"event_id": 3, "event_data": "x"}', "InvalidEventData"),
        (b'{"event_id": 3, "event_data": ["x"]}', "InvalidEventData"),
        (b'{"event_id": 3, "event_data": {"x": 1e400}}', "InvalidEventData"),
    ],
)
def test_what_is_no_event(raw: bytes, error_class: str) -> None:
    assert refused(raw)[0] == error_class


def test_depth_is_refused_wherever_it_is_met() -> None:
    """Each of these is looked into by another decoder, and each level of Python takes from the same depth."""
    for depth in range(900, 1010):
        deep = "[" * depth + "]" * depth
        for raw in (
            f'{{"a": {deep}}}',
            f'{{"a.b": {deep}, "winlog.x": {deep}}}',
            f'{{"Event": {deep}}}',
            f'{{"winlog": {deep}}}',
            f'{{"event_id": 3, "event_data": {{"a": {deep}}}}}',
            json.dumps({"message": f'{{"a": {deep}}}'}),
        ):
            try:
                identifying(parse_record(raw.encode()).data())
            except RecordError as error:
                assert error.error_class in ("InvalidJson", "InvalidEventData", "UnknownShape")


def test_the_reason_is_said_without_content() -> None:
    secret = b'{"password": "hunter2", "event_id": 3,'
    _, message = refused(secret)
    assert message == "not valid JSON: Input data was truncated"
    assert refused(b'{"event_id": 3, "event_data": ["hunter2"]}')[1] == "the event data is no JSON object"
    assert refused(b'{"a": ' + b"[" * 5000)[1] == "not valid JSON: nested too deeply"
    assert "hunter2" not in refused(b'{"hunter2": hunter2}')[1]


# Bytes that are not UTF-8 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        (b'"caf\xe9"', '"caf\ufffd"'),
        (b'"\xff\xfe"', '"\ufffd\ufffd"'),
        (b'"\xed\xa0\x80"', '"\ufffd\ufffd\ufffd"'),
        (b'"\\ud83d"', '"\\ufffd"'),
        (b'"\\uDE00x"', '"\\ufffdx"'),
        (b'"\\ud83d\\ud83d\\ude00"', '"\\ufffd\\ud83d\\ude00"'),
        (b'"\\ud83d\\ude00"', '"\\ud83d\\ude00"'),
        (b'"\\\\ud83d"', '"\\\\ud83d"'),
        (b'"\\\\\\ud83d"', '"\\\\\\ufffd"'),
        ('"ä😀"'.encode(), '"ä😀"'),
    ],
)
def test_mend(raw: bytes, mended: str) -> None:
    assert mend(raw) == mended.encode()


@given(st.binary(max_size=60))
def test_mended_bytes_are_utf8_and_mended_for_good(raw: bytes) -> None:
    once = mend(raw)
    assert mend(once.decode().encode()) == once


@given(st.text(max_size=20))
def test_any_python_text_can_be_read_surrogates_and_all(written: str) -> None:
    raw = json.dumps(wlb6(Fact(3, {"CommandLine": written + "."}))).encode()
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in json.loads(json.dumps(written)))
    assert parse_record(raw).data() == {"CommandLine": expected + "."}


@ANY_SHAPE
def test_foreign_bytes_cost_a_character_not_the_record(shape: Shape) -> None:
    raw = line(Fact(3, CONNECT_DATA | {"User": "LAB\\X"}), shape)
    for bad, good in ((b"LAB\\\\\xe9", "LAB\\\ufffd"), (b"LAB\\\\\\ud800", "LAB\\\ufffd")):
        broken = raw.replace(b"LAB\\\\X", bad)
        if broken == raw:  # JSON in JSON has its backslashes doubled
            broken = raw.replace(b"LAB\\\\\\\\X", bad.replace(b"\\", b"\\\\"))
        assert broken != raw
        assert parse_record(broken).data()["User"] == good
        assert parse_record(broken).raw == broken


@ANY_SHAPE
def test_lone_surrogates_are_mended_wherever_they_stand(shape: Shape) -> None:
    lone, mended = "\ud800", "\ufffd"
    raw = json.dumps(shape(Fact(3, {f"Ima{lone}ge": f"a{lone}"}, channel=f"Cha{lone}nel"))).encode()
    event = parse_record(raw)
    assert event.channel == f"Cha{mended}nel"
    assert event.data() == {f"Ima{mended}ge": f"a{mended}"}
    assert event.raw == raw


def test_the_last_of_two_equal_names_counts() -> None:
    assert parse_record(b'{"event_id": 4, "event_id": 3, "event_data": {"a": 1}}').event_id == 3


def test_nested_records_are_found_whatever_the_blanks() -> None:
    inner = json.dumps(wlb6(CONNECT), indent=1)
    assert parse_record(f'{{ "_source" :\t{inner} }}'.encode()).event_id == 3
    assert parse_record(encode({"message": f"\n {inner}\n"})).event_id == 3
    assert parse_record(encode(es_source(CONNECT) | {"message": "x"})).event_id == 3
    assert parse_record(encode(in_message(CONNECT) | {"_source": None})).event_id == 3
