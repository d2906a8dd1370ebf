"""Rows as Kafka records: key and value of each stream's topic, and values back into rows (docs/kafka.md).

A value has the row's columns in their order, then `schema_version`, then `truncated_fields` when texts were cut: JSON,
or Avro in the single-object encoding (two bytes of marker, fingerprint of the schema, binary).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

import msgspec

from huntbeam.schemas import ecs, streams
from huntbeam.schemas.alert import Alert
from huntbeam.schemas.avro import avro_record, avro_schema
from huntbeam.schemas.clock import instant
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.ecs import AlertFormat
from huntbeam.schemas.json_rows import as_json
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.row_limit import shorten, without_objects

SCHEMA_VERSION = 1  # rises when a column goes or changes its meaning; a new nullable column does not raise it
MAX_RECORD_BYTES = 900_000  # key and value; a broker takes 1,048,588 with headers, batch and all
LEAST_RECORD_BYTES = 8_000  # every column at its shortest fits into this

_KEY_BYTES = 64  # more than the ids have
_VERSION, _CUT = "schema_version", "truncated_fields"
_AVRO_FIELDS = (
    {"name": _VERSION, "type": "int", "doc": "Version of the columns"},
    {"name": _CUT, "type": {"type": "array", "items": "string"}, "doc": "Columns whose text was cut", "default": []},
)
_AVRO_MARKER = b"\xc3\x01"
_AVRO_HEAD = len(_AVRO_MARKER) + 8

_KEYS: dict[str, str | None] = {
    streams.PROCESS_CREATE: "process_guid",
    streams.NETWORK_CONNECT: "process_guid",
    streams.JOIN: "process_guid",
    streams.UNMATCHED: "process_guid",
    streams.EVENTS: "process_guid",
    streams.ENRICHED: "process_guid",
    streams.DEAD_LETTERS: None,
}
_UID = "event_uid"
_TOPICS = {
    streams.ALERTS: "windows_alerts",  # as HELK calls it
    streams.SUPPRESSED: "windows_alerts_suppressed",
    streams.ANOMALIES: "SYSMON_ANOMALIES",  # "anomalies" alone says nothing beside other teams' topics
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Encoding(StrEnum):
    """How values are written."""

    JSON = "json"
    AVRO = "avro"


def topic_name(stream: str, prefix: str = "") -> str:
    """The topic of a stream.

    >>> topic_name("sysmon_join", "lab.")
    'lab.SYSMON_JOIN'
    """
    return prefix + _TOPICS.get(stream, stream.upper())


def avro_schema_for_topic(stream: str) -> dict[str, Any]:
    """The Avro schema of a topic's values: the stream's columns and the two fields of every topic."""
    schema = avro_schema(STREAMS[stream])
    return schema | {"fields": [*schema["fields"], *_AVRO_FIELDS]}


class RowEncoder:
    """Rows of one stream to keys and values; none is longer than max_record_bytes. Cannot be pickled."""

    def __init__(
        self,
        stream: str,
        encoding: Encoding,
        max_record_bytes: int = MAX_RECORD_BYTES,
        alerts: AlertFormat = AlertFormat.COLUMNS,
    ) -> None:
        if max_record_bytes < LEAST_RECORD_BYTES:
            raise ValueError(f"{max_record_bytes} bytes are too few for a record; {LEAST_RECORD_BYTES} are enough")
        self._key_column = _KEYS.get(stream, _UID)
        self._limit = max_record_bytes
        self._value = _json_value if encoding is Encoding.JSON else _avro_values(stream)
        if alerts is AlertFormat.ECS and STREAMS[stream] is Alert:
            self._value = _ecs_values(max_record_bytes - _KEY_BYTES)
        self._size = _json_size if encoding is Encoding.JSON else _utf8_size

    def encode(self, row: msgspec.Struct) -> tuple[bytes | None, bytes]:
        """Key and value. Raises ValueError when a row cannot be made short enough, as with a map of a thousand names.

        No event can bring that about: the names are those of the counters.
        """
        key = self._key(row)
        value = self._value(row, ())
        excess = len(value) + len(key or b"") - self._limit
        if excess > 0:
            value = self._value(*self._shortened(row, excess))
        return key, value

    def _shortened(self, row: msgspec.Struct, excess: int) -> tuple[msgspec.Struct, tuple[str, ...]]:
        """The row cut, and the names of what was; lists of objects go as a whole where texts are not enough."""
        try:
            return shorten(row, excess, self._size)
        except ValueError:
            bare, gone = without_objects(row)
            if not gone:
                raise
        excess += len(self._value(bare, gone)) - len(self._value(row, ()))
        if excess <= 0:
            return bare, gone
        bare, cut = shorten(bare, excess, self._size)
        return bare, (*gone, *cut)

    def _key(self, row: msgspec.Struct) -> bytes | None:
        if self._key_column is None:
            return None
        key: str = getattr(row, self._key_column) or getattr(row, _UID)  # without a key a compacted topic refuses it
        return key.encode()


_TAIL = f',"{_VERSION}":{SCHEMA_VERSION}}}'.encode()


def _json_value(row: msgspec.Struct, cut: tuple[str, ...]) -> bytes:
    value = _encode(row)[:-1] + _TAIL
    return value[:-1] + b',"%s":%s}' % (_CUT.encode(), _encode(cut)) if cut else value


def _ecs_values(limit: int) -> Callable[[Any, tuple[str, ...]], bytes]:
    """Documents; one that is too long has no text twice, so that as much is saved as is cut."""

    def value(row: Any, cut: tuple[str, ...]) -> bytes:
        marks = {_VERSION: SCHEMA_VERSION} | ({_CUT: cut} if cut else {})
        whole = _encode(ecs.document(row, marks))
        return whole if len(whole) <= limit else _encode(ecs.document(row, marks, copies=False))

    return value


def _json_size(text: str) -> int:
    return len(_encode(text)) - 2


def _utf8_size(text: str) -> int:
    return len(text.encode())


def _avro_values(stream: str) -> Callable[[msgspec.Struct, tuple[str, ...]], bytes]:
    from fastavro import parse_schema, schemaless_writer

    schema = parse_schema(avro_schema_for_topic(stream))
    head = _AVRO_MARKER + _fingerprint(stream)

    def value(row: msgspec.Struct, cut: tuple[str, ...]) -> bytes:
        out = io.BytesIO()
        out.write(head)
        schemaless_writer(out, schema, avro_record(row) | {_VERSION: SCHEMA_VERSION, _CUT: cut})
        return out.getvalue()

    return value


def _canonical(stream: str) -> str:
    from fastavro.schema import to_parsing_canonical_form

    text: str = to_parsing_canonical_form(avro_schema_for_topic(stream))
    return text


def _fingerprint(stream: str) -> bytes:
    from fastavro.schema import fingerprint

    return bytes.fromhex(fingerprint(_canonical(stream), "CRC-64-AVRO"))  # it comes little endian already


class _Reader(NamedTuple):
    """What reads Avro values of one schema; the canonical form has no logical types, so times come as numbers."""

    stream: str
    schema: Any
    times: tuple[str, ...]


@cache
def _readers() -> dict[bytes, _Reader]:
    from fastavro import parse_schema

    return {
        _fingerprint(stream): _Reader(stream, parse_schema(_decode(_canonical(stream))), _times(stream))
        for stream in STREAMS
    }


def _times(stream: str) -> tuple[str, ...]:
    return tuple(column.name for column in columns(STREAMS[stream]) if column.kind is Kind.INSTANT)


def decode_value(value: bytes) -> dict[str, Any]:
    """The row of a value, JSON or Avro, told by the marker; any JSON object will do. Times are text in both.

    Raises RecordError for what is neither.
    """
    return _avro_row(value) if value.startswith(_AVRO_MARKER) else _json_row(value)


def _json_row(value: bytes) -> dict[str, Any]:
    try:
        row = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("read", "InvalidJson", "the value is neither JSON nor Avro of a known schema") from error
    if not isinstance(row, dict):
        raise RecordError("read", "NotAnObject", "the value is JSON, but no object")
    return row


def _avro_row(value: bytes) -> dict[str, Any]:
    from fastavro import schemaless_reader

    reader = _readers().get(value[len(_AVRO_MARKER) : _AVRO_HEAD])
    if reader is None:
        raise RecordError(
            "read", "UnknownSchema", "the value is Avro of a schema that is none of this version's streams"
        )
    body = io.BytesIO(value[_AVRO_HEAD:])
    try:
        row: Any = schemaless_reader(body, reader.schema, None)
    except Exception as error:  # fastavro lets out whatever a torn value makes it stumble over
        raise RecordError("read", "InvalidAvro", "the value is torn or damaged Avro") from error
    if body.read(1):
        raise RecordError("read", "InvalidAvro", "the value goes on behind its Avro record")
    row |= {name: instant(row[name]) for name in reader.times if row[name] is not None}
    if not row[_CUT]:
        del row[_CUT]  # as in JSON
    return as_json(row, STREAMS[reader.stream])
