import io
import json
from datetime import UTC, datetime

import fastavro
import msgspec
import pytest

from huntbeam.schemas.avro import avro_record, avro_schema
from huntbeam.schemas.record import columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.sysmon import Duplicate

ROW = Duplicate(
    event_uid="0" * 32,
    event_date_creation="2019-05-18T20:36:50.123Z",
    host="büro-1",
    event_id=3,
    source_name=None,
    log_name=None,
    process_guid=None,
    record_id="7",
    source="gs://bucket/a.json",
    position=2**63 - 1,
)


def test_schema_of_a_record() -> None:
    schema = avro_schema(Duplicate)
    assert (schema["type"], schema["namespace"], schema["name"]) == ("record", "huntbeam", "Duplicate")
    assert schema["doc"] == "A further copy of an event that was there already; `event_uid` is the one that both have."
    assert schema["fields"][1] == {
        "name": "event_date_creation",
        "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
        "doc": "Event time, by the clock that --event_time names",
        "default": None,
    }
    assert schema["fields"][3] == {"name": "event_id", "type": "long", "doc": "Event id"}


@pytest.mark.parametrize("record", STREAMS.values())
def test_every_schema_is_valid_json_with_docs(record: type[msgspec.Struct]) -> None:
    schema = json.loads(json.dumps(avro_schema(record)))
    fastavro.parse_schema(schema)
    assert schema["doc"]
    assert [(field["name"], field["doc"]) for field in schema["fields"]] == [
        (column.name, column.description) for column in columns(record)
    ]


def test_record_of_a_row() -> None:
    record = avro_record(ROW)
    assert list(record) == [column.name for column in columns(Duplicate)]
    assert record["event_date_creation"] == 1_558_211_810_123
    assert record["process_guid"] is None


def test_reads_back() -> None:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, avro_schema(Duplicate), avro_record(ROW))
    file.seek(0)
    schema = fastavro.parse_schema(avro_schema(Duplicate))
    row = fastavro.schemaless_reader(file, schema, None)
    assert row["event_date_creation"] == datetime(2019, 5, 18, 20, 36, 50, 123_000, tzinfo=UTC)
    assert (row["host"], row["position"]) == ("büro-1", 2**63 - 1)


def test_an_instant_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="not a time"):
        avro_record(msgspec.structs.replace(ROW, event_date_creation="yesterday"))
