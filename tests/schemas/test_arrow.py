import msgspec
import pyarrow as pa
import pytest

from huntbeam.schemas.arrow import arrow_schema, record_batch
from huntbeam.schemas.record import columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.window import WindowCount

ROW = WindowCount(
    counter="network_destination",
    window_start="0001-01-01T00:00:00.000Z",
    window_end="9999-12-31T23:59:59.999Z",
    key={"host": "büro-1", "dst_port": 443, "user_account": None},
    count=2**63 - 1,
    distinct={"src_port": 2},
    distinct_capped=True,
    first_seen="1969-12-31T23:59:59.999Z",
    last_seen="2019-05-18T20:36:50.123Z",
    generation=None,
    late_count=-(2**63),
    event_uid="0" * 32,
)


def test_types_follow_from_kinds() -> None:
    schema = arrow_schema(WindowCount)
    assert schema.field("counter").type == pa.string()
    assert schema.field("window_start").type == pa.timestamp("ms", tz="UTC")
    assert schema.field("key").type == pa.map_(pa.string(), pa.string())
    assert schema.field("count").type == pa.int64()
    assert schema.field("distinct").type == pa.map_(pa.string(), pa.int64())
    assert schema.field("distinct_capped").type == pa.bool_()
    assert (schema.field("count").nullable, schema.field("generation").nullable) == (False, True)


@pytest.mark.parametrize("record", STREAMS.values())
def test_fields_carry_what_is_declared(record: type) -> None:
    schema = arrow_schema(record)
    assert schema.names == [column.name for column in columns(record)]
    for column in columns(record):
        assert schema.field(column.name).metadata == {
            b"description": column.description.encode(),
            b"source": column.source.encode(),
        }


def test_values() -> None:
    batch = record_batch([ROW], WindowCount)
    assert batch.schema.equals(arrow_schema(WindowCount), check_metadata=True)
    assert batch.column("key").to_pylist() == [[("host", "büro-1"), ("dst_port", "443"), ("user_account", None)]]
    assert batch.column("distinct").to_pylist() == [[("src_port", 2)]]
    assert batch.column("count").to_pylist() == [2**63 - 1]
    assert batch.column("late_count").to_pylist() == [-(2**63)]
    assert batch.column("generation").to_pylist() == [None]
    batch.validate(full=True)


def test_instants_of_all_years() -> None:
    batch = record_batch([ROW], WindowCount)
    instants = [batch.column(name).cast(pa.int64())[0].as_py() for name in ("window_start", "window_end", "first_seen")]
    assert instants == [-62_135_596_800_000, 253_402_300_799_999, -1]


def test_no_rows() -> None:
    assert record_batch([], WindowCount).num_rows == 0


@pytest.mark.parametrize(("column", "value"), [("first_seen", "yesterday"), ("count", 2**63)])
def test_what_does_not_fit_is_refused(column: str, value: object) -> None:

    with pytest.raises((pa.ArrowInvalid, OverflowError)):
        record_batch([msgspec.structs.replace(ROW, **{column: value})], WindowCount)
