import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import instant
from huntbeam.schemas.json_rows import as_json
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.row_writers import Format, row_writer
from tests.typed_rows import as_written, nested, rows_of

TIME = "2019-05-18T20:36:50.123Z"
ROW = WindowCount("process_image", TIME, TIME, {"host": "wks-1"}, 1, {}, False, TIME, TIME, None, 0, "0" * 32)


_INT64 = st.integers(-(2**63), 2**63 - 1)
_TEXT = st.text() | st.sampled_from(
    ["", "\0", "a\0b", "é漢😀", "\u2028\u2029\u0085", "\ufeff", '"\\', "a\r\nb", "null"]
)
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: _TEXT,
    Kind.GUID: st.uuids().map(str),
    Kind.IP: _TEXT,
    Kind.INTEGER: _INT64,
    Kind.BOOLEAN: st.booleans(),
    Kind.INSTANT: st.integers(-62_135_596_800_000, 253_402_300_799_999).map(instant),
    Kind.TEXT_MAP: st.dictionaries(_TEXT, _TEXT | _INT64 | st.none(), max_size=4),
    Kind.INTEGER_MAP: st.dictionaries(_TEXT, _INT64, max_size=4),
    Kind.NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    Kind.TEXT_LIST: st.lists(_TEXT, max_size=3),
    **nested(_TEXT),
}


def _rows(record: type[msgspec.Struct]) -> st.SearchStrategy[list[msgspec.Struct]]:
    return st.lists(rows_of(record, _VALUES, {}), max_size=4)


def _written(rows: Sequence[msgspec.Struct], record: type[msgspec.Struct], file_format: Format) -> bytes:
    file = io.BytesIO()
    writer = row_writer(file, record, file_format)
    for row in rows:
        writer.write([row])
    writer.close()
    return file.getvalue()


def _read(data: bytes, record: type[msgspec.Struct], file_format: Format) -> list[dict[str, Any]]:
    match file_format:
        case Format.JSONL:
            return [msgspec.json.decode(line) for line in data.split(b"\n")[:-1]]
        case Format.PARQUET:
            return pq.read_table(io.BytesIO(data)).to_pylist()
        case Format.AVRO:
            return list(fastavro.reader(io.BytesIO(data)))


def _plain(row: Mapping[str, Any], record: type[msgspec.Struct]) -> dict[str, Any]:
    """What a reader of any format takes the row for: times as text, values of text maps as text."""
    plain = dict(row)
    for name, kind in ((c.name, c.kind) for c in columns(record) if plain.get(c.name) is not None):
        if kind is Kind.INSTANT and isinstance(plain[name], datetime):
            plain[name] = instant((plain[name] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
        if kind is Kind.TEXT_MAP:
            plain[name] = {k: None if v is None else str(v) for k, v in dict(plain[name]).items()}
        if kind is Kind.INTEGER_MAP:
            plain[name] = dict(plain[name])
    return as_json(plain, record)


def _check_round_trip(rows: Sequence[msgspec.Struct], record: type[msgspec.Struct]) -> None:
    expected = [_plain(as_written(row), record) for row in rows]
    for file_format in Format:
        data = _written(rows, record, file_format)
        read = [_plain(row, record) for row in _read(data, record, file_format)]
        assert read == expected, file_format
        assert [list(row) for row in read] == [list(row) for row in expected]
    lines = _written(rows, record, Format.JSONL).split(b"\n")[:-1]
    assert [msgspec.json.decode(line, type=record) for line in lines] == list(rows)


@pytest.mark.parametrize("stream", STREAMS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_format_gives_the_rows_back(stream: str, data: st.DataObject) -> None:
    rows = data.draw(_rows(STREAMS[stream]))
    _check_round_trip(rows, STREAMS[stream])


def test_every_format_gives_long_text_back() -> None:
    rows = [msgspec.structs.replace(ROW, counter=text * 500_000) for text in ("x€", "\0")]
    _check_round_trip(rows, WindowCount)


@pytest.mark.parametrize("file_format", Format)
@pytest.mark.parametrize("stream", STREAMS)
def test_a_file_without_rows_is_valid(stream: str, file_format: Format) -> None:
    file = io.BytesIO()
    row_writer(file, STREAMS[stream], file_format).close()
    assert _read(file.getvalue(), STREAMS[stream], file_format) == []


@pytest.mark.parametrize(("rows", "groups"), [(49_999, 1), (50_000, 1), (120_000, 3)])
def test_parquet_row_groups_are_bounded(rows: int, groups: int) -> None:
    file = io.BytesIO()
    writer = row_writer(file, WindowCount, Format.PARQUET)
    batch = [ROW] * 1000
    for start in range(0, rows, 1000):
        writer.write(batch[: min(1000, rows - start)])
    writer.close()
    metadata = pq.ParquetFile(io.BytesIO(file.getvalue())).metadata
    assert (metadata.num_rows, metadata.num_row_groups) == (rows, groups)
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_parquet_row_groups_end_early_when_rows_are_large() -> None:
    file = io.BytesIO()
    writer = row_writer(file, WindowCount, Format.PARQUET)
    large = msgspec.structs.replace(ROW, counter="x" * 200_000)
    for _ in range(3):
        writer.write([large] * 256)
    writer.close()
    assert pq.ParquetFile(io.BytesIO(file.getvalue())).metadata.num_row_groups == 3
