"""Rows as Kafka records: keys, both encodings, and no record over the limit."""

from __future__ import annotations

import io
import json
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import FIRST, LAST, instant
from huntbeam.schemas.dead_letter import DeadLetter, Original, RecordError, dead_letter
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.sysmon import NetworkConnect, ProcessCreate, SysmonUnmatched
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.topic_rows import (
    LEAST_RECORD_BYTES,
    SCHEMA_VERSION,
    Encoding,
    RowEncoder,
    avro_schema_for_topic,
    decode_value,
    topic_name,
)
from tests.conftest import examples
from tests.typed_rows import as_written, nested, rows_of

TIME = "2019-05-18T20:36:50.123Z"
GUID = "0a1b2c3d-1111-4222-8333-0123456789ab"
UID = "0123456789abcdef" * 2
WINDOW = WindowCount("process_image", TIME, TIME, {"host": "wks-1"}, 1, {}, False, TIME, TIME, None, 0, UID)

_INT64 = st.integers(-(2**63), 2**63 - 1)
_TEXT = st.text(max_size=8) | st.sampled_from(["", "\0" * 400, "é漢😀" * 300, '"\\' * 2000, "x" * 5000, "\u2028\x85"])
_MAP_NAMES = st.sampled_from(["host", "user_account", "process_path", "dst_ip_addr", "dst_port", "parent_process_path"])
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: _TEXT,
    Kind.GUID: st.uuids().map(str),
    Kind.IP: _TEXT,
    Kind.INTEGER: _INT64,
    Kind.BOOLEAN: st.booleans(),
    Kind.INSTANT: st.integers(FIRST, LAST).map(instant),
    Kind.TEXT_MAP: st.dictionaries(_MAP_NAMES, _TEXT | _INT64 | st.none()),
    Kind.INTEGER_MAP: st.dictionaries(_MAP_NAMES, _INT64),
    Kind.NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    Kind.TEXT_LIST: st.lists(_TEXT, max_size=3),
    **nested(_TEXT),
}
_FIXED = {
    "event_uid": st.just(UID),
    "contributing": st.lists(st.just(UID), max_size=5),
    "raw_sha256": st.just("ab" * 32),
    "raw_b64": st.binary(max_size=4000).map(b64encode).map(bytes.decode),
}


def rows(stream: str) -> st.SearchStrategy[msgspec.Struct]:
    return rows_of(STREAMS[stream], _VALUES, _FIXED)


def empty(record: type[msgspec.Struct], **values: Any) -> msgspec.Struct:
    """A row with nothing in it but what it must have and what is given."""
    plain = {
        Kind.TEXT: "",
        Kind.IP: "",
        Kind.INTEGER: 0,
        Kind.BOOLEAN: False,
        Kind.INSTANT: TIME,
        Kind.TEXT_MAP: {},
        Kind.INTEGER_MAP: {},
        Kind.NUMBER: 0.0,
        Kind.TEXT_LIST: [],
    }
    return record(
        **{c.name: None if c.nullable else plain[c.kind] for c in columns(record)} | {"event_uid": UID} | values
    )


def create(**values: Any) -> msgspec.Struct:
    return empty(ProcessCreate, event_id=1, **values)


def plain(row: msgspec.Struct, encoding: Encoding) -> dict[str, Any]:
    """What a reader takes the row for: values of text maps are text in Avro."""
    values = as_written(row)
    for column in columns(type(row)) if encoding is Encoding.AVRO else ():
        if column.kind is Kind.TEXT_MAP:
            named = values[column.name].items()
            values[column.name] = {name: None if item is None else str(item) for name, item in named}
    return values | {"schema_version": SCHEMA_VERSION}


def test_topics_are_streams_in_upper_case_behind_a_prefix() -> None:
    assert topic_name("window_counts") == "WINDOW_COUNTS"
    assert topic_name("sysmon_join", "lab.") == "lab.SYSMON_JOIN"


