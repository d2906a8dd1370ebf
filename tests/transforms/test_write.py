import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import msgspec
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline

from huntbeam.schemas.window import WindowCount
from huntbeam.transforms import write
from huntbeam.transforms.report import ReportPart
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.write import WriteManifest, WriteRows

STREAM = "window_counts"


def _row(number: int) -> WindowCount:
    return WindowCount(
        counter="process_image",
        window_start="2019-05-18T20:35:00.000Z",
        window_end="2019-05-18T20:40:00.000Z",
        key={"host": "wks-1", "dst_port": 443, "user": None},
        count=number,
        distinct={"src_port": 2},
        distinct_capped=False,
        first_seen="2019-05-18T20:36:50.123Z",
        last_seen="2019-05-18T20:36:50.123Z",
        generation=None,
        late_count=0,
        event_uid=f"{number:032x}",
    )


def _read_counts(data: bytes, file_format: Format) -> list[int]:
    match file_format:
        case Format.JSONL:
            return [msgspec.json.decode(line)["count"] for line in data.splitlines()]
        case Format.PARQUET:
            return pq.read_table(io.BytesIO(data)).column("count").to_pylist()
        case Format.AVRO:
            return [row["count"] for row in fastavro.reader(io.BytesIO(data))]


def _run(folder: Path, batches: Sequence[Sequence[msgspec.Struct]], file_format: Format, **settings: Any) -> ReportPart:
    manifest = str(folder / "manifest.json")
    with TestPipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.Create(batches, reshuffle=False)
            | WriteRows(STREAM, str(folder), file_format, **settings)
            | beam.Map(lambda file: ReportPart(files=[file], tallies={"files": 1}))
            | WriteManifest(manifest)
        )
    return write.read_manifest(manifest)


@pytest.mark.parametrize("file_format", Format)
def test_rows_reach_the_files_that_the_manifest_lists(tmp_path: Path, file_format: Format) -> None:
    report = _run(tmp_path, [[_row(1), _row(2)], [], [_row(3)]], file_format)
    assert {(file.stream, file.rows) for file in report.files} <= {(STREAM, 1), (STREAM, 2), (STREAM, 3)}
    counts = []
    for file in report.files:
        path = Path(file.path)
        assert path.parent == tmp_path / STREAM
        assert path.suffix == file_format.suffix
        assert path.stat().st_size == file.bytes
        counts += _read_counts(path.read_bytes(), file_format)
    assert sorted(counts) == [1, 2, 3]
    assert report.tallies == {"files": len(report.files)}


@pytest.mark.parametrize("file_format", Format)
def test_rolls_to_a_new_file_after_max_file_bytes(tmp_path: Path, file_format: Format) -> None:
    report = _run(tmp_path, [[_row(1)], [_row(2)], [_row(3)]], file_format, max_file_bytes=1)
    assert [file.rows for file in report.files] == [1, 1, 1]


def test_counts_rows_as_a_metric(tmp_path: Path) -> None:
    pipeline = TestPipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create([[_row(1), _row(2)], [_row(3)]]) | WriteRows(STREAM, str(tmp_path), Format.JSONL)
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_name("rows_written"))["counters"]
    assert [counter.committed for counter in counters] == [3]


class _Failing:
    """A file that refuses to be written after its first bytes, and knows whether it was closed."""

    opened: list["_Failing"]

    def __init__(self, path: str) -> None:
        self.file = io.BytesIO()
        self.opened.append(self)

    def write(self, data: bytes) -> int:
        if self.file.tell() > 4000:
            raise OSError("disk full")
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("file_format", Format)
def test_no_handle_is_left_open_after_an_error(monkeypatch: pytest.MonkeyPatch, file_format: Format) -> None:
    _Failing.opened = []
    monkeypatch.setattr(write, "create", _Failing)
    fn = write.WriteBatchesFn(STREAM, "aside", file_format, max_file_bytes=1 << 30)
    fn.start_bundle()
    with pytest.raises(OSError, match="disk full"):
        for _ in range(100):
            fn.process([_row(number) for number in range(5000)])
    fn.teardown()
    assert [file.closed for file in _Failing.opened] == [True]


def test_an_abandoned_bundle_emits_nothing(tmp_path: Path) -> None:
    fn = write.WriteBatchesFn(STREAM, str(tmp_path), Format.JSONL, max_file_bytes=1)
    fn.start_bundle()
    fn.process([_row(1)])
    fn.start_bundle()
    fn.process([_row(2)])
    assert len(list(fn.finish_bundle())) == 1
