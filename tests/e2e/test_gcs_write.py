import json

import apache_beam as beam
import msgspec
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline

from huntbeam.schemas.streams import STREAMS
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.publish import OutputError, discard, prepare, publish
from huntbeam.transforms.report import ReportPart
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.write import WriteManifest, WriteRows, read_manifest

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("bucket")]

TWO = {name: STREAMS[name] for name in ("window_counts", "dead_letters")}
TIME = "2019-05-18T20:36:50.123Z"
ROW = WindowCount("process_image", TIME, TIME, {"host": "büro"}, 1, {}, False, TIME, TIME, None, 0, "0" * 32)


def _run(aside: str, batches: list[list[WindowCount]], file_format: Format) -> ReportPart:
    manifest = FileSystems.join(aside, "manifest.json")
    with TestPipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.Create(batches, reshuffle=False)
            | WriteRows("window_counts", aside, file_format)
            | beam.Map(lambda file: ReportPart(files=[file]))
            | WriteManifest(manifest)
        )
    return read_manifest(manifest)


def _names(folder: str) -> list[str]:
    return sorted(file.path.removeprefix(f"{folder}/") for file in FileSystems.match([f"{folder}/**"])[0].metadata_list)


def _read(path: str) -> bytes:
    with FileSystems.open(path) as file:
        data: bytes = file.read()
    return data


@pytest.mark.parametrize("file_format", Format)
def test_a_replay_is_written_published_and_overwritten(bucket: str, file_format: Format) -> None:
    output = f"{bucket}/out"
    for overwrite in (False, True):
        aside = prepare(output, overwrite)
        report = _run(aside, [[ROW, ROW]], file_format)
        assert publish(output, aside, report, TWO, file_format, {}) == {"window_counts": 2, "dead_letters": 0}
        assert _names(output) == [
            "_SUCCESS",
            f"dead_letters/part-00000-of-00001{file_format.suffix}",
            f"window_counts/part-00000-of-00001{file_format.suffix}",
        ]
        data = _read(f"{output}/window_counts/part-00000-of-00001{file_format.suffix}")
        assert len(data) == report.files[0].bytes
    assert json.loads(_read(f"{output}/_SUCCESS"))["rows"] == {"window_counts": 2, "dead_letters": 0}


def test_json_lines_read_back(bucket: str) -> None:
    aside = prepare(f"{bucket}/", overwrite=False)
    publish(f"{bucket}/", aside, _run(aside, [[ROW]], Format.JSONL), TWO, Format.JSONL, {})
    data = _read(f"{bucket}/window_counts/part-00000-of-00001.jsonl")
    assert msgspec.json.decode(data, type=WindowCount) == ROW


def test_results_and_foreign_objects_are_refused(bucket: str) -> None:
    output = f"{bucket}/out"
    aside = prepare(output, overwrite=False)
    publish(output, aside, ReportPart(), TWO, Format.JSONL, {})
    with pytest.raises(OutputError, match="--overwrite"):
        prepare(output, overwrite=False)
    with FileSystems.create(f"{output}/notes.txt") as file:
        file.write(b"mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        prepare(output, overwrite=True)


def test_neighbours_with_the_same_beginning_are_left_alone(bucket: str) -> None:
    with FileSystems.create(f"{bucket}/output/notes.txt") as file:
        file.write(b"mine")
    discard(prepare(f"{bucket}/out", overwrite=False))
    assert _names(bucket) == ["output/notes.txt"]


def test_a_bucket_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(OutputError, match="gs://no-such-bucket/out cannot be"):
        prepare("gs://no-such-bucket/out", overwrite=False)