@pytest.mark.parametrize(
    ("stream", "row", "key"),
    [
        ("sysmon_process_create", create(process_guid=GUID), GUID.encode()),
        ("sysmon_process_create", create(), UID.encode()),
        ("sysmon_unmatched", empty(SysmonUnmatched, process_guid=GUID), GUID.encode()),
        ("window_counts", WINDOW, UID.encode()),
        ("duplicates", empty(STREAMS["duplicates"], process_guid=GUID), UID.encode()),
        ("dead_letters", empty(DeadLetter), None),
    ],
)
def test_keys(stream: str, row: msgspec.Struct, key: bytes | None) -> None:
    assert RowEncoder(stream, Encoding.JSON).encode(row)[0] == key
    assert RowEncoder(stream, Encoding.AVRO).encode(row)[0] == key


def test_a_json_value_is_the_columns_in_order_and_the_version() -> None:
    value = RowEncoder("window_counts", Encoding.JSON).encode(WINDOW)[1]
    assert value == msgspec.json.encode(WINDOW)[:-1] + b',"schema_version":1}'
    assert list(json.loads(value)) == [*as_written(WINDOW), "schema_version"]


def crc64_avro(data: bytes) -> bytes:
    """The fingerprint as the Avro specification defines it, bit by bit."""
    empty_print = 0xC15D213AA4D7A795
    remainder = empty_print
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (empty_print if remainder & 1 else 0)
    return remainder.to_bytes(8, "little")


def test_the_bits_of_the_fingerprint() -> None:
    assert crc64_avro(b'"int"') == (0x7275D51A3F395C8F).to_bytes(8, "little")  # a value of Avro's own tests


@pytest.mark.parametrize("stream", STREAMS)
def test_an_avro_value_is_a_single_object_of_the_topics_schema(stream: str) -> None:
    row = empty(STREAMS[stream])
    value = RowEncoder(stream, Encoding.AVRO).encode(row)[1]
    schema = avro_schema_for_topic(stream)
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    assert value[:10] == b"\xc3\x01" + crc64_avro(canonical.encode())
    read = fastavro.schemaless_reader(io.BytesIO(value[10:]), fastavro.parse_schema(schema), None)
    assert list(read) == [*type(row).__struct_fields__, "schema_version", "truncated_fields"]
    assert (read["event_uid"], read["schema_version"], read["truncated_fields"]) == (UID, 1, [])
    assert [field["doc"] for field in schema["fields"] if not field["doc"]] == []


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("stream", STREAMS)
@settings(max_examples=30)
@given(data=st.data())
def test_short_rows_come_back_as_they_were(stream: str, encoding: Encoding, data: st.DataObject) -> None:
    row = data.draw(rows(stream))
    assert decode_value(RowEncoder(stream, encoding).encode(row)[1]) == plain(row, encoding)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("stream", STREAMS)
@settings(max_examples=examples(60))
@given(data=st.data(), limit=st.integers(LEAST_RECORD_BYTES, 16_000))
def test_no_record_is_longer_than_the_limit(stream: str, encoding: Encoding, data: st.DataObject, limit: int) -> None:
    row = data.draw(rows(stream))
    encoder = RowEncoder(stream, encoding, limit)
    key, value = encoder.encode(row)
    assert len(key or b"") + len(value) <= limit
    assert (key, value) == encoder.encode(row)
    read, whole = decode_value(value), plain(row, encoding)
    cut = read.pop("truncated_fields", [])
    for name in [name for name in cut if name not in read and isinstance(whole.get(name), list)]:
        del whole[name]  # a list of objects goes as a whole
    assert list(read) == list(whole)
    assert bool(cut) == (len(RowEncoder(stream, encoding, 10**7).encode(row)[1]) + len(key or b"") > limit)
    check_cut(whole, read, cut)


