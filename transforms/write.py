"""Writing rows aside, one folder per stream, and the manifest that says what was written.

Files are written under names nobody else uses and reach their final ones in huntbeam.transforms.publish: a bundle
that runs twice leaves an orphan, which no manifest lists and which goes with the folder aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO
from uuid import uuid4

import apache_beam as beam
import msgspec
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas.ecs import AlertFormat
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.report import ReportPart, WrittenFile, merge
from huntbeam.transforms.row_writers import Format, row_writer

MAX_FILE_BYTES = 256 * 1024 * 1024


def create(path: str) -> BinaryIO:
    """Opens a local or gs:// file for writing, its folders made; what is written is what is stored."""
    file: BinaryIO = FileSystems.create(path, "application/octet-stream", CompressionTypes.UNCOMPRESSED)
    return file


class _OpenFile:
    """A file being written; it is closed by exactly one of finish() and abort()."""

    def __init__(self, stream: str, folder: str, file_format: Format, alerts: AlertFormat) -> None:
        self._stream = stream
        self._path = FileSystems.join(folder, stream, f"part-{uuid4().hex}{file_format.suffix}")
        self._rows = 0
        self._file = create(self._path)
        try:
            self._writer = row_writer(self._file, STREAMS[stream], file_format, alerts)
        except BaseException:
            self._file.close()
            raise

    def write(self, rows: Sequence[msgspec.Struct]) -> None:
        self._writer.write(rows)
        self._rows += len(rows)

    def size(self) -> int:
        """Bytes handed to the file; rows that the format still holds are not among them."""
        return self._file.tell()

    def finish(self) -> WrittenFile:
        try:
            self._writer.close()
            size = self._file.tell()
        finally:
            self._file.close()
        return WrittenFile(self._stream, self._path, self._rows, size)

    def abort(self) -> None:
        with suppress(Exception):  # it is abandoned: the error that led here is the one to report
            self.finish()


class WriteBatchesFn(beam.DoFn):
    """One file a bundle, opened with its first row; a new one after max_file_bytes."""

    def __init__(
        self,
        stream: str,
        folder: str,
        file_format: Format,
        max_file_bytes: int,
        alerts: AlertFormat = AlertFormat.COLUMNS,
    ) -> None:
        self._stream, self._folder, self._format, self._alerts = stream, folder, file_format, alerts
        self._max_file_bytes = max_file_bytes
        self._rows_written = Metrics.counter(self.__class__, "rows_written")
        self._open: _OpenFile | None = None
        self._written: list[WrittenFile] = []

    def start_bundle(self) -> None:
        """Forgets what a failed bundle left."""
        self.teardown()
        self._written = []

    def process(self, batch: Sequence[msgspec.Struct]) -> None:
        """Writes a batch; without rows it does nothing."""
        if not batch:
            return
        try:
            self._write(batch)
        except BaseException:
            self.teardown()
            raise
        self._rows_written.inc(len(batch))

    def _write(self, batch: Sequence[msgspec.Struct]) -> None:
        if self._open is None:
            self._open = _OpenFile(self._stream, self._folder, self._format, self._alerts)
        self._open.write(batch)
        if self._open.size() >= self._max_file_bytes:
            self._finish()

    def _finish(self) -> None:
        if self._open is not None:
            file, self._open = self._open, None
            self._written.append(file.finish())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Emits the bundle's files."""
        self._finish()
        for file in self._written:
            yield WindowedValue(file, GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def teardown(self) -> None:
        """Closes what is open."""
        if self._open is not None:
            file, self._open = self._open, None
            file.abort()


@dataclass
class WriteRows(beam.PTransform):
    """Batches of a stream's rows (lists, in the global window) -> the files they are in (WrittenFile)."""

    stream: str
    folder: str
    format: Format
    max_file_bytes: int = MAX_FILE_BYTES
    alerts: AlertFormat = AlertFormat.COLUMNS

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """Wires."""
        fn = WriteBatchesFn(self.stream, self.folder, self.format, self.max_file_bytes, self.alerts)
        return batches | "WriteFiles" >> beam.ParDo(fn).with_output_types(WrittenFile)


class MergeReportsFn(beam.CombineFn):
    """merge() as a combiner."""

    def create_accumulator(self) -> ReportPart:
        """Nothing to report."""
        return ReportPart()

    def add_input(self, accumulator: ReportPart, part: ReportPart) -> ReportPart:
        """Adds a part."""
        return merge(accumulator, part)

    def merge_accumulators(self, accumulators: Iterable[ReportPart]) -> ReportPart:
        """Adds up."""
        return merge(*accumulators)

    def extract_output(self, accumulator: ReportPart) -> ReportPart:
        """The accumulator is the report."""
        return accumulator


def write_manifest(report: ReportPart, path: str) -> ReportPart:
    """Writes the report as JSON, in place of what may be there."""
    with create(path) as file:
        file.write(msgspec.json.encode(report))
    return report


def read_manifest(path: str) -> ReportPart:
    """Reads a report. Raises msgspec.DecodeError or OSError."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return msgspec.json.decode(file.read(), type=ReportPart)


@dataclass
class WriteManifest(beam.PTransform):
    """Parts of the report (ReportPart; at least one) -> the report, as a JSON file at `path`, too."""

    path: str

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """Wires."""
        return (
            parts
            | "MergeReports" >> beam.CombineGlobally(MergeReportsFn()).without_defaults()
            | "WriteManifest" >> beam.Map(write_manifest, self.path)
        )