def entries(column: str, values: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """The entries of a map or list by the names that truncated_fields has for them."""
    named = values.items() if isinstance(values, dict) else enumerate(values)
    return {f"{column}.{name}": value for name, value in named}


def check_cut(whole: dict[str, Any], read: dict[str, Any], cut: list[str]) -> None:
    """What was cut is a beginning and is named; the rest is as it was."""
    for name, value in whole.items():
        if name in cut:
            assert len(read[name]) < len(value)
            assert value.startswith(read[name])
        elif name == "raw_truncated":
            assert read[name] is (value or "raw_b64" in cut)
        elif isinstance(value, dict | list):
            check_cut(entries(name, value), entries(name, read[name]), cut)
        else:
            assert read[name] == value
    assert {"event_uid", "process_guid", "raw_sha256"}.isdisjoint(cut)


@pytest.mark.parametrize("encoding", Encoding)
def test_the_longest_texts_are_cut_to_one_length(encoding: Encoding) -> None:
    row = create(process_guid=GUID, process_command_line="a" * 9000, hashes="b" * 5000, user_account="c" * 1000)
    read = decode_value(RowEncoder("sysmon_process_create", encoding, 8000).encode(row)[1])
    assert read["truncated_fields"] == ["process_command_line", "hashes"]
    assert len(read["process_command_line"]) == len(read["hashes"]) > 2500
    assert read["user_account"] == "c" * 1000


def test_the_default_limit_is_filled_to_the_last_bytes() -> None:
    row = create(process_guid=GUID, process_command_line="é" * 2_000_000)
    for encoding in Encoding:
        key, value = RowEncoder("sysmon_process_create", encoding).encode(row)
        assert 899_900 < len(key or b"") + len(value) <= 900_000


def test_a_shortened_dead_letter_is_still_base64_and_says_so() -> None:
    raw = bytes(range(256)) * 80
    letter = dead_letter(RecordError("parse", "InvalidJson", "no JSON"), Original.of(raw), "kafka:winlogbeat", 7, 0)
    assert letter.raw_truncated is False
    for encoding in Encoding:
        read = decode_value(RowEncoder("dead_letters", encoding, 8000).encode(letter)[1])
        assert raw.startswith(b64decode(read["raw_b64"], validate=True))
        assert len(read["raw_b64"]) > 2000
        assert read["raw_truncated"] is True
        assert (read["raw_length"], read["truncated_fields"]) == (len(raw), ["raw_b64"])


def test_keys_of_windows_are_cut_by_entry() -> None:
    row = msgspec.structs.replace(WINDOW, key={"host": "wks-1", "process_path": "x" * 19_000, "dst_port": 443})
    read = decode_value(RowEncoder("window_counts", Encoding.JSON, 9000).encode(row)[1])
    assert read["truncated_fields"] == ["key.process_path"]
    assert (read["key"]["host"], read["key"]["dst_port"]) == ("wks-1", 443)
    assert set(read["key"]["process_path"]) == {"x"}


def test_what_cannot_be_short_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="8000 are enough"):
        RowEncoder("window_counts", Encoding.JSON, 7999)
    row = msgspec.structs.replace(WINDOW, distinct={f"name {n}": n for n in range(1000)})
    with pytest.raises(ValueError, match="bytes too long"):
        RowEncoder("window_counts", Encoding.JSON, 8000).encode(row)


AVRO = RowEncoder("sysmon_network_connect", Encoding.AVRO).encode(empty(NetworkConnect))[1]


@pytest.mark.parametrize(
    ("value", "error_class"),
    [
        (b"", "InvalidJson"),
        (b"\xff", "InvalidJson"),
        (b'{"a":1', "InvalidJson"),
        (b"[" * 100_000, "InvalidJson"),
        (b"[1]", "NotAnObject"),
        (b"\xc3\x01", "UnknownSchema"),
        (b"\xc3\x01" + b"\0" * 20, "UnknownSchema"),
        (AVRO[:-3], "InvalidAvro"),
        (AVRO + b"\0", "InvalidAvro"),
        (AVRO[:10] + b"\xff" * 40, "InvalidAvro"),
    ],
)
def test_values_that_are_no_rows(value: bytes, error_class: str) -> None:
    with pytest.raises(RecordError) as refused:
        decode_value(value)
    assert refused.value.error_class == error_class


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_break_the_reader(data: bytes, behind_head: bool) -> None:
    with suppress(RecordError):
        assert isinstance(decode_value(AVRO[:10] + data if behind_head else data), dict)
